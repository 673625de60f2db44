#!/usr/bin/env bash
# tags: [unit] [build]
# The program, the core and every plugin carry RPATH, not RUNPATH, and run with the LibTorch they were built with, whatever
# LD_LIBRARY_PATH says.
set -euo pipefail
build=$2

files=("$build/bin/oncekit" "$build/lib/liboncekit.so" "$build"/plugins/*.so)
for file in "${files[@]}"; do
  paths=$(readelf -d "$file" | grep -E 'RPATH|RUNPATH' || true)
  if [[ $paths == *RUNPATH* || $paths != *RPATH* ]]; then echo "$file: expected RPATH, found '${paths:-none}'"; exit 1; fi
  other=$(readelf -d "$file" | grep -oE 'NEEDED.*\[(libtorch|libtorch_python|libpython[^]]*)\.so' || true)
  if [ -n "$other" ]; then echo "$file needs $other"; exit 1; fi
done

# A folder with a libc10.so that is none: whoever looks there first cannot start.
bait=$(mktemp -d); trap 'rm -rf "$bait"' EXIT
: >"$bait/libc10.so"; : >"$bait/libtorch_cpu.so"
LD_LIBRARY_PATH=$bait "$build/bin/oncekit" --help >/dev/null
echo "${#files[@]} files keep to their LibTorch"
