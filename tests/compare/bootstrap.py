"""Writes data/bootstrap.json: the two-level bootstrap of docs/metrics.md with numpy's random numbers, and Holm's
correction. Another program, other draws, the same definitions. Run: python tests/compare/bootstrap.py"""
import json
import pathlib

import numpy as np

REPLICATES = 200_000


def spread(residuals):
    """Variance of the mean over seeds that users x seeds noise leaves, summed over users. residuals: [seeds, users]."""
    return residuals.var(axis=0, ddof=1).sum() / len(residuals) if len(residuals) > 1 else 0.0


def seed_level(rng, values, plain):
    n = len(values)
    if n < 2:
        return np.zeros(REPLICATES)
    shift = rng.choice(values, size=(REPLICATES, n)).mean(axis=1) - values.mean()
    return shift * (np.sqrt(n / (n - 1)) if plain is None else np.sqrt(n / plain.chisquare(n - 1, REPLICATES)))


def study(name, seeds_a, seeds_b, paired, users, of_seed, of_user, of_both, truth):
    rng = np.random.default_rng(abs(hash_of(name)))
    groups = rng.integers(1, 5, users).astype(float)
    shared = rng.normal(0.6, 0.2, users)
    a = groups * (shared + rng.normal(0, of_seed, (seeds_a, 1)) + rng.normal(0, of_both, (seeds_a, users)))
    b = groups * (shared + truth + rng.normal(0, of_user, users) + rng.normal(0, of_seed, (seeds_b, 1)) + rng.normal(0, of_both, (seeds_b, users)))
    total = groups.sum()
    mean_a, mean_b = a.sum(axis=1) / total, b.sum(axis=1) / total
    value = mean_b.mean() - mean_a.mean()

    res_a, res_b = a - mean_a[:, None] * groups, b - mean_b[:, None] * groups
    both = ((res_b.mean(axis=0) - res_a.mean(axis=0)) ** 2).sum()
    noise = spread(res_b - res_a) if paired else spread(res_a) + spread(res_b)
    keep = np.sqrt(max(0.0, 1 - noise / both))

    per_user = b.mean(axis=0) - a.mean(axis=0)
    level2 = np.empty(REPLICATES)
    for i in range(0, REPLICATES, 10_000):
        times = rng.multinomial(users, np.full(users, 1 / users), size=10_000)
        level2[i:i + 10_000] = keep * ((times @ per_user) / (times @ groups) - value)
    if paired:
        wide, plain = seed_level(rng, mean_b - mean_a, rng), seed_level(rng, mean_b - mean_a, None)
    else:
        wide = seed_level(rng, mean_b, rng) - seed_level(rng, mean_a, rng)
        plain = seed_level(rng, mean_b, None) - seed_level(rng, mean_a, None)
    replicates = value + level2 + wide
    p = min(1.0, 2 * (1 + min((replicates <= 0).sum(), (replicates >= 0).sum())) / (REPLICATES + 1))
    return {"name": name, "seeds_a": seeds_a, "seeds_b": seeds_b, "paired": paired, "groups": groups.tolist(), "a": a.ravel().tolist(), "b": b.ravel().tolist(),
            "value": value, "error": (level2 + plain).std(), "low": np.quantile(replicates, 0.025), "high": np.quantile(replicates, 0.975), "p": p}


def hash_of(name):
    return sum(ord(c) * 31 ** i for i, c in enumerate(name)) % 2**32


def holm(p):
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate((len(p) - np.arange(len(p))) * np.asarray(p)[order]))
    return corrected.tolist()


studies = [study("five seeds, paired", 5, 5, True, 40, 0.01, 0.1, 0.1, 0.03), study("five and four seeds", 5, 4, False, 40, 0.01, 0.1, 0.1, 0.03),
           study("one seed", 1, 1, False, 60, 0.0, 0.2, 0.0, 0.03), study("users alone", 5, 5, True, 60, 0.0, 0.2, 0.0, 0.03),
           study("seeds alone", 8, 8, True, 30, 0.02, 0.0, 0.0, 0.03)]
draws = np.random.default_rng(4)
corrections = [{"p": p, "corrected": holm(p)} for p in (draws.uniform(0, 0.1, n).round(4).tolist() for n in (1, 2, 5, 12))]
out = pathlib.Path(__file__).parent / "data" / "bootstrap.json"
out.write_text(json.dumps({"studies": studies, "holm": corrections}) + "\n")
for s in studies:
    print(s["name"], {k: round(float(s[k]), 5) for k in ("value", "error", "low", "high", "p")})
