#!/usr/bin/env bash
# Runs one test for ctest: a Catch2 program, or a script that says its tags in a line "# tags: [unit] [abi]".
# ONCEKIT_TEST_TAGS is a Catch2 expression; "~[slow]" when unset. Nothing to run ends in 77, which ctest counts as skipped.
set -u
test=$1; shift
tags=${ONCEKIT_TEST_TAGS:-~[slow]}

if [[ $test == *.sh ]]; then
  own=$(sed -n 's/^# tags: *//p' "$test" | head -1)
  run=no
  IFS=, read -ra any <<<"$tags"   # [a][b] means both, a comma either, ~ not
  for all in "${any[@]}"; do
    fits=yes
    if [[ $all != *\[* && $all != '*' ]]; then fits=no; fi   # names of Catch2 tests
    while read -r tag; do
      [ -n "$tag" ] || continue
      if [[ $tag == ~* ]]; then [[ $own != *"${tag#\~}"* ]] || fits=no; else [[ $own == *"$tag"* ]] || fits=no; fi
    done < <(grep -oE '~?\[[^]]*\]' <<<"$all")
    if [ $fits = yes ]; then run=yes; fi
  done
  if [ $run = no ]; then echo "no test with tags $tags here"; exit 77; fi
  if [ -n "${ONCEKIT_TEST_MARK:-}" ]; then : >"$ONCEKIT_TEST_MARK"; fi
  exec bash "$test" "$@"
fi

found=$("$test" --list-test-names-only "$tags" 2>/dev/null | grep -c .)
if [ "$found" -eq 0 ]; then echo "no test with tags $tags here"; exit 77; fi
if [ -n "${ONCEKIT_TEST_MARK:-}" ]; then : >"$ONCEKIT_TEST_MARK"; fi
exec "$test" --durations no "$tags" "$@"
