# tags: [fault]
# Data that a run can live with, and data that changed under it: splits without labels or without rows, a run continued on other data, a folder that is not
# there, damaged run folders beside the good ones.
# usage: odd_data.sh TREE BUILD
set -u
tree=$1 oncekit=$2/bin/oncekit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$tree" || exit 1
export ONCEKIT_CACHE=$work/cache OMP_WAIT_POLICY=passive
failed=0
good() { echo "ok   $*"; }
bad() { echo "FAIL $*"; cat "$work/out" "$work/err"; failed=1; }
demo() { "$oncekit" "$1" tests/run/kill.toml -q dataset.toy=false "${@:2}" >"$work/out" 2>"$work/err"; }
says() { if grep -qF -- "$2" "$work/out" "$work/err"; then good "$1"; else bad "$1"; fi; }
ends() { if [ "$2" = "$3" ]; then good "$1"; else bad "$1: exit code $2, expected $3"; fi; }
toy() { "$oncekit" data toy "$work/$1" --layout "$2" --items 400 --users 200 --train 600 --dev 100 --test 150 >/dev/null || exit 1; }

# A test split without labels, as MIND-large's.
toy mind mind
behaviors=$work/mind/test/behaviors.tsv
sed -i 's/-[01]\b//g' "$behaviors"
demo run dataset.path="$work/mind" train.max_steps=4 --out "$work/unlabelled"; ends "a test split without labels is no failure" $? 0
if python3 - "$work"/unlabelled/*/ "$behaviors" <<'P'
import json, sys
run, behaviors = sys.argv[1:]
results = json.load(open(run + "results.json"))
assert "dev/auc" in results and "rankers/popularity/dev/auc" in results and not any("test/" in name for name in results)
shown = [line.rstrip("\n").split("\t") for line in open(behaviors)]
lines = open(run + "prediction.txt").read().splitlines()
assert len(lines) == len(shown) > 0
for line, row in zip(lines, shown):
    name, ranks = line.split(" ", 1)
    assert name == row[0] and sorted(json.loads(ranks)) == list(range(1, len(row[4].split()) + 1)), line
P
then good "dev is measured, and test's candidates are ranked"; else bad "prediction"; fi

# Only a training split.
toy table table
rm "$work/table/test.tsv"
demo run dataset.use=table dataset.path="$work/table" dataset.split=user dataset.dev_share=0 dataset.test_share=0 train.max_steps=4 --out "$work/train_only"
ends "a run without dev and test" $? 0
says "says what that means" "no labelled dev split"
demo run dataset.use=table dataset.path="$work/nowhere" --out "$work/none"; ends "a folder that is not there" $? 4
says "is named, not its columns" "nowhere"

# What decides the checkpoint must be measured: said before any step.
demo run dataset.path="$work/mind" train.monitor=hit@10 --out "$work/none"; ends "a monitor that is no metric" $? 2
says "is named with those there are" "ndcg@10"
if [ -e "$work/none" ] && ls "$work"/none/*/checkpoints >/dev/null 2>&1; then bad "before training"; else good "before training"; fi

# Data that change while a run is interrupted.
toy other mind
(exec "$oncekit" run tests/run/kill.toml -q dataset.toy=false dataset.path="$work/other" train.epochs=40 --out "$work/changed") >"$work/out" 2>&1 &
pid=$!
for _ in $(seq 600); do ls "$work"/changed/*/checkpoints/last >/dev/null 2>&1 && break; sleep 0.1; done
kill -9 $pid; wait $pid 2>/dev/null
run=$(ls -d "$work"/changed/*/)
cp "$work/other/train/behaviors.tsv" "$work/kept.tsv"
head -n -20 "$work/kept.tsv" >"$work/other/train/behaviors.tsv"
"$oncekit" run "$run" -q >"$work/out" 2>"$work/err"; ends "a run is not continued on other data" $? 2
says "and says how" "--accept-environment"
cp "$work/kept.tsv" "$work/other/train/behaviors.tsv"
timeout -s INT 3 "$oncekit" run "$run" -q >"$work/out" 2>"$work/err"; code=$?   # whether it goes on is asked, not to where
if [ $code = 0 ] || [ $code = 124 ]; then good "on its own data it goes on"; else bad "on its own data: exit code $code"; fi

# One damaged folder hides no other.
mkdir -p "$work/unlabelled/20260101-000000_broken_s1_abcd"
echo "x = 1" >"$work/unlabelled/20260101-000000_broken_s1_abcd/recipe.resolved.toml"
echo "{" >"$work/unlabelled/20260101-000000_broken_s1_abcd/status.json"
"$oncekit" runs ls --out "$work/unlabelled" >"$work/out" 2>"$work/err"; ends "runs ls beside a damaged run" $? 0
says "names it as such" "damaged"
says "and shows the others" " done "
"$oncekit" recipes check tests/run/kill.toml --out "$work/unlabelled" >"$work/out" 2>"$work/err"; ends "so does recipes check" $? 0
exit $failed
