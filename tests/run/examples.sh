# tags: [recipe]
# Every example that a --help ends with runs, as it stands there. What an example supposes (a run, a store, a log) is made first, and names that
# stand for something are replaced by real ones.
# usage: examples.sh TREE BUILD
set -u
tree=$1 oncekit=$2/bin/oncekit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset ONCEKIT_CACHE ONCEKIT_ANSWERS
mkdir "$work/here"
cd "$work/here" || exit 1
cp -r "$tree"/{recipes,prompts,docs,tests} .
failed=0 count=0

made() { "$oncekit" "$@" --quiet >"$work/log" 2>&1 || { echo "FAIL before the examples: $*"; cat "$work/log"; exit 1; }; }
made run recipes/demo.toml train.epochs=1 --out runs
made run recipes/demo.toml train.epochs=1 train.lr=1e-3 --out runs
for lr in 1e-3 3e-3; do made sweep recipes/mind/nrms.toml --demo run.seed=1,2 train.lr=$lr train.max_steps=20 --out runs; done
made augment recipes/llama13b_nrms_gpt.toml --demo
mkdir answers && cp cache/demo-answers.db answers/answers.db
"$oncekit" answers export answers.jsonl >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
printf 'N1\tA quiet harbour\nN2\tSnow on the pass\n' >book_summarizer.log
printf '{"uid": 0, "news": "A harbour at night"}\n{"uid": 1, "news": "Snow again"}\n' >generator_v2.log
printf 'U1\nU2\n' >users.tsv
key=$(sed -n 's/.*"key":"\(N[0-9]*\)".*/\1/p' answers.jsonl | head -n 1)
request=$(sed -n 's/.*"request":"\([0-9a-f]\{10\}\)[0-9a-f]*".*/\1/p' answers.jsonl | head -n 1)
runs=(runs/*_demo_*) sweeps=(runs/sweeps/*)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

server=
serve() {  # options of mock-llm: false when it does not come up
  (eval "exec \"\$oncekit\" mock-llm $1") >"$work/server" 2>&1 &
  server=$!
  for _ in $(seq 100); do ! grep -q 'http://' "$work/server" || return 0; sleep 0.1; done
  cat "$work/server"; return 1
}
stop() { [ -z "$server" ] || { kill -INT $server; wait $server; server=; } 2>/dev/null; }
trap 'stop; rm -rf "$work"' EXIT

commands() {  # of a command: its subcommands, or itself
  local inner
  inner=$("$oncekit" $1 --help | awk '/^Subcommands:/ {on = 1; next} !/^  / {on = 0} on {print $1}')
  if [ -z "$inner" ]; then echo "$1"; return; fi
  local name
  for name in $inner; do commands "$1 $name"; done
}
while IFS= read -r command; do
  "$oncekit" $command --help | sed -n '/^Examples:/,$p' | sed -n 's/^  oncekit /oncekit /p' >"$work/examples"
  [ -s "$work/examples" ] || { echo "FAIL oncekit$command has no example"; failed=1; }
  while IFS= read -r line <&3; do
    count=$((count + 1))
    case $line in
      *'plugins new'* | *'plugins build'*) continue ;;   # tests/build/plugin_new.sh: they compile
    esac
    run=$(sed -e "s#/tmp/#$work/#g" -e "s#RUN_A#${runs[0]}#g" -e "s#RUN_B#${runs[1]}#g" -e "s#runs/sweeps/A#${sweeps[0]}#" -e "s#runs/sweeps/B#${sweeps[1]}#" -e "s#\bRECIPE\b#recipes/llama13b_nrms_gpt.toml --demo --limit 1#" \
      -e "s#N12345#$key#" -e "s#5f0c9ab27e#$request#" -e "s#8765#$port#" <<<"$line")
    if [[ $line == 'oncekit mock-llm'* ]]; then
      serve "${run#oncekit mock-llm}"; code=$?
      stop
    else
      case $line in *":8765"*) serve "--port $port" ;; esac
      (eval "\"\$oncekit\" ${run#oncekit}") >"$work/out" 2>&1 </dev/null; code=$?
      stop
    fi
    if [ $code != 0 ]; then echo "FAIL $line: exit code $code"; tail -n 20 "$work/out"; failed=1; fi
  done 3<"$work/examples"
done < <(commands "")
[ $count -ge 50 ] || { echo "FAIL only $count examples were found"; failed=1; }
echo "$count examples"
exit $failed
