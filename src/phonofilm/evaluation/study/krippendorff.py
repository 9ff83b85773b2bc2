"""Do raters agree? Krippendorff's α for ordinal ratings: 1 is full agreement, 0 is what chance gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from phonofilm.evaluation.statistics import Interval
from phonofilm.signals.validation import Floats


def ordinal_alpha(table: ArrayLike) -> float:
    """Krippendorff's ordinal α (Krippendorff 2011, "Computing Krippendorff's alpha-reliability", §C).

    Args:
        table: [raters, clips] of ratings, NaN where a rater did not judge a clip.

    Returns:
        α, at most 1; NaN where all ratings are the same, for then nothing tells agreement from habit.

    Raises:
        ValueError: no clip was judged by two raters.
    """
    pairs = _coincidences(table)
    return _alpha(pairs.sum(axis=0))


def alpha_interval(table: ArrayLike, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> Interval:
    """α and its percentile bootstrap interval over clips.

    Only clips are drawn anew: a rater drawn twice would agree with himself and push α up.
    """
    pairs = _coincidences(table)
    count = len(pairs)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    alphas = np.array([_alpha(np.tensordot(draw, pairs, 1)) for draw in draws])
    alphas = alphas[np.isfinite(alphas)]
    if len(alphas) < 2:
        return Interval(_alpha(pairs.sum(axis=0)), float("nan"), float("nan"), level)
    low, high = np.quantile(alphas, [(1 - level) / 2, (1 + level) / 2])
    return Interval(_alpha(pairs.sum(axis=0)), float(low), float(high), level)


def _coincidences(table: ArrayLike) -> Floats:
    """[clips, K, K]: how often two raters gave a clip values c and k, each rating counted once in all."""
    ratings = np.asarray(table, float)
    if ratings.ndim != 2:
        raise ValueError(f"ratings must be [raters, clips], not of shape {ratings.shape}")
    ratings = ratings[:, np.isfinite(ratings).sum(axis=0) >= 2]
    if not ratings.shape[1]:
        raise ValueError("agreement needs clips that two raters judged")
    values = np.unique(ratings[np.isfinite(ratings)])
    counts = (ratings.T[:, :, None] == values).sum(axis=1).astype(float)
    pairs = counts[:, :, None] * counts[:, None, :]
    diagonal = np.arange(len(values))
    pairs[:, diagonal, diagonal] -= counts
    return pairs / (counts.sum(axis=1) - 1)[:, None, None]


def _alpha(pairs: Floats) -> float:
    totals = pairs.sum(axis=1)
    # the distance of two values is how many ratings lie between them, counting half of each end
    upto = np.cumsum(totals) - totals / 2
    distance: Floats = (upto[:, None] - upto[None, :]) ** 2
    chance = float((totals[:, None] * totals[None, :] * distance).sum()) / max(totals.sum() - 1, 1e-12)
    return float(1 - (pairs * distance).sum() / chance) if chance > 0 else float("nan")
