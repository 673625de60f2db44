# tags: [fault]
# kill -9 at random moments of a run (data, training, checkpoint writing, evaluation), then continue it: weights, optimizer
# state, per-group scores and results.json (time, memory and rates aside) equal the uninterrupted run's, bit for bit.
# usage: kill_resume.sh TREE BUILD        KILLS=20 SEED=1 for more moments or others
set -u
tree=$1 build=$2 kills=${KILLS:-6}
RANDOM=${SEED:-1}
oncekit=$build/bin/oncekit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ONCEKIT_CACHE=$work/cache
cd "$tree" || exit 1
recipe=tests/run/kill.toml

# What must be equal, as text: the digests of all tensors on disk, the scores, the results without clock and memory.
fingerprint() {
  (cd "$1" && sha256sum checkpoints/{best,last}/*.safetensors && sha256sum per_group.csv &&
    cut -d, -f1-3 curves.csv && grep -vE '"(time|memory)/|_per_s"' results.json)
}

start=$(date +%s%N)
"$oncekit" run $recipe --quiet --out "$work/whole" >"$work/whole.log" 2>&1 || { cat "$work/whole.log"; exit 1; }
"$oncekit" run $recipe --quiet --out "$work/again" >"$work/again.log" 2>&1 || { cat "$work/again.log"; exit 1; }
took=$(( ($(date +%s%N) - start) / 2000000 ))
fingerprint "$work"/whole/* >"$work/expected"
fingerprint "$work"/again/* >"$work/repeated"
cmp "$work/expected" "$work/repeated" || { echo "two uninterrupted runs differ"; diff "$work/expected" "$work/repeated"; exit 1; }
[ "$(grep -c safetensors "$work/expected")" -ge 2 ] || { echo "no checkpoints found"; cat "$work/expected"; exit 1; }
echo "an uninterrupted run takes $took ms"

for i in $(seq "$kills"); do
  out=$work/run$i
  moment=$(( (RANDOM * 32768 + RANDOM) % took ))
  "$oncekit" run $recipe --quiet --out "$out" >"$work/log" 2>&1 &
  pid=$!
  sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
  stage=$(sed -n 's/.*"stage": "\([a-z]*\)".*/\1/p' "$out"/*/status.json 2>/dev/null)
  steps=$(tail -n 1 "$out"/*/curves.csv 2>/dev/null | cut -d, -f1)
  kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
  folder=$(ls -d "$out"/* 2>/dev/null | head -n 1)
  # A folder without its resolved recipe was not begun: such a run starts anew.
  if [ -n "$folder" ] && [ -s "$folder/recipe.resolved.toml" ]; then
    "$oncekit" run "$folder" --quiet --out "$out" >"$work/log" 2>&1
  else
    rm -rf "$out"; "$oncekit" run $recipe --quiet --out "$out" >"$work/log" 2>&1
    folder=$(ls -d "$out"/* | head -n 1)
  fi
  code=$?
  if grep -q 'finished already' "$work/log"; then code=0; fi
  [ $code = 0 ] || { echo "kill $i after $moment ms (${stage:-start}): continuing failed with $code"; cat "$work/log"; exit 1; }
  fingerprint "$folder" >"$work/actual"
  cmp -s "$work/expected" "$work/actual" || { echo "kill $i after $moment ms (${stage:-start}, step ${steps:-0}): results differ"; diff "$work/expected" "$work/actual"; exit 1; }
  leftovers=$(find "$out" "$ONCEKIT_CACHE" -name '*.part*' -o -name '*.new' | wc -l)
  echo "kill $i after $moment ms in stage ${stage:-start}, last dev check at step ${steps:--}: same bits (leftovers: $leftovers)"
  rm -rf "$out"
done
echo "$kills kills, all continued to the same bits"
