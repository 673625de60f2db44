#!/usr/bin/env bash
# tags: [abi] [docs]
# Runs the ```sh blocks of docs/plugin-guide.md in their order, in an empty folder: each command must end with 0.
set -euo pipefail
tree=$1 build=$2
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT
cd "$place"
ln -s "$tree/recipes" recipes
cp -r "$tree/examples" examples; rm -rf examples/*/build
export PATH=$build/bin:$PATH

ran=0
while IFS= read -r line; do
  echo "\$ $line"
  # </dev/null: the command must not read the list of commands
  bash -euo pipefail -c "$line" </dev/null >out.log 2>&1 || { cat out.log; echo "failed: $line"; exit 1; }
  ran=$((ran + 1))
done < <(awk '/^```sh$/ {inside = 1; next} /^```$/ {inside = 0} inside' "$tree/docs/plugin-guide.md")
[ $ran -ge 8 ] || { echo "only $ran commands found in docs/plugin-guide.md"; exit 1; }

# The run used the plugin, and says so.
results=$(find runs -name results.json | head -1)
[ -n "$results" ] || { echo "the run left no results.json"; exit 1; }
grep -q last_click "$(dirname "$results")"/run.json || { echo "run.json does not name the plugin"; exit 1; }
echo "$ran commands"
