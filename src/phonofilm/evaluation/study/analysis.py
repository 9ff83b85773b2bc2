"""From raw answers to results: who counts, mean opinions, differences, agreement, preferences, metrics against people.

Everything comes back as plain values for JSON; `app.study.report` draws them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import expit

from phonofilm.evaluation.statistics import holm, spearman
from phonofilm.evaluation.study import mushra
from phonofilm.evaluation.study.bradley_terry import davidson
from phonofilm.evaluation.study.krippendorff import alpha_interval
from phonofilm.evaluation.study.mean_opinion import difference, mean_opinion
from phonofilm.evaluation.study.protocol import Study
from phonofilm.evaluation.study.rater_screening import Conduct, conduct
from phonofilm.evaluation.study.store import Happening, Rating

Metrics = Mapping[str, Mapping[tuple[str, str], float]]
"""{metric: {(system, item): value}}."""


@dataclass(frozen=True)
class Opinion:
    """One rating of one clip on one scale."""

    seat: int
    system: str
    item: str
    scale: str
    value: int


@dataclass(frozen=True)
class Choice:
    """One choice between two systems on one item: 1 the first, −1 the second, 0 a tie."""

    seat: int
    first: str
    second: str
    item: str
    scale: str
    outcome: int


def analyse(
    study: Study,
    ratings: Sequence[Rating],
    events: Sequence[Happening],
    metrics: Metrics | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """The whole analysis of a study, as nested plain values; see `docs/study.md` for what each part means."""
    seats = sorted({r.seat for r in ratings} | {e.seat for e in events})
    all_scores = mushra.scores(study, ratings)
    excused = mushra.not_degraded(study, all_scores)
    judged = [
        conduct(study, seat, [r for r in ratings if r.seat == seat], [e for e in events if e.seat == seat], excused)
        for seat in seats
    ]
    counted = {found.seat for found in judged if not found.reasons}
    all_opinions, all_choices = list(opinions(study, ratings)), list(choices(study, ratings))
    kept = [o for o in all_opinions if o.seat in counted]
    return {
        "study": {"title": study.title, "hash": study.hash, "seed": study.seed, "rules": asdict(study.rules)},
        "raters": [_conduct(found) for found in judged],
        "counted": len(counted),
        "ratings": len(ratings),
        "opinions": mean_opinions(study, kept, seed),
        "opinions_of_all": mean_opinions(study, all_opinions, seed),
        "answers": distributions(study, kept),
        "differences": differences(study, kept, seed),
        "agreement": agreement(study, kept, seed),
        "preferences": preferences(study, [c for c in all_choices if c.seat in counted]),
        "mushra": mushra.results(study, [s for s in all_scores if s.seat in counted], seed),
        "mushra_not_degraded": sorted(excused),
        "metrics": against_metrics(study, kept, metrics or {}),
        "left_out": list(study.left_out),
    }


def opinions(study: Study, ratings: Iterable[Rating]) -> Iterable[Opinion]:
    """Every answered scale of every clip of a system, the reference or an anchor; duplicates and catches are checks."""
    for rating, trial in _trials(study, ratings):
        if trial.role in ("main", "anchor"):
            shown = study.stimuli[trial.stimuli[0]]
            for scale, value in rating.answers.items():
                if value is not None:
                    yield Opinion(rating.seat, shown.system, shown.item, scale, value)


def choices(study: Study, ratings: Iterable[Rating]) -> Iterable[Choice]:
    """Every pairwise choice on every scale."""
    for rating, trial in _trials(study, ratings):
        if trial.role == "pair":
            first, second = (study.stimuli[i] for i in trial.stimuli)
            for scale, value in rating.answers.items():
                if value is not None:
                    yield Choice(rating.seat, first.system, second.system, first.item, scale, value)


def mean_opinions(study: Study, given: Sequence[Opinion], seed: int) -> dict[str, dict[str, Any]]:
    """{scale: {system: {value, low, high, n}}}; a system with too few ratings has no interval."""
    found: dict[str, dict[str, Any]] = {}
    for scale in study.scales:
        for system, mine in _by_system(study, given, scale.name).items():
            row: dict[str, Any] = {"value": _mean([o.value for o in mine]), "low": None, "high": None, "n": len(mine)}
            if len({o.seat for o in mine}) > 1 and len({o.item for o in mine}) > 1:
                interval = mean_opinion(*_columns(mine), seed=seed)
                # a handful of equal answers says nothing of how others would differ
                if interval.high > interval.low:
                    row |= {"low": max(1.0, interval.low), "high": min(5.0, interval.high)}
            found.setdefault(scale.name, {})[system] = row
    return found


def distributions(study: Study, given: Sequence[Opinion]) -> dict[str, dict[str, list[int]]]:
    """{scale: {system: how often each of 1 … 5 was answered}}."""
    return {
        scale.name: {
            system: [sum(o.value == v for o in mine) for v in range(1, 6)]
            for system, mine in _by_system(study, given, scale.name).items()
        }
        for scale in study.scales
    }


def differences(study: Study, given: Sequence[Opinion], seed: int) -> list[dict[str, Any]]:
    """Every two systems on every scale: difference, interval, p and Holm's p over all of this table."""
    rows: list[dict[str, Any]] = []
    for scale in study.scales:
        for first, second in combinations(study.systems, 2):
            pair = [o for o in given if o.scale == scale.name and o.system in (first, second)]
            both = all(len({o.seat for o in pair if o.system == s}) > 1 for s in (first, second))
            if both and len({o.item for o in pair}) > 1:
                found = difference(*_columns(pair), first=[o.system == first for o in pair], seed=seed)
                rows.append({"scale": scale.name, "first": first, "second": second, **asdict(found)})
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["holm"] = float(adjusted)
    return rows


