# tags: [recipe]
# Every recipe there is, and every point of it, resolves and runs with --demo: two steps, then dev and test. Recipes of base/ are parts of others.
# usage: recipes.sh TREE BUILD
set -u
tree=$1 oncekit=$2/bin/oncekit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ONCEKIT_CACHE=$work/cache
cd "$tree" || exit 1
failed=0 runs=0

run() {  # recipe, then options: ends well, and with a result
  rm -rf "$work/runs"
  if "$oncekit" run "$@" --demo --quiet --out "$work/runs" train.max_steps=2 >"$work/log" 2>&1 && grep -q '"test/auc"' "$work"/runs/*/results.json; then
    echo "ok   $*"
  else
    echo "FAIL $*"; cat "$work/log"; failed=1
  fi
  runs=$((runs + 1))
}

for recipe in $(find recipes -name '*.toml' -not -path 'recipes/base/*' | sort); do
  "$oncekit" recipes check "$recipe" >"$work/check" 2>&1 || { echo "FAIL check $recipe"; cat "$work/check"; failed=1; continue; }
  "$oncekit" recipes check "$recipe" --demo >"$work/check" 2>&1 || { echo "FAIL check $recipe --demo"; cat "$work/check"; failed=1; continue; }
  # One line a point: RECIPE --point "NAME": good, HASH
  sed -n 's/^.* --point "\(.*\)": good, .*$/\1/p' "$work/check" >"$work/points"
  [ "$(wc -l <"$work/points")" -eq "$(grep -o '^\[point\.\("[^"]*"\|[^].]*\)' "$recipe" | sort -u | wc -l)" ] || { echo "FAIL $recipe: points were overlooked"; failed=1; }
  if [ -s "$work/points" ]; then
    while IFS= read -r point <&3; do run "$recipe" --point "$point"; done 3<"$work/points"
  else
    run "$recipe"
  fi
done
[ $runs -gt 0 ] || { echo "no recipes were found"; exit 1; }
echo "$runs runs"
exit $failed
