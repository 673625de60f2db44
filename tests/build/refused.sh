#!/usr/bin/env bash
# tags: [abi] [errors]
# What a user sees when a recipe names a component of a plugin that cannot work: the table, exit code 3, no stack, no crash.
set -euo pipefail
tree=$1 build=$2
cd "$tree"
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT
for case in other_sdk other_torch other_needed; do
  code=0
  "$build/bin/oncekit" --plugin-path "$build/tests/plugins/$case" run recipes/demo.toml dataset.use=good --out "$place/runs" >"$place/out" 2>"$place/err" || code=$?
  [ $code = 3 ] || { cat "$place/err"; echo "$case: exit code $code, expected 3"; exit 1; }
  for text in 'field .*| plugin has .*| oncekit has' 'rebuild it: oncekit plugins build'; do
    grep -q "$text" "$place/err" || { cat "$place/err"; echo "$case: the refusal lacks '$text'"; exit 1; }
  done
  [ ! -s "$place/out" ] || { cat "$place/out"; echo "$case: something was printed to stdout"; exit 1; }
done
code=0; "$build/bin/oncekit" --plugin-path "$build/tests/plugins/other_torch" plugins doctor >"$place/out" || code=$?
[ $code = 3 ] && grep -q '1.13.1' "$place/out" || { cat "$place/out"; echo "doctor: exit code $code"; exit 1; }
