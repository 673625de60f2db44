# tags: [fault]
# kill -9 at random moments of a build of cached states, then again: the states are those of a build that was never stopped, byte for
# byte, and no layer is computed twice from its beginning more than once a kill.
# usage: states_kill.sh TREE BUILD        KILLS=20 SEED=1 for more moments or others
set -u
tree=$1 oncekit=$2/bin/oncekit kills=${KILLS:-3}
RANDOM=${SEED:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$tree" || exit 1
recipe=${RECIPE:-recipes/demo.toml}
# A model of some size made on the spot would take long to write: the toy model's texts are many instead.
options=${OPTIONS:-content_encoder.use=llama content_encoder.weights=toy +content_encoder.lead=news dataset.toy=true}

build() { "$oncekit" cache build $recipe $options --cache "$1" --quiet >"$work/log" 2>&1; }
states() { (cd "$1" && sha256sum states-*/states.bin | cut -d' ' -f1); }

build "$work/models" || { cat "$work/log"; exit 1; }   # the toy model, the corpus
rm -rf "$work"/models/states-*
cp -r "$work/models" "$work/whole"
start=$(date +%s%N)
build "$work/whole" || { cat "$work/log"; exit 1; }
took=$(( ($(date +%s%N) - start) / 1000000 ))
expected=$(states "$work/whole")
[ -n "$expected" ] || { echo "no states were built"; ls "$work/whole"; exit 1; }
echo "an uninterrupted build takes $took ms"

real=0
for i in $(seq $((kills * 4))); do
  [ $real -lt "$kills" ] || break
  rm -rf "$work/run"; cp -r "$work/models" "$work/run"
  moment=$(( took / 4 + (RANDOM * 32768 + RANDOM) % took ))
  "$oncekit" cache build $recipe $options --cache "$work/run" --quiet >"$work/log" 2>&1 &
  pid=$!
  sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
  kill -9 $pid 2>/dev/null || { wait $pid 2>/dev/null; continue; }
  wait $pid 2>/dev/null
  record=$(cat "$work"/run/states-*.part/progress.json 2>/dev/null)
  [ ! -e "$work"/run/states-*/states.bin ] 2>/dev/null || continue
  real=$((real + 1))
  build "$work/run" || { echo "going on after kill $real failed"; cat "$work/log"; exit 1; }
  [ "$(states "$work/run")" = "$expected" ] || { echo "kill $real after $moment ms (${record:-nothing kept}): other states"; exit 1; }
  echo "kill $real after $moment ms (${record:-nothing kept yet}): same bytes"
done
[ $real -gt 0 ] || { echo "no kill came in time"; exit 1; }
echo "$real kills, all went on to the same bytes"
