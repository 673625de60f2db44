# tags: [unit] [fault]
# oncekit cache: build, ls, verify and clean on the demo recipe; a language model's states, killed while they are built, come out the same.
# usage: cache.sh TREE BUILD
set -u
tree=$1 oncekit=$2/bin/oncekit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ONCEKIT_CACHE=$work/cache
cd "$tree" || exit 1
failed=0

says() {  # what, text that the last output holds
  if grep -qF -- "$2" "$work/out"; then echo "ok   $1"; else echo "FAIL $1: no '$2' in"; cat "$work/out"; failed=1; fi
}
silent() {  # what, text that the last output lacks
  if grep -qF -- "$2" "$work/out"; then echo "FAIL $1: '$2' in"; cat "$work/out"; failed=1; else echo "ok   $1"; fi
}
cache() {  # expected exit code, arguments
  local expected=$1; shift
  "$oncekit" cache "$@" >"$work/out" 2>&1 </dev/null
  local code=$?
  if [ $code != "$expected" ]; then echo "FAIL cache $*: exit code $code, expected $expected"; cat "$work/out"; failed=1; fi
}
json() { python3 -c "import json,sys; d=json.load(open('$work/out')); print($1)"; }
holds() {  # what, python condition on the last output d
  if [ "$(json "bool($2)")" = True ]; then echo "ok   $1"; else echo "FAIL $1: $2 on"; cat "$work/out"; failed=1; fi
}

cache 0 ls
says "an empty cache is said to be empty" "nothing is cached in $work/cache"
cache 0 ls --json
holds "and is an empty list" "d['entries'] == [] and d['bytes'] == 0"

cache 0 build recipes/demo.toml -q
says "build says what it built" "built  toy-"
cache 0 build recipes/demo.toml -q --json
holds "the second time it is found" "len(d) == 1 and not d[0]['built'] and d[0]['bytes'] > 1000 and d[0]['seconds'] < 1"
cache 0 ls
says "ls says what an entry is of" "layout mind, seed 2023"
says "ls sums up" "1 entry, "
cache 0 verify -q
says "what was built is good" "1 good, 0 damaged, 0 not verifiable"

# Damage: one byte, with the clock as before.
toy=$(ls -d "$work"/cache/toy-*)
name=$(basename "$toy")
news=$toy/train/news.tsv
cp -p "$news" "$work/news"
byte=$(dd if="$news" bs=1 skip=777 count=1 2>/dev/null | od -An -tu1 | tr -d ' ')
printf "\\$(printf %o $((byte ^ 1)))" | dd of="$news" bs=1 seek=777 conv=notrunc 2>/dev/null
touch -r "$work/news" "$news"
cache 4 verify -q
says "a flipped byte is found and named" "$news has other content"
says "and what to do" "oncekit cache clean $name"
cache 4 verify toy -q --json
sed -i '/^error: /,$d' "$work/out"
holds "in JSON too" "d[0]['verdict'] == 'damaged' and d[0]['faults'][0]['file'] == 'train/news.tsv'"
cp -p "$work/news" "$news"
cache 0 verify -q
truncate -s 1000 "$news"
cache 4 verify -q
says "a file that was cut is named" "$news has 1000 bytes, "
rm "$news"
cache 4 verify -q
says "a file that is missing is named" "$news is missing"
cp -p "$work/news" "$news"
mv "$toy/files.tsv" "$work/files.tsv"
cache 0 verify -q
says "without a list of files nothing can be said" "0 good, 0 damaged, 1 not verifiable"
mv "$work/files.tsv" "$toy/files.tsv"
cache 2 verify tay -q
says "a wrong name gets the nearest" "did you mean 'toy'?"

# Cleaning.
cache 0 clean
says "a clean cache has nothing to clean" "nothing to clean"
cache 0 clean "$name" --dry-run
says "a dry run removes nothing" "a dry run: nothing was removed"
cache 2 clean --all
says "without a terminal it needs --yes" "add --yes"
cache 2 clean --all --kind toy
cache 0 clean --kind states --yes
cache 0 clean --older-than 1 --yes
[ -e "$toy/key.txt" ] || { echo "FAIL something removed the toy corpus"; failed=1; }
mkdir "$work/cache/states-0123456789abcdef.part"
cache 0 ls
says "what a killed build left is partial" "partial"
cache 0 clean --yes --json
holds "and is cleaned alone" "d['removed'] == ['states-0123456789abcdef.part']"
# A builder holds its entry's lock: its folder stays whatever is asked for.
mkdir "$work/cache/states-0123456789abcdef.part"
flock "$work/cache/locks/states-0123456789abcdef" "$oncekit" cache clean --all --yes >"$work/out" 2>&1
says "the rest is cleaned" "removed 1 entry"
[ -e "$work/cache/states-0123456789abcdef.part" ] || { echo "FAIL cleaned what was being built"; failed=1; }
[ ! -e "$toy" ] || { echo "FAIL --all left the toy corpus"; failed=1; }
cache 0 clean --yes

