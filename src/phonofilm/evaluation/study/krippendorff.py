"""Do raters agree? Krippendorff's α for ordinal ratings: 1 is full agreement, 0 is what chance gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from phonofilm.evaluation.statistics import Interval
from phonofilm.evaluation.study.resampling import bootstrap_draws
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
    return float(_alpha(pairs.sum(axis=0)))


def alpha_interval(table: ArrayLike, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> Interval:
    """α and its percentile bootstrap interval over clips.

    Only clips are drawn anew: a rater drawn twice would agree with himself and push α up. The limits are NaN where
    there is one clip, or where all draws give the same: full agreement on a few clips does not say how sure it is.
    """
    value, pairs = ordinal_alpha(table), _coincidences(table)
    if len(pairs) < 2:
        return Interval(value, float("nan"), float("nan"), level)
    drawn = bootstrap_draws(
        len(pairs),
        lambda clips, axis: _alpha(pairs[clips].sum(axis=-3)),
        resamples,
        np.random.default_rng(seed),
        batch=max(1, 2_000_000 // pairs.size),
    )
    if len(drawn) < 2 or np.ptp(drawn) == 0:
        return Interval(value, float("nan"), float("nan"), level)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), level)


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


def _alpha(pairs: Floats) -> Floats:
    """α of coincidences [..., K, K]; NaN where all ratings are the same."""
    totals = pairs.sum(axis=-2)
    # the distance of two values is how many ratings lie between them, counting half of each end
    upto = np.cumsum(totals, axis=-1) - totals / 2
    distance = (upto[..., :, None] - upto[..., None, :]) ** 2
    seen = (pairs * distance).sum(axis=(-2, -1))
    expected = (totals[..., :, None] * totals[..., None, :] * distance).sum(axis=(-2, -1))
    chance = expected / np.maximum(totals.sum(axis=-1) - 1, 1e-12)
    return np.where(chance > 0, 1 - seen / np.where(chance > 0, chance, 1), np.nan)
