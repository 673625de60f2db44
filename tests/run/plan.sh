# tags: [unit] [recipe]
# oncekit recipes check of one recipe says what its run would find, build, ask and lack, and itself builds, asks and writes nothing.
# usage: plan.sh TREE BUILD
set -u
tree=$1 oncekit=$2/bin/oncekit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ONCEKIT_CACHE=$work/cache ONCEKIT_MODELS=$work/models ONCEKIT_ANSWERS=$work/answers/answers.db TMPDIR=$work/tmp
mkdir "$work/tmp"
cd "$tree" || exit 1
failed=0

plan() {  # recipe and options: exit code 0, the plan in JSON
  "$oncekit" recipes check "$@" --json >"$work/out" 2>"$work/err" || { echo "FAIL recipes check $*"; cat "$work/out" "$work/err"; failed=1; }
}
holds() {  # what, python condition on the plan's steps by stage: s["data"] is a list of them
  if python3 - "$work/out" "$2" <<'P'
import json, sys
(recipe,) = json.load(open(sys.argv[1]))
s = {}
for step in recipe.get("plan", []): s.setdefault(step["stage"], []).append(step)
state = lambda stage: [step["state"] for step in s[stage]]
sys.exit(not eval(sys.argv[2]))
P
  then echo "ok   $1"; else echo "FAIL $1: $2"; cat "$work/out"; failed=1; fi
}
untouched() {  # what: nothing was written since $work/before was listed
  (cd "$work" && find cache answers tmp -type f -not -path 'cache/locks/*' 2>/dev/null | sort) >"$work/after"
  if cmp -s "$work/before" "$work/after"; then echo "ok   $1"; else echo "FAIL $1"; diff "$work/before" "$work/after"; failed=1; fi
}
: >"$work/before"

plan recipes/demo.toml
holds "without its toy corpus a demo has that to make, and the rest is not known" 'state("data") == ["to do"] and "toy" in s["data"][0]["what"] and state("prepare") == ["unknown"]'
untouched "and the plan does not make it"

llama='content_encoder.use=llama content_encoder.weights=toy +content_encoder.lead=news dataset.toy=true'
"$oncekit" cache build recipes/demo.toml --quiet >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
(cd "$work" && find cache -type f -not -path 'cache/locks/*' | sort) >"$work/before"
plan recipes/demo.toml
holds "then all is ready" 'all(step["state"] == "ready" for steps in s.values() for step in steps)'
holds "the words' model has its parameters counted" '"trainable parameters" in s["prepare"][0]["what"]'
plan recipes/demo.toml --out "$work/runs"
holds "nobody knows how long training takes before the first run" '"not known" in s["train"][0]["what"] and "estimate" not in s["train"][0]'
plan recipes/demo.toml train.epochs=1 train.batch_size=100 train.accumulate=3
steps=$(sed -n 's/.* a step, \([0-9,]*\) steps at most.*/\1/p' "$work/out")
"$oncekit" run recipes/demo.toml train.epochs=1 train.batch_size=100 train.accumulate=3 train.patience=0 --quiet --out "$work/runs" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
trained=$(sed -n 's/^ *"time\/train_s": \([0-9.e-]*\).*/\1/p' "$work"/runs/*/results.json)
ran=$(sed -n 's/^ *"train\/steps": \([0-9]*\).*/\1/p' "$work"/runs/*/results.json)
if [ "$steps" = "$ran" ]; then echo "ok   and takes the $ran steps that it foretold"; else echo "FAIL $steps steps foretold, $ran taken"; failed=1; fi
plan recipes/demo.toml train.epochs=1 train.batch_size=100 train.accumulate=3 --out "$work/runs"
holds "afterwards it is told from that run" '0.2 * '"$trained"' < s["train"][0]["estimate"]["seconds"] < 5 * '"$trained"' and s["train"][0]["estimate"]["memory_bytes"] > 1e7'
first=$(basename "$work"/runs/*)
"$oncekit" run recipes/demo.toml train.epochs=1 train.batch_size=50 train.patience=0 --quiet --out "$work/runs" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
plan recipes/demo.toml train.epochs=1 train.batch_size=100 train.accumulate=3 train.patience=0 --out "$work/runs"
holds "and still is when another one with its title came later" "'$first' in s['train'][0]['what']"
plan recipes/demo.toml train.epochs=1 train.batch_size=25 --out "$work/runs"
holds "a recipe that never ran is told from the newest with its title" "'as fast as' in s['train'][0]['what'] and '$first' not in s['train'][0]['what']"

plan recipes/demo.toml $llama
holds "a toy model comes before its states" 'state("prepare") == ["to do"] and "toy-model" in s["prepare"][0]["what"]'
"$oncekit" cache build recipes/demo.toml $llama --quiet >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
rm -rf "$work"/cache/states-*
(cd "$work" && find cache -type f -not -path 'cache/locks/*' | sort) >"$work/before"
plan recipes/demo.toml $llama
holds "states are estimated" 'state("prepare") == ["to do"] and (lambda e: e["seconds"] > 0 and e["memory_bytes"] > 0 and 0 < e["result_bytes"] < e["disk_bytes"])(s["prepare"][0]["estimate"])'
untouched "and not built"
stays=$(sed -n 's/.*"result_bytes": \([0-9]*\).*/\1/p' "$work/out")
"$oncekit" cache build recipes/demo.toml $llama --quiet >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
bytes=$(stat -c %s "$work"/cache/states-*/states.bin)
if [ "$stays" = "$bytes" ]; then echo "ok   they take the $bytes bytes that were foretold"; else echo "FAIL $stays bytes foretold, $bytes taken"; failed=1; fi
plan recipes/demo.toml $llama
holds "once built they are there" 'state("prepare") == ["ready"] and "states-" in s["prepare"][0]["what"]'

(cd "$work" && find cache -type f -not -path 'cache/locks/*' | sort) >"$work/before"
plan recipes/demo.toml content_encoder.use=llama content_encoder.weights=llama13b
holds "weights that nobody has are missing, by name and place" 'state("prepare") == ["missing"] and "llama13b" in s["prepare"][0]["what"] and "models" in s["prepare"][0]["what"]'
plan recipes/mind/nrms.toml dataset.path="$work/nowhere"
holds "so are data" 'state("data") == ["missing"] and "nowhere" in s["data"][0]["what"] and state("train") == ["unknown"]'
plan tests/run/augment.toml 'augment=["summary"]' dataset.toy=true endpoint.url=http://127.0.0.1:9 endpoint.key= endpoint.input_price=1.5 endpoint.output_price=2
holds "answers are to be asked for, at a price" 'state("augment") == ["to do"] and s["augment"][0]["cost_usd"] > 0 and state("prepare") == ["unknown"]'
untouched "and no answer store is made"
plan tests/run/augment.toml 'augment=["summary"]' dataset.toy=true endpoint.url=http://127.0.0.1:9 endpoint.key= answers.ask=false answers.min_coverage=0.5
holds "or missing, where none may be asked for" 'state("augment") == ["missing"] and "50.0%" in s["augment"][0]["what"]'

"$oncekit" recipes check recipes/demo.toml recipes/mind/nrms.toml >"$work/out" 2>&1 || { cat "$work/out"; failed=1; }
if [ "$(wc -l <"$work/out")" = 2 ]; then echo "ok   several recipes get a line each"; else echo "FAIL several recipes"; cat "$work/out"; failed=1; fi
exit $failed
