"""Distances between sets with an interval over clips, of any number of clips in bounded memory.

Moments are summed over every clip in float64. What needs rows (kernels, intervals, extrapolation) takes those of the
clips whose hashes come first, up to `ROWS`: the same clips whatever the folder's order.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np
import scipy.linalg

from phonofilm.evaluation.metrics.distribution.divergence import inception_score
from phonofilm.evaluation.metrics.distribution.frechet import (
    Moments,
    frechet_distance,
    frechet_from_moments,
    frechet_infinity,
    moments,
)
from phonofilm.evaluation.metrics.distribution.kernel import (
    BLOCK,
    BlockKernel,
    diagonal,
    gaussian_kernel,
    median_pairwise_distance,
    polynomial_kernel,
)
from phonofilm.evaluation.statistics import Interval
from phonofilm.signals.validation import Floats

ROWS = 6000
"""Rows kept of a set."""

NORMAL = 1.959964


@dataclass
class FeatureSet:
    """Features of a set as they arrive, clip by clip."""

    moments: Moments | None = None
    clips: int = 0
    kept: int = 0
    heap: list[tuple[str, np.ndarray]] = field(default_factory=list)

    def add(self, digest: str, rows: np.ndarray) -> None:
        """Add the rows [n, D] of one clip, known by the hash of its file."""
        found = moments(rows)
        self.moments = found if self.moments is None else self.moments + found
        self.clips += 1
        heapq.heappush(self.heap, (_reversed(digest, self.clips), rows.astype(np.float32)))
        self.kept += len(rows)
        while self.kept > ROWS and len(self.heap) > 2:
            self.kept -= len(heapq.heappop(self.heap)[1])

    def digests(self) -> set[str]:
        """Hashes of the kept clips, as `_reversed` writes them."""
        return {key[:-12] for key, _ in self.heap}

    def parts(self) -> list[np.ndarray]:
        """Rows of each kept clip, in order of their hashes."""
        return [rows for _, rows in sorted(self.heap, key=lambda item: item[0], reverse=True)]


def _reversed(digest: str, number: int) -> str:
    """A key whose greatest is the smallest hash, so that a heap lets the greatest hash go first."""
    return digest.translate(str.maketrans("0123456789abcdef", "fedcba9876543210")) + f"{number:012d}"


@dataclass(frozen=True)
class DistanceEstimate:
    """A distance: its interval, rows and features it is of, and what to know of it."""

    interval: Interval
    rows: int
    width: int
    notes: tuple[str, ...] = ()


def distance(kind: str, generated: FeatureSet, real: FeatureSet, seed: int = 0) -> DistanceEstimate:
    """The distance of two sets and its normal bootstrap interval over the generated clips, the reference held fixed.

    The interval is value ± 1.96 standard deviations of the draws: a draw repeats clips, which shifts these distances
    but hardly changes how they spread.

    Raises:
        ValueError: sets too small to compare.
    """
    if generated.moments is None or real.moments is None or min(generated.clips, real.clips) < 2:
        raise ValueError("a distance needs 2 clips or more on both sides")
    count, width = generated.moments.count, len(generated.moments.mean)
    notes = []
    if kind.startswith("frechet") and min(count, real.moments.count) < 2 * width:
        fewest = min(count, real.moments.count)
        notes.append(f"{fewest} rows for {width} features: biased upwards, compare equal counts only")
    if kind == "frechet-infinity":
        _check_extrapolation(generated, real)
        value, spread = _infinity(generated.parts(), real.parts(), seed)
    elif kind == "frechet":
        value = plain_distance(kind, generated, real, seed)
        spread = _frechet_spread(generated.parts(), real.moments, seed)
    else:
        value, spread = _kernel(kind, generated.parts(), real.parts(), seed)
    if kind != "frechet" and (generated.kept < count or real.kept < real.moments.count):
        notes.append(f"of {generated.kept} and {real.kept} rows, those of the clips whose hashes come first")
    reach = NORMAL * spread
    low = max(value - reach, 0.0) if kind == "frechet" else value - reach
    return DistanceEstimate(Interval(value, low, value + reach), count, width, tuple(notes))


EXTRAPOLATED = 200
"""Clips on both sides from which on FAD-∞ is given (coverage of its interval on splits of one set: docs/metrics.md)."""

GROUPS = 10
"""Groups of clips that are left out in turn to find how far an extrapolation spreads."""


def _check_extrapolation(generated: FeatureSet, real: FeatureSet) -> None:
    """
    Raises:
        ValueError: too few clips to extrapolate from, or the same clips on both sides, whose distance is less than any
            two sets of one kind have.
    """
    fewest = min(generated.clips, real.clips)
    if fewest < EXTRAPOLATED:
        raise ValueError(f"it is given from {EXTRAPOLATED} clips on both sides on, and there are {fewest}")
    if generated.digests() & real.digests():
        raise ValueError("the folders share clips: they are no two samples to extrapolate from")


def _infinity(generated: list[np.ndarray], real: list[np.ndarray], seed: int) -> tuple[float, float]:
    """FAD-∞ and its standard deviation over clips of both sides, by a jackknife over groups of clips."""

    def of(left_out: int | None) -> float:
        kept = [[rows for i, rows in enumerate(parts) if i % GROUPS != left_out] for parts in (generated, real)]
        return _extended(kept[0], kept[1], seed)

    without = np.array([of(group) for group in range(GROUPS)])
    spread = np.sqrt((GROUPS - 1) / GROUPS * ((without - without.mean()) ** 2).sum())
    return of(None), float(spread)


def _extended(generated: list[np.ndarray], real: list[np.ndarray], seed: int) -> float:
    """FAD-∞ by subsets of whole clips, of which each side has a list of rows."""
    numbers = [np.repeat(np.arange(len(parts)), [len(rows) for rows in parts]) for parts in (generated, real)]
    sides = np.concatenate(generated), np.concatenate(real)
    return frechet_infinity(sides[0], sides[1], seed=seed, clips=(numbers[0], numbers[1])).value


def halves(kind: str, real: FeatureSet, seed: int = 0) -> float:
    """The same distance between two random halves of the reference: what equal distributions score at half the size."""
    parts = real.parts()
    order = np.random.default_rng(seed).permutation(len(parts))
    first, second = (FeatureSet() for _ in range(2))
    for place, index in enumerate(order):
        (first if place % 2 else second).add(f"{place:064x}", parts[index])
    if min(first.clips, second.clips) < 2:
        raise ValueError("halves of the reference need 4 clips")
    return plain_distance(kind, first, second, seed)


def plain_distance(kind: str, generated: FeatureSet, real: FeatureSet, seed: int = 0) -> float:
    """The distance of two sets of 2 clips or more, without an interval."""
    if kind == "frechet":
        assert generated.moments is not None
        assert real.moments is not None
        few = min(generated.moments.count, real.moments.count) <= len(real.moments.mean)
        if few and generated.kept == generated.moments.count and real.kept == real.moments.count:
            # fewer rows than features: their own products are smaller than the covariances
            return frechet_distance(np.concatenate(generated.parts()), np.concatenate(real.parts()))
        return frechet_from_moments(generated.moments, real.moments)
    if kind == "frechet-infinity":
        return _extended(generated.parts(), real.parts(), seed)
    return _kernel(kind, generated.parts(), real.parts(), seed, draws=0)[0]


def inception_estimate(rows: FeatureSet, seed: int = 0, draws: int = 100) -> DistanceEstimate:
    """The inception score of one set, from rows of a classifier's logits, all of them in one part.

    Published values average ten parts of 5,000 samples; one part is less biased for the few clips of an evaluation.

    Raises:
        ValueError: fewer than 2 clips.
    """
    parts = rows.parts()
    if len(parts) < 2:
        raise ValueError("an inception score needs 2 clips or more")
    value = inception_score(np.concatenate(parts), splits=1, seed=None).mean
    rng = np.random.default_rng(seed)
    drawn = [[parts[index] for index in rng.integers(0, len(parts), len(parts))] for _ in range(draws)]
    reach = NORMAL * float(
        np.std([inception_score(np.concatenate(d), splits=1, seed=None).mean for d in drawn], ddof=1)
    )
    notes = (f"of {rows.kept} rows, those of the clips whose hashes come first",) if len(parts) < rows.clips else ()
    limits = Interval(value, max(value - reach, 1.0), value + reach)
    return DistanceEstimate(limits, rows.kept, parts[0].shape[1], notes)


def _frechet_spread(parts: list[np.ndarray], real: Moments, seed: int) -> float:
    """Standard deviation of the Fréchet distance over draws of clips."""
    width = len(real.mean)
    draws = 100 if width <= 256 else 30
    rows = np.concatenate(parts).astype(np.float64)
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    sigma = real.covariance()
    values, vectors = scipy.linalg.eigh(sigma, check_finite=False)
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        weight = np.bincount(rng.integers(0, len(parts), len(parts)), minlength=len(parts))[owner].astype(np.float64)
        total = weight.sum()
        mean = weight @ rows / total
        centred = (rows - mean) * np.sqrt(weight / (total - 1))[:, None]
        inner = centred @ root.T
        gram = inner.T @ inner if len(inner) > width else inner @ inner.T
        cross = np.sqrt(np.maximum(scipy.linalg.eigvalsh(gram, check_finite=False), 0)).sum()
        gap = mean - real.mean
        found.append(gap @ gap + (centred**2).sum() + np.trace(sigma) - 2 * cross)
    return float(np.std(found, ddof=1))


def _kernel(
    kind: str, generated: list[np.ndarray], real: list[np.ndarray], seed: int, draws: int = 500
) -> tuple[float, float]:
    """Unbiased MMD² (×100 for KAD) and its standard deviation over draws of generated clips.

    `kernel.kernel_audio_distance` and `kernel.polynomial_distance` give the same value. Here kernels are summed by
    pairs of clips, so that a draw is a small matrix product; a clip drawn twice makes no pair with itself.
    """
    fake, true = (np.concatenate(parts).astype(np.float64) for parts in (generated, real))
    if kind == "kernel":
        sigma = median_pairwise_distance(true)
        if not sigma > 0:
            raise ValueError("more than half of the reference's rows are the same")
        centre = true.mean(axis=0)
        fake, true, scale, kernel = fake - centre, true - centre, 100.0, gaussian_kernel(sigma)
    else:
        scale, kernel = 1.0, polynomial_kernel(fake.shape[1])
    sizes = [np.array([len(part) for part in parts]) for parts in (generated, real)]
    within, cross = _sums(fake, fake, sizes[0], sizes[0], kernel), _sums(fake, true, sizes[0], sizes[1], kernel)
    own_real = _sums(true, true, sizes[1], sizes[1], kernel)
    constant = diagonal(true, kernel)
    real_mean = (own_real.sum() - constant.sum()) / (len(true) * (len(true) - 1))
    same = np.add.reduceat(diagonal(fake, kernel), _starts(sizes[0]))
    to_real = cross.sum(axis=1)
    total = len(fake)
    value = (within.sum() - same.sum()) / (total * (total - 1)) + real_mean - 2 * to_real.sum() / (total * len(true))
    rng = np.random.default_rng(seed)
    inside = within.diagonal() - same
    found = []
    for _ in range(draws):
        weight = np.bincount(rng.integers(0, len(generated), len(generated)), minlength=len(generated)).astype(float)
        counts = weight * sizes[0]
        pairs = weight @ within @ weight - (weight**2) @ within.diagonal() + weight @ inside
        number = counts.sum() ** 2 - (counts**2).sum() + weight @ (sizes[0] * (sizes[0] - 1.0))
        found.append(pairs / max(number, 1.0) + real_mean - 2 * (weight @ to_real) / (counts.sum() * len(true)))
    return scale * float(value), scale * float(np.std(found, ddof=1)) if draws else 0.0


def _starts(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)[:-1]])


def _sums(first: Floats, second: Floats, sizes: np.ndarray, others: np.ndarray, kernel: BlockKernel) -> Floats:
    """Sums of k over every pair of clips, [clips, clips], a block of rows at a time."""
    starts = _starts(others)
    lines = np.empty((len(first), len(others)))
    for i in range(0, len(first), BLOCK):
        lines[i : i + BLOCK] = np.add.reduceat(kernel(first[i : i + BLOCK], second), starts, axis=1)
    return np.add.reduceat(lines, _starts(sizes), axis=0)
