# tags: [fault]
# oncekit augment against oncekit mock-llm: killed at random moments and gone on with, two processes on one store and budget, faults, and the
# key is found nowhere.
# usage: augment.sh TREE BUILD        KILLS=20 for the long series
set -u
tree=$1 oncekit=$2/bin/oncekit kills=${KILLS:-6}
work=$(mktemp -d)
cd "$tree" || exit 1
failed=0 servers=
finish() { for pid in $servers; do kill "$pid" 2>/dev/null; done; wait 2>/dev/null; rm -rf "$work"; }
trap finish EXIT
export ONCEKIT_CACHE=$work/cache ONCEKIT_TEST_KEY=sk-7e57c0ffee5ec2e7feedfacecafe
export OMP_WAIT_POLICY=passive

good() { echo "ok   $*"; }
bad() { echo "FAIL $*"; failed=1; }
equal() { if [ "$2" = "$3" ]; then good "$1"; else bad "$1: $2, expected $3"; fi }

serve() {  # name, options: sets url
  local name=$1; shift
  "$oncekit" mock-llm --key-env ONCEKIT_TEST_KEY --log "$work/$name.jsonl" "$@" >"$work/$name.url" 2>"$work/$name.err" &
  servers="$servers $!" server=$!
  for _ in $(seq 100); do grep -q http "$work/$name.url" 2>/dev/null && break; sleep 0.1; done
  url=$(grep -o 'http://[^ ]*' "$work/$name.url")
}
augment() {  # store, more arguments; JSON into $work/out
  local store=$1; shift
  "$oncekit" augment tests/run/augment.toml -q --json dataset.path="$work/toy" endpoint.url="$url" answers.store="$store" "$@" 2>>"$work/stderr"
}
digest() { python3 -c "import json,sys; print(json.load(open('$1'))['corpus_digest'])"; }
verified() { if "$oncekit" answers verify --store "$2" >"$work/verify" 2>&1; then good "$1"; else bad "$1"; cat "$work/verify"; fi; }
kept() {  # what, store: it holds answers, and no more than $budget USD was spent
  "$oncekit" answers ls --store "$2" --limit 1 --json >"$work/ls.json"
  python3 -c "
import json; t = json.load(open('$work/ls.json'))['totals']
spent = t['cost'] + t['set_aside'] + t['possibly_billed']
print(f'     spent {spent:.4f} of $budget USD on {t[\"answers\"]} answers, {t[\"possibly_billed\"]:.4f} of it on lost ones')
raise SystemExit(spent > $budget or t['answers'] == 0)" && good "$1" || bad "$1"
}

"$oncekit" data toy "$work/toy" --items 500 --users 300 --train 600 --dev 100 --test 100 >/dev/null || exit 1

# The uninterrupted run.
serve plain --latency 20
augment "$work/whole.db" >"$work/whole.json" || bad "the uninterrupted run"
verified "the uninterrupted store verifies" "$work/whole.db"
asked=$(wc -l <"$work/plain.jsonl")

# Killed at random moments.
serve killed --latency 60
landed=0
for ((i = 1; i <= kills; ++i)); do
  setsid "$oncekit" augment tests/run/augment.toml -q --json dataset.path="$work/toy" endpoint.url="$url" answers.store="$work/killed.db" endpoint.in_flight=$((96 / kills)) \
    >"$work/out" 2>/dev/null &
  pid=$!
  sleep "$(awk -v r=$RANDOM 'BEGIN {printf "%.3f", 0.25 + r / 32768 * 0.6}')"
  if kill -9 $pid 2>/dev/null; then landed=$((landed + 1)); fi
  wait $pid 2>/dev/null
