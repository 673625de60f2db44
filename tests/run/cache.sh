# tags: [fault]
# The cache commands as a user meets them: build, ls, verify after a byte has changed, clean; and what a missing model says.
# usage: cache.sh TREE BUILD
set -u
tree=$1 oncekit=$2/bin/oncekit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ONCEKIT_CACHE=$work/cache
cd "$tree" || exit 1
failed=0

expect() {  # what, exit code, text that must be said, command ...
  local what=$1 code=$2 text=$3; shift 3
  "$oncekit" "$@" >"$work/out" 2>&1 </dev/null
  local got=$?
  if [ $got = "$code" ] && grep -q -- "$text" "$work/out"; then echo "ok   $what"; else echo "FAIL $what: exit $got"; cat "$work/out"; failed=1; fi
}

expect "build makes corpus, model and states" 0 '^built  states-' cache build recipes/bert_naml.toml --demo --quiet
expect "a second build finds them" 0 '^found  states-' cache build recipes/bert_naml.toml --demo --quiet
expect "ls lists them" 0 'whole' cache ls
expect "all is good" 0 '0 damaged' cache verify
states=$(echo "$ONCEKIT_CACHE"/states-*/states.bin)
printf '\377\376' | dd of="$states" bs=1 seek=101 conv=notrunc 2>/dev/null
expect "a changed byte is found and named" 4 'states.bin has other content' cache verify
expect "clean removes entries of a kind" 0 "removed 1 entry" cache clean --kind states --yes
[ ! -e "$states" ] || { echo "FAIL the damaged entry is still there"; failed=1; }
expect "the next build makes it anew" 0 '^built  states-' cache build recipes/bert_naml.toml --demo --quiet
mkdir "$ONCEKIT_CACHE/states-0123456789abcdef.part"; echo x >"$ONCEKIT_CACHE/states-0123456789abcdef.part/boundary.0001.part"
expect "what a killed build left is seen" 0 'partial' cache ls
expect "and removed" 0 'removed 1 entry' cache clean --yes
cp -r datasets/mind/sample "$work/mind"
expect "without weights one paragraph says what to put where" 4 "no language model 'bert-base-uncased'" \
  run recipes/bert_naml.toml --quiet --models "$work/models" --out "$work/runs" dataset.path="$work/mind" '~dataset.split_list'
exit $failed
