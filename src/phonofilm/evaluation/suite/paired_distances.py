"""Distances of two systems to one reference, clip by clip: how much each clip moves them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phonofilm.evaluation.features.cache import FeatureCache, default_cache
from phonofilm.evaluation.metrics.distribution.bootstrap_distances import ROWS
from phonofilm.evaluation.metrics.distribution.frechet import moments
from phonofilm.evaluation.metrics.distribution.influence import (
    frechet_influence,
    gaussian_influence,
    inception_influence,
    polynomial_influence,
)
from phonofilm.evaluation.metrics.distribution.kernel import median_pairwise_distance
from phonofilm.evaluation.suite.registry import Distance
from phonofilm.signals.validation import Floats


class AbsentRowsError(Exception):
    """Features that a comparison needs are not in the cache."""


@dataclass(frozen=True)
class SetComparison:
    """What is compared: the distance, the feature's key in the cache, and the hash of each clip by name."""

    measures: Distance
    key: str
    first: Mapping[str, str]
    second: Mapping[str, str]
    real: Mapping[str, str]


@dataclass(frozen=True)
class Influences:
    """How much each clip of both systems moves the distance, float64 [clips]; `names` where they pair, else None."""

    first: Floats
    second: Floats
    names: tuple[str, ...] | None


def influences(asked: SetComparison, cache: Path | None = None) -> Influences:
    """The influence of every clip at the pool of both systems.

    Raises:
        AbsentRowsError: the cache does not hold the features of all clips.
    """
    store = FeatureCache(cache or default_cache())
    sides = [_rows(store, asked, digests) for digests in (asked.first, asked.second)]
    shared = sorted(sides[0].keys() & sides[1].keys(), key=_shuffled)
    paired = 2 * len(shared) >= min(map(len, sides)) and len(shared) >= 2
    orders = [shared, shared] if paired else [sorted(side, key=_shuffled) for side in sides]
    kept = [_few([side[name] for name in order]) for side, order in zip(sides, orders, strict=True)]
    if paired:
        kept = [side[: min(map(len, kept))] for side in kept]
    if min(map(len, kept)) < 2:
        raise AbsentRowsError
    moved = _of_rows(asked, store, np.concatenate([np.concatenate(side) for side in kept]))
    sizes = np.array([len(rows) for side in kept for rows in side])
    # a clip counts by its rows, as it does in the distance
    sums = np.add.reduceat(moved, np.concatenate([[0], np.cumsum(sizes)[:-1]])) / sizes.mean()
    count = len(kept[0])
    first, second = sums[:count], sums[count:]
    if not paired:
        return Influences(first, second, None)
    names = tuple(shared[:count])
    same = np.array([asked.first[name] == asked.second[name] for name in names])
    return Influences(first, np.where(same, first, second), names)  # one file twice differs by rounding only


def _of_rows(asked: SetComparison, store: FeatureCache, pool: Floats) -> Floats:
    """Influence of each row, of zero mean."""
    kind = asked.measures.kind
    if kind == "inception":
        found = inception_influence(pool)
    else:
        real = np.concatenate(_few(list(_rows(store, asked, asked.real).values())))
        if kind == "kernel":
            found = gaussian_influence(pool, real, median_pairwise_distance(real))
        elif kind == "polynomial":
            found = polynomial_influence(pool, real)
        else:
            found = frechet_influence(pool, moments(real))
    return found - found.mean()


def _rows(store: FeatureCache, asked: SetComparison, digests: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Rows of each clip that has some."""
    found = {}
    for name, digest in digests.items():
        kept = store.get(digest, asked.key)
        if kept is None:
            raise AbsentRowsError
        arrays, problem = kept
        if problem is None and len(rows := asked.measures.rows(arrays)):
            found[name] = rows
    if not found:
        raise AbsentRowsError
    return found


def _few(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The first clips, until they have `ROWS` rows."""
    ends = np.cumsum([len(rows) for rows in parts])
    return list(parts[: max(2, int(np.searchsorted(ends, ROWS, side="right")))])


def _shuffled(name: str) -> str:
    """An order of names that has nothing to do with what they say."""
    return hashlib.sha256(name.encode()).hexdigest()
