# tags: [fault]
# kill -9 at random moments of a run (data, training, checkpoint writing, evaluation), then continue it: weights, optimizer
# state, per-group scores and results.json (time, memory and rates aside) equal the uninterrupted run's, bit for bit.
# Of four kills one is aimed at the writing of a checkpoint and one at the final evaluation; the others fall anywhere. A kill that
# finds the run ended does not count and is drawn again; the moments are drawn from what a run takes now, measured every few kills.
# usage: kill_resume.sh TREE BUILD        KILLS=20 SEED=1 for more moments or others
set -u
tree=$1 build=$2 kills=${KILLS:-6}
RANDOM=${SEED:-1}
oncekit=$build/bin/oncekit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ONCEKIT_CACHE=$work/cache OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}   # as ./oncekit sets it
cd "$tree" || exit 1
recipe=tests/run/kill.toml

# What must be equal, as text: the digests of all tensors on disk, the scores, the results without clock and memory.
fingerprint() {
  (cd "$1" && sha256sum checkpoints/{best,last}/*.safetensors && sha256sum per_group.csv &&
    cut -d, -f1-3 curves.csv && grep -vE '"(time|memory)/|_per_s"' results.json)
}

# A run that nobody disturbs; sets what it and its final evaluation take, in ms.
undisturbed() {
  local start
  start=$(date +%s%N)
  "$oncekit" run $recipe --quiet --out "$1" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  took=$(( ($(date +%s%N) - start) / 1000000 ))
  evaluation=$(awk -F'[:,]' '/"time\/(evaluate|rankers)_s"/ {s += $2} END {printf "%d", 1000 * s + 1}' "$1"/*/results.json)
}

nap() { read -rt "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))" <>"$work/nothing"; }   # ms, without a process of its own
mkfifo "$work/nothing"
below() { echo $(( (RANDOM * 32768 + RANDOM) % $1 )); }
stage_in() { sed -n 's/.*"stage": "\([a-z]*\)".*/\1/p' "$1"/*/status.json 2>/dev/null; }

# Waits for the moment to kill $pid, whose runs lie in $out: a random one, or some ms after something is seen.
wait_for() {
  case $1 in
    anywhere) nap "$2" ;;
    checkpoint)
      nap "$2"
      while kill -0 $pid 2>/dev/null; do
        if compgen -G "$out/*/checkpoints/new.part" >/dev/null; then
          # A few ms is all that it takes.
          read -rt 0.00$((RANDOM % 3)) <>"$work/nothing"
          return
        fi
      done ;;
    evaluation)
      while kill -0 $pid 2>/dev/null; do
        case $(stage_in "$out") in evaluate | rankers) nap "$2"; return ;; esac
      done ;;
  esac
}

undisturbed "$work/whole"; undisturbed "$work/again"
fingerprint "$work"/whole/* >"$work/expected"
fingerprint "$work"/again/* >"$work/repeated"
cmp "$work/expected" "$work/repeated" || { echo "two uninterrupted runs differ"; diff "$work/expected" "$work/repeated"; exit 1; }
[ "$(grep -c safetensors "$work/expected")" -ge 2 ] || { echo "no checkpoints found"; cat "$work/expected"; exit 1; }
echo "an uninterrupted run takes $took ms, its final evaluation $evaluation ms"

declare -A count=()
real=0 late=0
while [ $real -lt "$kills" ]; do
  [ $late -le $((2 * kills + 10)) ] || { echo "$late kills came after the run's end: the moments are drawn wrongly"; exit 1; }
  case $((real % 4)) in
    1) aim=checkpoint moment=$(below $((took * 6 / 10))) ;;
    3) aim=evaluation moment=$(below "$evaluation") ;;
    *) aim=anywhere moment=$(below "$took") ;;
  esac
  out=$work/run
  "$oncekit" run $recipe --quiet --out "$out" >"$work/log" 2>&1 &
  pid=$!
  wait_for $aim "$moment"
  kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
  code=$? stage=$(stage_in "$out")
  if [ $code != 137 ] || [ "$stage" = "done" ]; then
    late=$((late + 1))
    rm -rf "$out"; undisturbed "$work/timed"; rm -rf "$work/timed"
    continue
  fi
  real=$((real + 1)) stage=${stage:-start}
  if compgen -G "$out/*/checkpoints/new.part" >/dev/null; then stage=checkpoint; fi
  count[$stage]=$((${count[$stage]:-0} + 1))
  what="kill $real, aimed at $aim, in stage $stage, last dev check at step $(tail -n 1 "$out"/*/curves.csv 2>/dev/null | grep -oE '^[0-9]+' || echo -)"
  folder=$(ls -d "$out"/* 2>/dev/null | head -n 1)
  # A folder without its resolved recipe was not begun: such a run starts anew.
  if [ -n "$folder" ] && [ -s "$folder/recipe.resolved.toml" ]; then
    "$oncekit" run "$folder" --quiet --out "$out" >"$work/log" 2>&1; code=$?
  else
    rm -rf "$out"; "$oncekit" run $recipe --quiet --out "$out" >"$work/log" 2>&1; code=$?
    folder=$(ls -d "$out"/* | head -n 1)
  fi
  [ $code = 0 ] || { echo "$what: continuing failed with $code"; cat "$work/log"; exit 1; }
  fingerprint "$folder" >"$work/actual"
  cmp -s "$work/expected" "$work/actual" || { echo "$what: results differ"; diff "$work/expected" "$work/actual"; exit 1; }
  leftovers=$(find "$out" "$ONCEKIT_CACHE" -name '*.part*' -o -name '*.new' | wc -l)
  echo "$what: same bits (leftovers: $leftovers)"
  rm -rf "$out"
  if [ $((real % 5)) = 0 ]; then undisturbed "$work/timed"; rm -rf "$work/timed"; fi
done
echo "$kills kills, all continued to the same bits ($late more came after the end). By stage:" \
  "$(for stage in "${!count[@]}"; do printf '%s %d, ' "$stage" "${count[$stage]}"; done | sed 's/, $//')"
