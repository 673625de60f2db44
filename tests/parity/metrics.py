"""Reference values of ranking metrics for tests/evaluate/data/metrics.json.

Run once, with scikit-learn 1.9 and numpy 2.4:  python tests/parity/metrics.py > tests/evaluate/data/metrics.json
Two sources: scikit-learn (auc, lrap, ndcg), and the formulas published with MIND (mrr, ndcg), written here from their
definition. Groups without ties carry all of them; groups with ties only those that scikit-learn averages over tied
orders too (auc, ndcg).
"""
import json
import sys

import numpy as np
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score, roc_auc_score

CUTS = (1, 5, 10, 20)


def mind_mrr(labels, scores):
    ranked = labels[np.argsort(-scores, kind="stable")]
    return float(np.sum(ranked / np.arange(1, len(ranked) + 1)) / ranked.sum())


def mind_ndcg(labels, scores, k):
    def dcg(ranked):
        top = ranked[:k]
        return np.sum((2.0**top - 1) / np.log2(np.arange(2, len(top) + 2)))

    return float(dcg(labels[np.argsort(-scores, kind="stable")]) / dcg(np.sort(labels)[::-1]))


def first_rank(labels, scores):
    return float(1 / (1 + np.argmax(labels[np.argsort(-scores, kind="stable")])))


def hit(labels, scores, k):
    return float(labels[np.argsort(-scores, kind="stable")][:k].any())


def recall(labels, scores, k):
    return float(labels[np.argsort(-scores, kind="stable")][:k].sum() / labels.sum())


def group(rng, size, clicked, tied):
    scores = rng.standard_normal(size).astype(np.float32)
    if tied:
        scores = rng.integers(0, max(2, size // 4), size).astype(np.float32) / 8
    else:
        assert len(np.unique(scores)) == size
    labels = np.zeros(size, dtype=np.int64)
    labels[rng.permutation(size)[:clicked]] = 1
    one = {"auc": float(roc_auc_score(labels, scores))}
    for k in CUTS:
        one[f"ndcg@{k}"] = float(ndcg_score([labels], [scores.astype(np.float64)], k=k))
    if not tied:
        one["lrap"] = float(label_ranking_average_precision_score([labels], [scores]))
        one["mrr"] = mind_mrr(labels, scores)
        one["mrr_first"] = first_rank(labels, scores)
        for k in CUTS:
            assert abs(one[f"ndcg@{k}"] - mind_ndcg(labels, scores, k)) < 1e-12
            one[f"hit@{k}"] = hit(labels, scores, k)
            one[f"recall@{k}"] = recall(labels, scores, k)
    return {"scores": [float(s) for s in scores], "labels": labels.tolist(), "tied": tied, "expected": one}


def main():
    rng = np.random.default_rng(20240304)
    shapes = [(2, 1), (3, 1), (3, 2), (5, 4), (20, 1), (20, 7), (37, 1), (37, 2), (37, 36), (64, 3), (150, 12), (283, 1), (283, 40)]
    groups = [group(rng, size, clicked, tied) for tied in (False, True) for size, clicked in shapes for _ in range(3 if size < 100 else 1)]
    json.dump(groups, sys.stdout, separators=(",", ":"))
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
