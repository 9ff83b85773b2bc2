"""Which of several evaluations is better where, and whether that could be chance."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.features.feature import key_of
from phonofilm.evaluation.metrics.distribution.bootstrap_distances import NORMAL
from phonofilm.evaluation.statistics import holm, sign_flip_test, two_sample_test
from phonofilm.evaluation.suite.paired_distances import AbsentRowsError, SetComparison, influences
from phonofilm.evaluation.suite.registry import Distance, chosen_names, metrics
from phonofilm.evaluation.suite.runner import PROTOCOL

PERMUTATIONS, PER_TEST = 10_000, 80
"""Permutations of a test, and how many more than that a correction for many tests needs for each of them."""

WHOLE = ""
"""The category that stands for all clips."""


@dataclass(frozen=True)
class Difference:
    """One metric of two evaluations.

    Attributes:
        systems: which two of the results, by their place.
        category: of prompts, "" for all clips.
        first, second: the two values; `difference` is second − first, over the clips both have where it is paired.
        p: two-sided. adjusted: after Holm, over all that was compared. None where it was not compared.
        test: "paired" (labels swapped within clips of the same name), "labels" (permuted over all clips) or "interval"
            (normal, from both intervals, for distances whose features are not at hand).
        better: "first", "second" or None. n: pairs, or clips of the smaller side. reason: why it was not compared.
    """

    name: str
    group: str
    first: float | None
    second: float | None
    difference: float | None = None
    p: float | None = None
    adjusted: float | None = None
    test: str = ""
    better: str | None = None
    n: int = 0
    reason: str = ""
    systems: tuple[int, int] = (0, 1)
    category: str = WHOLE


def read_result(path: str | Path) -> dict[str, Any]:
    """A result of `evaluate` from its JSON.

    Raises:
        PhonofilmError: it is missing, or something else.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except IsADirectoryError as error:
        raise PhonofilmError(
            f"{path} is a folder; give the results.json that phonofilm evaluate wrote of it"
        ) from error
    except OSError as error:
        raise PhonofilmError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise PhonofilmError(f"{path} is not JSON; give a results.json of phonofilm evaluate") from error
    if not isinstance(found, dict) or not {"protocol", "metrics", "clips", "generated"} <= found.keys():
        raise PhonofilmError(f"{path} is not a result of phonofilm evaluate; give its results.json")
    if str(found["protocol"]).split("/")[0] != PROTOCOL:
        raise PhonofilmError(
            f"{path} was made by protocol {found['protocol']}, not {PROTOCOL}; evaluate that folder again"
        )
    return found


@dataclass(frozen=True)
class ComparisonSettings:
    """How to compare.

    Attributes:
        metrics: names as for `evaluate`; none stands for all that the results share.
        categories: also compare within each category of prompts.
        cache: folder of the features, for distances. level: of significance, after correction.
        permutations: of each test; None takes as many as the number of tests asks for.
    """

    metrics: tuple[str, ...] = ()
    categories: bool = False
    cache: Path | None = None
    level: float = 0.05
    permutations: int | None = None


def compare(results: Sequence[Mapping[str, Any]], settings: ComparisonSettings | None = None) -> list[Difference]:
    """Every metric that all results have, for every two of them, with p-values that hold for all together (Holm).

    Where two folders share clip names, clips are paired by name, for scores of clips and for distances between sets.
    Distances are compared only against the same reference. A row whose differences are all zero has no test: nothing
    was asked of chance.

    Raises:
        PhonofilmError: fewer than two results, or a metric that they do not have.
    """
    settings = settings or ComparisonSettings()
    if len(results) < 2:
        raise PhonofilmError("a comparison needs two results or more; give each system's results.json")
    names = _names(results, settings.metrics)
    pairs = [
        _Pair((a, b), results[a], results[b], name, category)
        for name in names
        for a, b in combinations(range(len(results)), 2)
        for category in _categories(results[a], results[b], settings)
    ]
    permutations = settings.permutations or max(PERMUTATIONS, PER_TEST * len(pairs))
    rows = [_one(pair, settings, permutations) for pair in pairs]
    tested = [index for index, row in enumerate(rows) if row.p is not None]
    for index, value in zip(tested, holm([rows[index].p or 0.0 for index in tested]), strict=True):
        row = rows[index]
        measured = pairs[index].row(0)
        better = "lower" if is_best_at_zero(measured) else measured["better"]
        winner = _winner(row, better) if value < settings.level else None
        rows[index] = replace(row, adjusted=float(value), better=winner)
    return rows


def _names(results: Sequence[Mapping[str, Any]], asked: tuple[str, ...]) -> list[str]:
    """Names of the metrics that all results have, in the order of the first; of those asked for only."""
    others = [{row["name"] for row in result["metrics"]} for result in results[1:]]
    shared = [row["name"] for row in results[0]["metrics"] if all(row["name"] in other for other in others)]
    if not asked:
        return shared
    wanted = chosen_names(asked, shared)
    return [name for name in shared if name in wanted]


def _categories(first: Mapping[str, Any], second: Mapping[str, Any], settings: ComparisonSettings) -> tuple[str, ...]:
    if not settings.categories:
        return (WHOLE,)
    found = set(first.get("categories", {}).values()) & set(second.get("categories", {}).values())
    return (WHOLE, *sorted(found))


