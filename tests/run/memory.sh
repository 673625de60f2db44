# tags: [fault]
# Memory that runs out gives one paragraph and exit code 1, not an abort: in a batch that is too large, and where no catch can be.
# usage: memory.sh TREE BUILD
set -u
tree=$1 oncekit=$2/bin/oncekit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$tree" || exit 1
failed=0

limited() {  # KiB of data, more arguments
  local limit=$1; shift
  (ulimit -d "$limit"; ulimit -c 0; exec "$oncekit" run recipes/demo.toml --threads 1 --out "$work/runs" --cache "$work/cache" -q "$@") >"$work/out" 2>"$work/err"
  local code=$?
  if [ $code = 1 ] && [ "$(grep -c . "$work/err")" = 1 ] && grep -q '^error: .*out of memory' "$work/err"; then echo "ok   $limit KiB"
  else echo "FAIL $limit KiB: exit code $code"; cat "$work/err"; failed=1; fi
}
limited 200000 train.batch_size=100000
limited 60000
exit $failed
