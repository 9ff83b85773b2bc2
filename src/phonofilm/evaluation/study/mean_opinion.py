"""Mean opinions and how sure they are, when the same few raters judged the same few scenes.

Ratings of one rater resemble each other, and so do ratings of one scene; an interval that takes each rating for a fresh
draw is far too narrow. Here raters and scenes are both drawn anew (two-way cluster bootstrap). Drawing both at once
counts the noise of single ratings three times (Owen 2007, "The pigeonhole bootstrap"); so raters, scenes and single
ratings are drawn apart and their variances combined as V = V_raters + V_scenes − V_ratings (Cameron, Gelbach and Miller
2011), which counts it once. Student's t with Satterthwaite's degrees of freedom covers for few raters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from phonofilm.evaluation.statistics import Interval
from phonofilm.evaluation.study.resampling import bootstrap_draws
from phonofilm.signals.validation import Floats, vector

RESAMPLES = 2000


@dataclass(frozen=True)
class Difference:
    """mean(first) − mean(second), its interval and the two-sided p-value of no difference."""

    value: float
    low: float
    high: float
    p: float


def mean_opinion(
    raters: ArrayLike, scenes: ArrayLike, values: ArrayLike, level: float = 0.95, seed: int = 0
) -> Interval:
    """Mean opinion over raters and scenes like these.

    Args:
        raters: [N] who gave each rating; any labels.
        scenes: [N] what it was given to.
        values: [N] the ratings.

    Raises:
        ValueError: lengths that differ, fewer than 2 ratings, or a level outside 0 … 1.
    """
    rating = _Crossed.of(raters, scenes, values, level)
    weights = np.full(len(rating.values), 1.0)
    value, error, freedom = rating.spread([(weights, 1.0)], seed)
    reach = stats.t.ppf((1 + level) / 2, freedom) * error
    return Interval(value, value - reach, value + reach, level)


def difference(
    raters: ArrayLike, scenes: ArrayLike, values: ArrayLike, first: ArrayLike, level: float = 0.95, seed: int = 0
) -> Difference:
    """How much better one system is judged than another on the same scenes by the same raters.

    Args:
        raters, scenes, values: [N], as for `mean_opinion`, of both systems together.
        first: bool [N], True where the rating is of the first system.

    Raises:
        ValueError: as for `mean_opinion`, or one system has no ratings.
    """
    rating = _Crossed.of(raters, scenes, values, level)
    chosen = np.asarray(first, bool)
    if chosen.shape != rating.values.shape or chosen.all() or not chosen.any():
        raise ValueError("a difference needs ratings of both systems, marked one by one")
    value, error, freedom = rating.spread([(chosen.astype(float), 1.0), ((~chosen).astype(float), -1.0)], seed)
    reach = stats.t.ppf((1 + level) / 2, freedom) * error
    p = float(2 * stats.t.sf(abs(value) / error, freedom)) if error > 0 else float(value == 0)
    return Difference(value, value - reach, value + reach, p)


@dataclass(frozen=True, eq=False)
class _Crossed:
    """Ratings with raters, scenes and (rater, scene) pairs numbered from 0."""

    raters: NDArray[np.int64]
    scenes: NDArray[np.int64]
    cells: NDArray[np.int64]
    values: Floats

    @staticmethod
    def of(raters: ArrayLike, scenes: ArrayLike, values: ArrayLike, level: float) -> _Crossed:
        rating = vector(values, "ratings", least=2)
        rows, columns = (np.unique(np.asarray(v), return_inverse=True)[1] for v in (raters, scenes))
        if not len(rows) == len(columns) == len(rating):
            raise ValueError(f"{len(rows)} raters, {len(columns)} scenes and {len(rating)} ratings must pair")
        if not 0 < level < 1:
            raise ValueError(f"a level lies between 0 and 1, not {level}")
        cells = np.unique(rows * (columns.max() + 1) + columns, return_inverse=True)[1]
        return _Crossed(rows, columns, cells, rating)

    def spread(self, terms: list[tuple[Floats, float]], seed: int) -> tuple[float, float, float]:
        """(value, standard error, degrees of freedom) of a signed sum of weighted means."""
        rng = np.random.default_rng(seed)
        value = sum(sign * float(np.average(self.values, weights=weights)) for weights, sign in terms)
        by_rater, by_scene = (self._variance(clusters, terms, rng) for clusters in (self.raters, self.scenes))
        by_cell = self._single_variance(terms)
        # by chance the difference can come out below one of its parts, which it never is in truth
        total = max(by_rater + by_scene - by_cell, by_rater, by_scene)
        parts = [(by_rater, self.raters.max()), (by_scene, self.scenes.max())]
        below = sum(part**2 / freedom for part, freedom in parts if freedom > 0)
        freedom = total**2 / below if below > 0 else float(len(self.values) - 1)
        return value, float(np.sqrt(total)), float(max(freedom, 1.0))

    def _variance(
        self, clusters: NDArray[np.int64], terms: list[tuple[Floats, float]], rng: np.random.Generator
    ) -> float:
        """Bootstrap variance when whole clusters are drawn, made unbiased for few of them; 0 for a single one."""
        count = int(clusters.max()) + 1
        if count < 2:
            return 0.0
        parts = [
            (sign, np.bincount(clusters, weights, count), np.bincount(clusters, weights * self.values, count))
            for weights, sign in terms
        ]

        def signed_sum(chosen: NDArray[np.int64], axis: int) -> Floats:
            total = np.zeros(chosen.shape[:-1])
            for sign, amount, sums in parts:
                weight = amount[chosen].sum(axis=axis)
                # a draw without any rating of one system says nothing
                total += sign * sums[chosen].sum(axis=axis) / np.where(weight > 0, weight, np.nan)
            return total

        draws = bootstrap_draws(count, signed_sum, RESAMPLES, rng)
        return float(draws.var()) * count / (count - 1) if len(draws) > 1 else 0.0

    def _single_variance(self, terms: list[tuple[Floats, float]]) -> float:
        """What the bootstrap variance tends to when every (rater, scene) pair is drawn by itself."""
        pull = np.zeros(len(self.values))
        for weights, sign in terms:
            away = self.values - np.average(self.values, weights=weights)
            pull += sign * weights * away / weights.sum()
        return float((np.bincount(self.cells, pull) ** 2).sum())


@dataclass(frozen=True)
class Spread:
    """Standard deviations of what moves a five-point rating; the defaults are guesses until a pilot study says better.

    Attributes:
        rater: how differently raters see the *difference* of two systems.
        scene: how differently scenes show it.
        noise: of a single rating.
    """

    rater: float = 0.3
    scene: float = 0.3
    noise: float = 0.8


@dataclass(frozen=True)
class Power:
    """`power` is the chance to find the effect; `least` the effect found with a chance of 80 %."""

    raters: int
    error: float
    power: float
    least: float


def power(
    effect: float,
    raters: int,
    scenes: int,
    ratings: float,
    spread: Spread = Spread(),
    alpha: float = 0.05,
    tests: int = 1,
) -> Power:
    """The chance that a true difference of two mean opinions is found significant.

    Args:
        effect: the true difference, in points.
        ratings: how many ratings of each system one rater gives.
        tests: how many differences are tested; alpha is shared out evenly, which is stricter than Holm.

    Raises:
        ValueError: a count that is too small, no effect, no spread at all, or an alpha outside 0 … 1.
    """
    for name, value, least in (("raters", raters, 2), ("scenes", scenes, 2), ("tests", tests, 1)):
        if value < least:
            raise ValueError(f"power needs {least} or more {name}, not {value}")
    if ratings <= 0:
        raise ValueError(f"power needs a number of ratings by each rater above 0, not {ratings:g}")
    if effect == 0:
        raise ValueError("power needs an effect that is not 0")
    if spread.rater == spread.scene == spread.noise == 0:
        raise ValueError("power needs a spread that is not 0: with none, any difference is found")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha:g}")
    single = spread.noise**2 / (raters * ratings)
    by_rater, by_scene = 2 * (spread.rater**2 / raters + single), 2 * (spread.scene**2 / scenes + single)
    parts = [(by_rater, raters - 1), (by_scene, scenes - 1)]
    variance = by_rater + by_scene - 2 * single
    freedom = variance**2 / sum(part**2 / count for part, count in parts)
    error = float(np.sqrt(variance))
    edge = float(stats.t.ppf(1 - alpha / tests / 2, freedom))
    away = abs(effect) / error
    found = float(stats.nct.sf(edge, freedom, away) + stats.nct.cdf(-edge, freedom, away))
    return Power(raters, error, found, float((edge + stats.t.ppf(0.8, freedom)) * error))


def raters_needed(
    effect: float, scenes: int, ratings: float, wanted: float = 0.8, most: int = 2000, **options: object
) -> int | None:
    """The fewest raters that find the effect with the wanted chance, or None where scenes, not raters, are too few."""
    low, high = 2, most
    if power(effect, most, scenes, ratings, **options).power < wanted:  # type: ignore[arg-type]
        return None
    while low < high:
        middle = (low + high) // 2
        enough = power(effect, middle, scenes, ratings, **options).power >= wanted  # type: ignore[arg-type]
        low, high = (low, middle) if enough else (middle + 1, high)
    return low