# Language-model states: whole, then killed again and again while being built. exec: the number in $! is the program's own.
llama() { exec "$oncekit" cache build recipes/demo.toml content_encoder.use=llama --demo -q --threads 1 "$@"; }
(llama --cache "$work/whole") >"$work/out" 2>&1 || { cat "$work/out"; exit 1; }
llama --cache "$work/cache" >"$work/out" 2>&1 & pid=$!
states=$(basename "$work"/whole/states-*)
await_states() {  # until they are being built; false when the program ended before that
  for _ in $(seq 6000); do
    if [ -e "$work/cache/$states.part/key.txt" ]; then return 0; fi
    kill -0 $pid 2>/dev/null || return 1
    sleep 0.003
  done
}
if await_states; then
  kill -INT $pid
  wait $pid
  code=$?
  if [ $code = 130 ]; then says "after Ctrl-C it says how to go on" "the same command goes on"; else echo "     stopped too late: exit code $code"; fi
fi
llama --cache "$work/cache" >"$work/out" 2>&1 & pid=$!
kills=0 resumable=0
for delay in 0 0.02 0.04 0.06; do
  await_states || break
  sleep $delay
  kill -9 $pid 2>/dev/null && kills=$((kills + 1))
  wait $pid 2>/dev/null
  cache 0 ls --json
  if [ "$(json "any(e['resumable'] for e in d['entries'])")" = True ]; then resumable=$((resumable + 1)); fi
  llama --cache "$work/cache" >"$work/out" 2>&1 & pid=$!
done
wait $pid || { echo "FAIL going on after a kill"; cat "$work/out"; failed=1; }
echo "     $kills kills, after $resumable of them there was something to go on from"
cache 0 verify -q
silent "nothing is damaged after kills" "damaged  "
cache 0 ls --json
holds "nothing partial is left" "all(e['state'] == 'whole' for e in d['entries']) and any(e['kind'] == 'states' for e in d['entries'])"
if cmp "$work/whole/$states/states.bin" "$work/cache/$states/states.bin"; then echo "ok   killed and uninterrupted states are the same, byte by byte"; else failed=1; fi
cache 2 build recipes/demo.toml --pooled all -q
says "pooled states are of language models only" "unknown key 'keep_pooled'"
cache 4 build recipes/demo.toml content_encoder.use=llama content_encoder.weights=llama1-13b --models "$work/models" -q
says "missing weights are said in one paragraph" "there is no language model 'llama1-13b'"

# A whole recipe with a language model: damaged states are found, cleaned and made anew.
cache 0 clean --all --yes
cache 0 build recipes/bert_naml.toml --demo -q
says "build makes corpus, model and states" "built  states-"
cache 0 build recipes/bert_naml.toml --demo -q
says "a second build finds them" "found  states-"
file=$(echo "$work"/cache/states-*/states.bin)
printf '\377\376' | dd of="$file" bs=1 seek=101 conv=notrunc 2>/dev/null
cache 4 verify -q
says "changed states are found and named" "states.bin has other content"
cache 0 clean --kind states --yes
says "clean removes entries of a kind" "removed 1 entry"
[ ! -e "$file" ] || { echo "FAIL the damaged entry is still there"; failed=1; }
cache 0 build recipes/bert_naml.toml --demo -q
says "the next build makes them anew" "built  states-"
cp -r datasets/mind/sample "$work/mind"
"$oncekit" run recipes/bert_naml.toml -q --models "$work/models" --out "$work/runs" dataset.path="$work/mind" '~dataset.split_list' >"$work/out" 2>&1
[ $? = 4 ] || { echo "FAIL a run without weights did not end with exit code 4"; failed=1; }
says "a run without weights says in one paragraph what to put where" "no language model 'bert-base-uncased'"
exit $failed