done
echo "     $landed of $kills kills met a run"
[ $landed -gt 0 ] || bad "no kill met a run"
augment "$work/killed.db" >"$work/killed.json" || bad "the run after the kills"
equal "killed $landed times, the corpus is the same" "$(digest "$work/killed.json")" "$(digest "$work/whole.json")"
verified "the store verifies after the kills" "$work/killed.db"
"$oncekit" answers ls --store "$work/killed.db" --limit 1 --json >"$work/ls.json"
python3 - "$work/killed.jsonl" "$work/ls.json" "$asked" <<'P' || failed=1
import collections, json, sys
seen = collections.Counter(json.loads(line)["body"] for line in open(sys.argv[1]))
twice = {body for body, n in seen.items() if n > 1}
billed = {b["request"] for b in json.load(open(sys.argv[2]))["possibly_billed"]}
print(f"     the server saw {len(twice)} requests twice; {len(billed)} are reported as possibly billed")
if not twice <= billed: sys.exit(f"FAIL {len(twice - billed)} requests were sent twice and not reported")
if len(seen) != int(sys.argv[3]): sys.exit(f"FAIL {len(seen)} distinct requests, expected {sys.argv[3]}")
print("ok   every request that was sent twice is reported as possibly billed")
if billed != twice: print(f"     reported and seen once: {len(billed - twice)} (killed between the record and the wire, or the wire and the server)")
P

# Two processes, one store, one budget.
serve two --latency 20
for n in 1 2; do augment "$work/two.db" endpoint.budget=5 >"$work/two$n.json" & pids[n]=$!; done
for n in 1 2; do wait "${pids[n]}" || bad "process $n of two"; done
for n in 1 2; do equal "of two at once, process $n has the same corpus" "$(digest "$work/two$n.json")" "$(digest "$work/whole.json")"; done
equal "together they asked each question once" "$(wc -l <"$work/two.jsonl")" "$asked"
verified "their store verifies" "$work/two.db"
budget=0.02
for n in 1 2; do augment "$work/poor.db" endpoint.budget=$budget >"$work/out$n" & pids[n]=$!; done
for n in 1 2; do wait "${pids[n]}"; equal "a budget of $budget USD ends process $n with 1" $? 1; done
kept "two processes keep one budget" "$work/poor.db"

# Faults.
serve faulty --faults 0.1 --seed 3
augment "$work/faulty.db" answers.attempts=6 >"$work/faulty.json" || bad "the run with faults"
python3 - "$work/faulty.json" <<'P' || failed=1
import json, sys
steps = json.load(open(sys.argv[1]))["steps"]
faults = sum(sum(s["faults"].values()) for s in steps)
missing = sum(s["wanted"] - s["covered"] for s in steps)
print(f"     {faults} tries failed, {sum(s['retried'] for s in steps)} tries again, {sum(sum(s['rejects'].values()) for s in steps)} rejects, {missing} answers missing")
if faults == 0: sys.exit("FAIL no fault was met")
if missing: sys.exit("FAIL answers are missing")
print("ok   faults cost tries, not answers")
P
verified "the store verifies after faults" "$work/faulty.db"
augment "$work/lean.db" endpoint.budget=$budget >"$work/out"
equal "a budget of $budget USD ends a run with faults with 1" $? 1
kept "lost answers do not pass the budget" "$work/lean.db"

# The key. A wrong one is echoed by the server.
ONCEKIT_TEST_KEY=sk-wr0ngwr0ngwr0ngwr0ngwr0ng augment "$work/wrong.db" >"$work/out"
equal "a wrong key ends the run with 1" $? 1
setsid env "$oncekit" augment tests/run/augment.toml dataset.path="$work/toy" endpoint.url="$url" answers.store="$work/slow.db" endpoint.in_flight=1 >"$work/slow.out" 2>&1 &
pid=$!
sleep 1
if kill -0 $pid 2>/dev/null && grep -qa "$ONCEKIT_TEST_KEY" /proc/$pid/environ /proc/$pid/cmdline 2>/dev/null; then bad "the key stands in /proc of a running augment"; else good "the key is not in /proc"; fi
kill $pid 2>/dev/null; wait $pid 2>/dev/null
"$oncekit" run tests/run/augment.toml --out "$work/runs" dataset.path="$work/toy" endpoint.url="$url" answers.store="$work/whole.db" answers.min_coverage=0.5 train.max_steps=2 >"$work/run.out" 2>&1 || { bad "a run on the stored answers"; tail -3 "$work/run.out"; }
"$oncekit" answers export "$work/export.jsonl" --store "$work/whole.db" >/dev/null
found=$(grep -rlaF -e "$ONCEKIT_TEST_KEY" -e sk-wr0ngwr0ngwr0ngwr0ngwr0ng "$work" | grep -v '/mock' || true)
if [ -z "$found" ]; then good "no key in stores, logs, run folders, stderr"; else bad "a key stands in: $found"; fi

exit $failed
