#!/usr/bin/env bash
# tags: [unit] [build]
# What ./oncekit does before it builds anything, in a tree where nothing can be installed: one clear sentence, exit 4.
set -euo pipefail
tree=$1 build=$2
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT
cp "$tree/oncekit" "$place/"

expect() {   # expect CODE TEXT COMMAND...
  local code=0 want=$1 text=$2 output; shift 2
  output=$("$@" 2>&1 </dev/null) || code=$?
  if [ $code != "$want" ] || [[ $output != *"$text"* ]]; then
    printf 'expected exit %s and "%s", got exit %s and:\n%s\n' "$want" "$text" "$code" "$output"; exit 1
  fi
}

# A LibTorch that is none.
expect 4 "no lib/libtorch_cpu.so there" env ONCEKIT_TORCH="$place/none" "$place/oncekit" version

# Packages missing, and neither root nor sudo: a PATH with our own answers to the questions that the launcher asks.
mkdir "$place/path"
for tool in bash readlink dirname mkdir flock sed awk nproc rm cat find; do ln -s "$(command -v $tool)" "$place/path/$tool"; done
printf '#!/bin/sh\necho 1000\n' >"$place/path/id"
printf '#!/bin/sh\nexit 1\n' >"$place/path/dpkg-query"
printf '#!/bin/sh\nexit 1\n' >"$place/path/python3"
printf '#!/bin/sh\nexit 9\n' >"$place/path/apt-get"
chmod +x "$place"/path/{id,dpkg-query,python3,apt-get}
expect 4 "ask an administrator for: apt-get install g++ cmake ninja-build" env PATH="$place/path" "$place/oncekit" version
expect 4 "python3-venv" env PATH="$place/path" "$place/oncekit" version

# Wrong use of test is refused before anything is built.
expect 2 "not '--verbose'" "$place/oncekit" test --verbose
expect 0 "usage: ./oncekit test" "$place/oncekit" test --help
echo "the launcher explains itself"
