"""How sure a number is, and whether two systems differ: bootstrap, permutation, Holm, rank correlation.

The unit is always the clip: resampling frames or seconds would count one clip many times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
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


def of_few_clips(found: Interval, clips: int, bounds: tuple[float, float] | None = None) -> Interval:
    """A bootstrap interval of a mean over clips, corrected for their number.

    Draws of few clips spread too little, by √((n − 1)/n) and by normal for Student's quantiles (Hesterberg 2015,
    "What teachers should know about the bootstrap", §3.2): for 4 clips limits move 1.9 times as far out, for 64 1.03.
    Clips that all score the same say nothing of their spread; for shares within `bounds` Clopper and Pearson's exact
    limits then take the clips as so many trials.

    Args:
        bounds: least and greatest value that one clip can have, or None.
    """
    if clips < 1 or not np.isfinite([found.value, found.low, found.high]).all():
        return found
    tail = (1 - found.level) / 2
    if bounds is not None and (clips == 1 or found.high - found.low <= 1e-12):
        least, most = bounds
        hits = (found.value - least) / (most - least) * clips
        low = float(stats.beta.ppf(tail, hits, clips - hits + 1)) if hits > 0 else 0.0
        high = float(stats.beta.ppf(1 - tail, hits + 1, clips - hits)) if hits < clips else 1.0
        return Interval(found.value, least + low * (most - least), least + high * (most - least), found.level)
    if clips < 2:
        return found
    wider = float(stats.t.ppf(1 - tail, clips - 1) / stats.norm.ppf(1 - tail)) * np.sqrt(clips / (clips - 1))
    low, high = (found.value + wider * (limit - found.value) for limit in (found.low, found.high))
    if bounds is not None:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return Interval(found.value, float(low), float(high), found.level)


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


@lru_cache(maxsize=8)
def _signs(count: int, permutations: int, seed: int) -> NDArray[np.float32]:
    """Sign patterns [P, count]: all 2^count of them where these are no more than asked for, else random ones.

    The first pattern is the one that was observed. All tests of as many clips share their patterns.
    """
    if 2**count <= permutations:
        return np.array(list(product((1.0, -1.0), repeat=count)), np.float32)
    signs = np.random.default_rng(seed).integers(0, 2, (permutations, count), dtype=np.int8)
    signs[0] = 1
    return 2 * signs.astype(np.float32) - 1


def sign_flip_test(gaps: ArrayLike, permutations: int = 10_000, seed: int = 0) -> float:
    """Two-sided p of paired differences [N] against exchangeable labels, by the mean and by the signed ranks together.

    The mean is blind where a few clips differ wildly, the ranks (Wilcoxon) are blind to how much clips differ. Each
    pattern of signs gets a p by either, and the smaller of the two is the statistic, so that the level holds exactly.
    """
    away = vector(gaps, "differences", least=2)
    scale = np.abs(away).max()
    if not scale > 0:
        return 1.0
    signs = _signs(len(away), permutations, seed)
    ranks = np.sign(away) * stats.rankdata(np.abs(away))
    smaller = np.minimum(*(_tail_shares(np.abs(signs @ (part / np.abs(part).max()))) for part in (away, ranks)))
    return float((smaller <= smaller[0] + 1e-12).mean())


def _tail_shares(heights: NDArray[np.floating]) -> Floats:
    """For each of [P] values the share of all that are as high, up to rounding."""
    rounded = np.round(heights.astype(np.float64), 4)
    return 1 - (np.searchsorted(np.sort(rounded), rounded, side="left")) / len(rounded)


def two_sample_test(first: ArrayLike, second: ArrayLike, permutations: int = 10_000, seed: int = 0) -> float:
    """Two-sided p of the difference of means of clips that do not pair, by permutation of their labels."""
    a, b = vector(first, "first scores", least=2), vector(second, "second scores", least=2)
    if np.ptp(np.concatenate([a, b])) <= 1e-12:
        return 1.0
    found = stats.permutation_test(
        (a, b),
        lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
        vectorized=True,
        batch=1000,
        n_resamples=permutations - 1,
        rng=np.random.default_rng(seed),
    )
    return float(min(found.pvalue, 1.0))


def holm(p_values: ArrayLike) -> Floats:
    """p-values [N] adjusted for N tests, so that the chance of any false alarm stays below the level (Holm 1979)."""
    p = vector(p_values, "p-values", least=0)
    if ((p < 0) | (p > 1)).any():
        raise ValueError("p-values must lie between 0 and 1")
    if not len(p):
        return p
    from statsmodels.stats.multitest import multipletests

    return np.asarray(multipletests(p, method="holm")[1], dtype=np.float64)


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
