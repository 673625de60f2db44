#!/usr/bin/env bash
# tags: [abi] [slow]
# `plugins new` of every kind: the result builds, passes the test kit, and is refused nowhere.
set -euo pipefail
build=$2
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT
cd "$place"
export PATH=$build/bin:$PATH
for kind in dataset augmenter content_encoder user_encoder interaction; do
  oncekit plugins new "my_$kind" --kind $kind >/dev/null
  oncekit plugins build "my_$kind" >/dev/null
  oncekit plugins test "my_$kind/build/oncekit_my_$kind.so"
done
code=0; oncekit plugins new my_dataset --kind dataset 2>said.txt || code=$?
[ $code = 2 ] && grep -q "not empty" said.txt || { cat said.txt; echo "a folder that is there was taken, exit $code"; exit 1; }
code=0; oncekit plugins new other --kind user_encoders 2>said.txt || code=$?
[ $code = 2 ] && grep -q "did you mean 'user_encoder'" said.txt || { cat said.txt; echo "a wrong kind, exit $code"; exit 1; }
code=0; echo 'int x = "no number";' >>my_dataset/my_dataset.cpp; oncekit plugins build my_dataset 2>said.txt || code=$?
[ $code = 3 ] && grep -q "my_dataset.cpp:.*error" said.txt || { cat said.txt; echo "a source that does not compile, exit $code"; exit 1; }
