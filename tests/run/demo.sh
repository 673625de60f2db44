# tags: [recipe]
# The demo reaches most of what its toy corpus allows while untrained rankers do not; and two negative controls: permuted training
# labels give chance, other people's histories lose the personal gain.
# usage: demo.sh TREE BUILD
set -u
tree=$1 oncekit=$2/bin/oncekit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ONCEKIT_CACHE=$work/cache
cd "$tree" || exit 1
failed=0

run() {  # name, overrides ...
  local name=$1; shift
  "$oncekit" run recipes/demo.toml --quiet --out "$work/$name" "$@" >"$work/$name.log" 2>&1 || { cat "$work/$name.log"; exit 1; }
}
result() { sed -n "s|^ *\"$2\": \([-0-9.e+]*\),\{0,1\}$|\1|p" "$work/$1"/*/results.json; }
holds() {  # what, awk condition
  if awk "BEGIN { exit !($2) }"; then echo "ok   $1: $2"; else echo "FAIL $1: $2"; failed=1; fi
}
# Standard error of the mean AUC over impressions.
error_of() {
  awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "auc") c = i; next } $c != "" && $c != "nan" { n++; s += $c; q += $c * $c }
           END { m = s / n; print sqrt((q / n - m * m) / n) }' "$work/$1"/*/per_group.csv
}

run demo
run permuted train.permute_labels=true
run strangers run.shuffle_histories=true

best=$(result demo data/best_auc) auc=$(result demo test/auc)
holds "the best possible AUC is in its range" "$best >= 0.75 && $best <= 0.85"
holds "at least 85% of the possible gain" "($auc - 0.5) / ($best - 0.5) >= 0.85"
holds "popularity tells nothing" "$(result demo rankers/popularity/test/auc) <= 0.55"
holds "word overlap stays below 40% of the possible gain" "$(result demo rankers/tfidf/test/auc) - 0.5 <= 0.4 * ($best - 0.5)"
holds "ids alone stay below 20% on unseen items" "$(result demo rankers/item_knn/test/cold/auc) - 0.5 <= 0.2 * ($best - 0.5)"
holds "seen and cold items are learnt alike" "$(result demo test/cold/auc) - 0.5 >= 0.7 * ($auc - 0.5)"
permuted=$(result permuted test/auc) error=$(error_of permuted)
holds "permuted labels give chance within two standard errors" "$permuted - 0.5 <= 2 * $error && 0.5 - $permuted <= 2 * $error"
strangers=$(result strangers test/auc) error=$(error_of strangers)
holds "strangers' histories lose the personal gain" "$strangers - 0.5 <= 0.1 * ($auc - 0.5) + 2 * $error"
exit $failed