def agreement(study: Study, given: Sequence[Opinion], seed: int) -> dict[str, Any]:
    """{scale: {value, low, high, clips}}: ordinal α over the clips that two raters or more judged."""
    found = {}
    for scale in study.scales:
        mine = [o for o in given if o.scale == scale.name]
        seats, clips = sorted({o.seat for o in mine}), sorted({(o.system, o.item) for o in mine})
        table = np.full((len(seats), len(clips)), np.nan)
        for o in mine:
            table[seats.index(o.seat), clips.index((o.system, o.item))] = o.value
        shared = int((np.isfinite(table).sum(axis=0) >= 2).sum())
        if shared:
            alpha = alpha_interval(table, seed=seed)
            found[scale.name] = {
                "value": _number(alpha.value),
                "low": _number(alpha.low),
                "high": _number(alpha.high),
                "clips": shared,
            }
    return found


def preferences(study: Study, made: Sequence[Choice]) -> dict[str, Any]:
    """{scale: {strengths, contests, wins, ties}} by Davidson's model, clustered by rater and by scene."""
    found = {}
    for scale in study.pair_scales:
        mine = [c for c in made if c.scale == scale.name]
        present = [s for s in study.systems if any(s in (c.first, c.second) for c in mine)]
        if len(present) < 2:
            continue
        number = {system: i for i, system in enumerate(present)}
        a, b = [number[c.first] for c in mine], [number[c.second] for c in mine]
        outcome = [c.outcome for c in mine]
        many = len({c.seat for c in mine}) > 1 and len({c.item for c in mine}) > 1
        clusters = ([c.seat for c in mine], [c.item for c in mine]) if many else ()
        items = {item: i for i, item in enumerate(study.items)}
        strengths = davidson(
            a, b, outcome, len(present), [clusters[0], [items[i] for i in clusters[1]]] if clusters else ()
        )
        wins = np.zeros((len(present), len(present)), int)
        for i, j, won in zip(a, b, outcome, strict=True):
            if won:
                wins[(i, j) if won > 0 else (j, i)] += 1
        found[scale.name] = {
            "systems": present,
            "strengths": [asdict(strengths.interval(i)) for i in range(len(present))],
            "contests": [
                {
                    **asdict(c),
                    "first": present[c.first],
                    "second": present[c.second],
                    "share_low": float(expit(c.gap.low)),
                    "share_high": float(expit(c.gap.high)),
                }
                for c in strengths.contests()
            ],
            "wins": wins.tolist(),
            "ties": sum(won == 0 for won in outcome),
            "choices": len(mine),
        }
    return found


def against_metrics(study: Study, given: Sequence[Opinion], metrics: Metrics) -> list[dict[str, Any]]:
    """Spearman of each metric with each scale: over clips, and over systems where there are four or more."""
    rows = []
    for metric, values in metrics.items():
        for scale in study.scales:
            people: dict[tuple[str, str], list[int]] = defaultdict(list)
            for o in given:
                if o.scale == scale.name and (o.system, o.item) in values:
                    people[o.system, o.item].append(o.value)
            clips = sorted(people)
            points = [(values[clip], _mean(people[clip])) for clip in clips]
            systems = sorted({system for system, _ in clips})
            centres = [
                (
                    _mean([x for (s, _), (x, _) in zip(clips, points, strict=True) if s == system]),
                    _mean([y for (s, _), (_, y) in zip(clips, points, strict=True) if s == system]),
                )
                for system in systems
            ]
            rows.append(
                {
                    "metric": metric,
                    "scale": scale.name,
                    "clips": _correlation(points),
                    "systems": _correlation(centres),
                    "points": [[s, x, y] for (s, _), (x, y) in zip(clips, points, strict=True)],
                }
            )
    return rows


def _correlation(points: Sequence[tuple[float, float]]) -> dict[str, Any] | None:
    """None where there are fewer than four points, or one side does not vary."""
    try:
        found = spearman([x for x, _ in points], [y for _, y in points])
    except ValueError:
        return None
    known = found.high > found.low  # ranks that agree fully have no interval by Fisher's z
    limits = {"low": found.low, "high": found.high} if known else {"low": None, "high": None}
    return {"value": found.value, **limits, "n": len(points)}


def _trials(study: Study, ratings: Iterable[Rating]) -> Iterable[tuple[Rating, Any]]:
    plans: dict[int, tuple[Any, ...]] = {}
    for rating in ratings:
        if rating.seat not in plans:
            plans[rating.seat] = study.trials(rating.seat)
        yield rating, plans[rating.seat][rating.trial]


def _by_system(study: Study, given: Sequence[Opinion], scale: str) -> dict[str, list[Opinion]]:
    names = list(study.systems) + list(dict.fromkeys(s.system for s in study.stimuli if s.kind == "anchor"))
    grouped = {name: [o for o in given if o.scale == scale and o.system == name] for name in names}
    return {name: mine for name, mine in grouped.items() if mine}


def _columns(given: Sequence[Opinion]) -> tuple[list[int], list[str], list[int]]:
    return [o.seat for o in given], [o.item for o in given], [o.value for o in given]


def _conduct(found: Conduct) -> dict[str, Any]:
    return {k: _number(v) if isinstance(v, float) else v for k, v in asdict(found).items()}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
