"""How sure a number is, and whether two systems differ: bootstrap, permutation, Holm, rank correlation.

The unit is always the clip: resampling frames or seconds would count one clip many times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from phonofilm.signals.validation import Floats, finite, vector


@dataclass(frozen=True)
class Interval:
    """A value and the limits within which it lies at the given confidence."""

    value: float
    low: float
    high: float
    level: float = 0.95


def bootstrap_interval(
    values: ArrayLike,
    statistic: Callable[[Floats], float] = lambda rows: float(np.mean(rows)),
    level: float = 0.95,
    resamples: int = 2000,
    method: Literal["bca", "percentile"] = "bca",
    seed: int = 0,
) -> Interval:
    """Bootstrap interval of a statistic of clips (Efron 1987; BCa corrects bias and skew).

    Args:
        values: one row per clip, [N] or [N, ...].
        statistic: rows to number. For a distance between sets, pass features: `lambda g: frechet_distance(g, real)`.
            Distances that grow with repeated rows (Fréchet) need "percentile" and are still wide; prefer KAD.

    Raises:
        ValueError: fewer than 2 clips, NaN, or a level outside 0 … 1.
    """
    rows = _clips(values, level, resamples)
    rng = np.random.default_rng(seed)
    count = len(rows)
    draws = np.array([statistic(rows[rng.integers(0, count, count)]) for _ in range(resamples)])
    value = float(statistic(rows))
    ends = np.array([(1 - level) / 2, (1 + level) / 2])
    if method == "bca":
        ends = _accelerated(rows, statistic, value, draws, ends)
    elif method != "percentile":
        raise ValueError(f"unknown bootstrap method {method!r}: choose bca or percentile")
    low, high = np.quantile(draws, ends)
    return Interval(value, float(low), float(high), level)


def _clips(values: ArrayLike, level: float, resamples: int) -> Floats:
    rows = finite(values, "values")
    if rows.ndim < 1 or len(rows) < 2:
        raise ValueError("an interval needs at least 2 clips")
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"a level between 0 and 1 and 1 resample or more, not {level} and {resamples}")
    return rows


def _accelerated(
    rows: Floats, statistic: Callable[[Floats], float], value: float, draws: Floats, ends: Floats
) -> Floats:
    """The shares of the draws at which BCa cuts, from the bias z0 and the acceleration of the jackknife."""
    below = (np.sum(draws < value) + 0.5 * np.sum(draws == value)) / len(draws)
    bias = stats.norm.ppf(np.clip(below, 0.5 / len(draws), 1 - 0.5 / len(draws)))
    left_out = np.array([statistic(np.delete(rows, i, axis=0)) for i in range(len(rows))])
    away = left_out.mean() - left_out
    spread = float((away**2).sum())
    acceleration = float((away**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    z = bias + stats.norm.ppf(ends)
    return stats.norm.cdf(bias + z / (1 - acceleration * z))


@dataclass(frozen=True)
class Comparison:
    """`difference` is mean(generated) − mean(other); `p` is two-sided."""

    difference: float
    p: float


def paired_permutation_test(
    generated: ArrayLike, other: ArrayLike, permutations: int = 10_000, seed: int = 0
) -> Comparison:
    """Do two systems differ on the same clips? Signs of the paired differences are flipped at random.

    Exact (all 2^N sign patterns) up to 13 clips; else (1 + as extreme) / (1 + permutations), never 0.
    """
    first, second = vector(generated, "first scores", least=2), vector(other, "second scores", least=2)
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} scores must pair clip by clip")
    gaps = first - second
    count, seen = len(gaps), abs(gaps.mean())
    tolerance = 1e-12 * (np.abs(gaps).max() + 1e-300)
    if 2**count <= 8192:
        signs = np.array(list(product((-1.0, 1.0), repeat=count)))
        extreme = np.abs(signs @ gaps / count) >= seen - tolerance
        return Comparison(float(gaps.mean()), float(extreme.mean()))
    rng = np.random.default_rng(seed)
    extreme_count = 0
    for first_row in range(0, permutations, 1000):
        signs = rng.choice((-1.0, 1.0), size=(min(1000, permutations - first_row), count))
        extreme_count += int((np.abs(signs @ gaps / count) >= seen - tolerance).sum())
    return Comparison(float(gaps.mean()), (1 + extreme_count) / (1 + permutations))


def holm(p_values: ArrayLike) -> Floats:
    """p-values [N] adjusted for N tests, so that the chance of any false alarm stays below the level (Holm 1979)."""
    p = vector(p_values, "p-values", least=0)
    if ((p < 0) | (p > 1)).any():
        raise ValueError("p-values must lie between 0 and 1")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def spearman(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> Interval:
    """Rank correlation −1 … 1 with ties, and its interval by Fisher's z (Bonett and Wright 2000).

    Raises:
        ValueError: fewer than 4 pairs, or one side without any differences, where ranks mean nothing.
    """
    x, y = vector(first, "first scores", least=4), vector(second, "second scores", least=4)
    if len(x) != len(y):
        raise ValueError(f"{len(x)} and {len(y)} scores must pair")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        raise ValueError("a rank correlation needs scores that differ")
    value = float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])
    if abs(value) >= 1 - 1e-12:
        return Interval(round(value, 12), round(value, 12), round(value, 12), level)
    reach = stats.norm.ppf((1 + level) / 2) * np.sqrt((1 + value**2 / 2) / (len(x) - 3))
    low, high = np.tanh(np.arctanh(value) + np.array([-reach, reach]))
    return Interval(value, float(low), float(high), level)


def resampled(count: int, resamples: int, seed: int = 0) -> NDArray[np.int64]:
    """Indices [resamples, count] of bootstrap draws, to resample several metrics by the same clips."""
    if count < 2 or resamples < 1:
        raise ValueError(f"bootstrap draws need 2 clips and 1 resample or more, not {count} and {resamples}")
    return np.random.default_rng(seed).integers(0, count, (resamples, count))