@dataclass(frozen=True)
class _Pair:
    """Two results and what of them is compared."""

    systems: tuple[int, int]
    first: Mapping[str, Any]
    second: Mapping[str, Any]
    name: str
    category: str

    def row(self, side: int) -> Mapping[str, Any]:
        result = (self.first, self.second)[side]
        return next(row for row in result["metrics"] if row["name"] == self.name)

    def clips(self, side: int) -> dict[str, float]:
        """Scores of one side's clips, made comparable: of a signed metric its size."""
        result = (self.first, self.second)[side]
        kept = result["clips"].items()
        if self.category:
            category = result["categories"]
            kept = [(name, values) for name, values in kept if category.get(name) == self.category]
        size = abs if is_best_at_zero(self.row(side)) else float
        return {name: size(values[self.name]) for name, values in kept if self.name in values}


def is_best_at_zero(row: Mapping[str, Any]) -> bool:
    """Whether a metric's row has signed scores of which the one nearest to zero is best, as offset and drift have."""
    return row.get("known") is not None or (row["range"].startswith("−") and row["better"] == "lower")


def _one(pair: _Pair, settings: ComparisonSettings, permutations: int) -> Difference:
    a, b = pair.row(0), pair.row(1)
    base = Difference(
        a["name"], a["group"], a.get("value"), b.get("value"), systems=pair.systems, category=pair.category
    )
    if a["status"] != "ok" or b["status"] != "ok":
        lacking = a if a["status"] != "ok" else b
        return replace(base, reason=f"{lacking['status']}: {lacking.get('reason', '')}")
    if a["depends"] != b["depends"]:
        return replace(base, reason="made with other versions or weights; evaluate both again")
    mine, theirs = pair.clips(0), pair.clips(1)
    if mine or theirs:
        return _by_clips(base, pair, mine, theirs, permutations)
    if pair.category:
        return replace(base, first=None, second=None, reason="a distance between sets is of all clips")
    return _by_sets(base, pair, settings, permutations)


def _by_clips(
    base: Difference, pair: _Pair, mine: Mapping[str, float], theirs: Mapping[str, float], permutations: int
) -> Difference:
    if pair.category:
        means = [float(np.mean(list(side.values()))) if side else None for side in (mine, theirs)]
        base = replace(base, first=means[0], second=means[1])
    shared = sorted(mine.keys() & theirs.keys())
    if 2 * len(shared) >= min(len(mine), len(theirs)) and len(shared) >= 2:
        gaps = np.array([theirs[name] - mine[name] for name in shared])
        return _tested(base, gaps, permutations)
    if min(len(mine), len(theirs)) < 2:
        return replace(base, reason=f"{min(len(mine), len(theirs))} clips have a value; a test needs 2")
    first, second = (np.array(list(side.values())) for side in (mine, theirs))
    p = two_sample_test(first, second, permutations)
    gap = float(second.mean() - first.mean())
    return replace(base, difference=gap, p=p, test="labels", n=min(len(first), len(second)))


def _tested(base: Difference, gaps: np.ndarray, permutations: int) -> Difference:
    """Paired differences, tested unless all of them are zero."""
    found = replace(base, difference=float(gaps.mean()), test="paired", n=len(gaps))
    if not np.abs(gaps).max() > 0:
        return replace(found, test="", reason="equal on every clip")
    return replace(found, p=sign_flip_test(gaps, permutations))


def _by_sets(base: Difference, pair: _Pair, settings: ComparisonSettings, permutations: int) -> Difference:
    digests = [(side.get("reference") or {}).get("digest") for side in (pair.first, pair.second)]
    if digests[0] != digests[1]:
        return replace(base, reason="measured against other references")
    a, b = pair.row(0), pair.row(1)
    gap = b["value"] - a["value"]
    measures = next((metric.measures for metric in metrics() if metric.name == pair.name), None)
    if isinstance(measures, Distance):
        first, second = (side["generated"]["hashes"] for side in (pair.first, pair.second))
        real = (pair.first["reference"] or {}).get("hashes", {})
        try:
            found = influences(SetComparison(measures, key_of(a["depends"][0]), first, second, real), settings.cache)
        except AbsentRowsError:
            return _by_interval(replace(base, difference=gap), a, b)
        if found.names is not None:
            return replace(_tested(base, found.second - found.first, permutations), difference=gap)
        p = two_sample_test(found.first, found.second, permutations)
        return replace(base, difference=gap, p=p, test="labels", n=min(len(found.first), len(found.second)))
    return _by_interval(replace(base, difference=gap), a, b)


def _by_interval(base: Difference, a: Mapping[str, Any], b: Mapping[str, Any]) -> Difference:
    # the upper limit: a lower one at 0 is cut off
    error = float(np.hypot(*((row["high"] - row["value"]) / NORMAL for row in (a, b))))
    gap = base.difference or 0.0
    if gap == 0:
        return replace(base, reason="equal")
    p = float(2 * stats.norm.sf(abs(gap) / error)) if error > 0 else 0.0
    return replace(base, p=p, test="interval", n=min(a["n"], b["n"]))


def _winner(row: Difference, better: str) -> str | None:
    if better == "neither" or not row.difference:
        return None
    return "second" if (row.difference < 0) == (better == "lower") else "first"


def significant(rows: Sequence[Difference], level: float = 0.05) -> Iterator[Difference]:
    """Those whose adjusted p lies below the level."""
    return (row for row in rows if row.adjusted is not None and row.adjusted < level)
