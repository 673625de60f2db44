#!/usr/bin/env bash
# tags: [abi] [build]
# Installs into an empty folder and uses that alone: the program runs from there, lists its plugins and recipes, and a plugin
# outside of the tree (examples/plugin_user_encoder) builds against it by find_package(oncekit) and is found.
set -euo pipefail
tree=$1 build=$2
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT

cmake --install "$build" --prefix "$place/oncekit" >"$place/install.log"
cd "$place"
program=$place/oncekit/bin/oncekit
"$program" --help >/dev/null
own=$("$program" plugins ls)
for file in "$place"/oncekit/lib/oncekit/plugins/*.so; do
  name=$(basename "$file" .so); name=${name#oncekit_}
  [[ $own == *"$name"* ]] || { printf 'the installed plugin %s is not listed:\n%s\n' "$name" "$own"; exit 1; }
done
if readelf -d "$program" "$place"/oncekit/lib/*.so "$place"/oncekit/lib/oncekit/plugins/*.so | grep -F "$build"; then
  echo "an installed file refers to the build folder"; exit 1
fi

for example in "$tree"/examples/*/CMakeLists.txt; do
  example=$(basename "$(dirname "$example")")
  cp -r "$tree/examples/$example" "$example"
  { cmake -S "$example" -B "$example/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$place/oncekit" &&
    cmake --build "$example/build"; } >plugin.log 2>&1 || { cat plugin.log; exit 1; }
  library=$(find "$example/build" -name 'oncekit_*.so')
  component=$(grep -aoE '^components=[^,]*' "$library" | cut -d= -f2)
  "$program" --plugin-path "$example/build" plugins info "$component" >info.txt || { echo "plugins info $component failed"; exit 1; }
  echo "installed; built $(basename "$library") against it, and loaded $component"
done
