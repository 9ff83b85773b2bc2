"""MUSHRA (ITU-R BS.1534-3): who is left out, what each version scored, and which systems differ.

All versions of a scene, the hidden reference and two anchors among them, are given 0 to 100 by the same rater beside
the open reference. Scores come with means and 95 % intervals over raters and scenes, and with medians and quartiles.
Systems are compared by a permutation test of each rater's mean difference: raters are drawn, scenes are as they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from phonofilm.evaluation.statistics import holm
from phonofilm.evaluation.study.mean_opinion import difference, mean_opinion
from phonofilm.evaluation.study.protocol import Study, Trial
from phonofilm.evaluation.study.store import Rating

LETTERS = "ABCDEFGHIJKL"
"""What the versions of a trial are called on the page and in the answers, in order of presentation."""
NOT_DEGRADED = 0.25  # share of raters who score the mid-range anchor high, above which the scene screens nobody


@dataclass(frozen=True)
class Score:
    """What one rater gave one version of one scene, 0 to 100."""

    seat: int
    system: str
    item: str
    value: int


@dataclass(frozen=True)
class Screening:
    """Post-screening of one rater: in how many scenes, of how many, reference and anchor were misjudged."""

    reference_low: int
    anchor_high: int
    reference_of: int
    anchor_of: int


NOT_SCREENED = Screening(0, 0, 0, 0)


def letters(trial: Trial) -> tuple[str, ...]:
    """The names under which the rated versions of a MUSHRA trial are answered."""
    return tuple(LETTERS[: len(trial.stimuli) - 1])


def scores(study: Study, ratings: Iterable[Rating]) -> list[Score]:
    """Every slider of every answered MUSHRA trial."""
    found = []
    plans: dict[int, tuple[Trial, ...]] = {}
    for rating in ratings:
        plan = plans.setdefault(rating.seat, study.trials(rating.seat))
        trial = plan[rating.trial]
        if trial.role == "mushra":
            for letter, number in zip(letters(trial), trial.stimuli[1:], strict=True):
                shown, value = study.stimuli[number], rating.answers.get(letter)
                if value is not None:
                    found.append(Score(rating.seat, shown.system, shown.item, value))
    return found


def not_degraded(study: Study, given: Sequence[Score]) -> frozenset[str]:
    """Scenes whose mid-range anchor more than a quarter of the raters score above the limit: the anchor does not
    damage them, so nobody is left out for scoring it high there."""
    if study.mushra is None:
        return frozenset()
    values = defaultdict(list)
    for score in given:
        if score.system == study.mushra.anchors[1]:
            values[score.item].append(score.value > study.mushra.anchor_most)
    return frozenset(item for item, high in values.items() if np.mean(high) > NOT_DEGRADED)


def screen(study: Study, given: Sequence[Score], excused: Set[str]) -> Screening:
    """Count what post-screening goes by.

    Args:
        given: scores of one rater; excused: scenes as from `not_degraded`.
    """
    mushra = study.mushra
    if mushra is None:
        return NOT_SCREENED
    reference = [s.value for s in given if s.system == "reference"]
    anchor = [s.value for s in given if s.system == mushra.anchors[1] and s.item not in excused]
    return Screening(
        sum(value < mushra.reference_least for value in reference),
        sum(value > mushra.anchor_most for value in anchor),
        len(reference),
        len(anchor),
    )


def results(study: Study, given: Sequence[Score], seed: int = 0) -> dict[str, Any] | None:
    """{scale, versions, differences, scenes} of the scores that count, as plain values; None without scores."""
    if study.mushra is None or not given:
        return None
    names = [*study.systems, *study.mushra.anchors]
    mine = {name: [s for s in given if s.system == name] for name in names}
    return {
        "scale": study.mushra.scale.name,
        "versions": {name: summary(found, seed) for name, found in mine.items() if found},
        "differences": differences(study.systems, mine, seed),
        "raters": len({s.seat for s in given}),
        "scenes": len({s.item for s in given}),
    }


def summary(given: Sequence[Score], seed: int = 0) -> dict[str, Any]:
    """{value, low, high, median, quartiles, n}; no interval from one rater, one scene, or scores that are all equal."""
    values = np.array([s.value for s in given], float)
    low, high = None, None
    if len({s.seat for s in given}) > 1 and len({s.item for s in given}) > 1 and np.ptp(values) > 0:
        interval = mean_opinion([s.seat for s in given], [s.item for s in given], values, seed=seed)
        low, high = max(0.0, interval.low), min(100.0, interval.high)
    quartiles = np.quantile(values, [0.25, 0.5, 0.75])
    return {
        "value": float(values.mean()),
        "low": low,
        "high": high,
        "median": float(quartiles[1]),
        "quartiles": [float(quartiles[0]), float(quartiles[2])],
        "n": len(values),
    }


def differences(systems: Sequence[str], given: Mapping[str, Sequence[Score]], seed: int = 0) -> list[dict[str, Any]]:
    """Every two systems: mean difference with its interval, p of the permutation test, and Holm's p over all pairs."""
    rows: list[dict[str, Any]] = []
    for first, second in combinations(systems, 2):
        both = [*given.get(first, ()), *given.get(second, ())]
        gaps = rater_differences(given.get(first, ()), given.get(second, ()))
        if len(gaps) < 2:
            continue
        row: dict[str, Any] = {"first": first, "second": second, "value": float(np.mean(gaps))}
        row |= {"low": None, "high": None, "raters": len(gaps), "p": permutation_p(gaps, seed)}
        if len({s.item for s in both}) > 1 and np.ptp([s.value for s in both]) > 0:
            found = difference(
                [s.seat for s in both],
                [s.item for s in both],
                [s.value for s in both],
                first=[s.system == first for s in both],
                seed=seed,
            )
            row |= {"value": found.value, "low": found.low, "high": found.high}
        rows.append(row)
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["holm"] = float(adjusted)
    return rows


def rater_differences(first: Sequence[Score], second: Sequence[Score]) -> list[float]:
    """Each rater's mean difference over the scenes in which the rater judged both."""
    others = {(s.seat, s.item): s.value for s in second}
    gaps = defaultdict(list)
    for score in first:
        if (score.seat, score.item) in others:
            gaps[score.seat].append(score.value - others[score.seat, score.item])
    return [float(np.mean(mine)) for _, mine in sorted(gaps.items())]


def permutation_p(gaps: Sequence[float], seed: int = 0) -> float:
    """Two-sided p of no difference: signs of the raters' differences are exchanged (exact up to 13 raters)."""
    values = np.asarray(gaps, float)
    if not values.any():
        return 1.0
    found = stats.permutation_test(
        (values,),
        lambda sample, axis: sample.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)
