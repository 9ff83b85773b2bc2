"""Whose answers are left out, by the rules that were fixed before anybody answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from phonofilm.evaluation.study.mushra import NOT_SCREENED, Screening, scores, screen
from phonofilm.evaluation.study.protocol import Study
from phonofilm.evaluation.study.store import Happening, Rating


@dataclass(frozen=True)
class Conduct:
    """What was measured of one rater; NaN or None where there was nothing to measure.

    Attributes:
        answered, trials: how many of how many.
        missed, catches: clips a second off that were taken for synchronous, of how many.
        apart: mean distance of two ratings of the same clip, in points.
        heard: share of right answers to "left or right?".
        latency: device delay of the sound in seconds, by the flash and the beep.
        spread: standard deviation of all answers.
        mushra: in how many scenes the hidden reference and the mid-range anchor were misjudged.
        reasons: the rules that this rater fails; none means the answers count.
    """

    seat: int
    answered: int
    trials: int
    missed: int
    catches: int
    apart: float
    heard: float
    latency: float | None
    spread: float
    reasons: tuple[str, ...]
    mushra: Screening = NOT_SCREENED


def conduct(
    study: Study,
    seat: int,
    ratings: Sequence[Rating],
    events: Sequence[Happening],
    excused: Set[str] = frozenset(),
) -> Conduct:
    """Judge one rater by the study's rules.

    Args:
        ratings, events: of this rater alone.
        excused: scenes whose MUSHRA anchor screens nobody, as from `mushra.not_degraded`.
    """
    trials = study.trials(seat)
    given = {rating.trial: rating.answers for rating in ratings}
    caught = [given[t.index].get("sync") for t in trials if t.role == "catch" and t.index in given]
    missed = sum(value is not None and value > study.rules.catch_most for value in caught)
    pairs = [
        (given[t.index], given[t.repeats])
        for t in trials
        if t.repeats is not None and t.index in given and t.repeats in given
    ]
    apart = _mean([gap for one, two in pairs for gap in _gaps(one, two)])
    one_clip = [t for t in trials if t.role not in ("pair", "mushra")]
    rated = [v for t in one_clip for v in given.get(t.index, {}).values() if v is not None]
    heard = [event.detail for event in events if event.kind == "headphones"]
    latency = [event.detail.get("latency") for event in events if event.kind == "latency"]
    found = Conduct(
        seat=seat,
        answered=len(given),
        trials=len(trials),
        missed=missed,
        catches=len(caught),
        apart=apart,
        # the last try counts: people plug their headphones in when told that something is wrong
        heard=float(heard[-1]["right"]) / max(int(heard[-1]["asked"]), 1) if heard else float("nan"),
        latency=latency[-1] if latency else None,
        spread=float(np.std(rated)) if len(rated) >= 2 else float("nan"),
        reasons=(),
        mushra=screen(study, scores(study, ratings), excused),
    )
    return Conduct(**{**found.__dict__, "reasons": tuple(_reasons(study, found))})


def _reasons(study: Study, found: Conduct) -> list[str]:
    rules = study.rules
    checks = {
        f"answered {found.answered} of {found.trials} trials": found.answered < rules.answered * found.trials,
        f"took {found.missed} of {found.catches} clips a second off for synchronous": found.missed
        > rules.catches_missed,
        f"rated the same clips {found.apart:.1f} points apart": found.apart > rules.duplicate_apart,
        "did not tell left from right": not found.heard >= rules.headphones_right,
        f"device delay of {found.latency or 0:.2f} s": abs(found.latency or 0) > rules.latency_most,
        "gave the same answer throughout": found.spread < rules.flattest,
    }
    if study.mushra is not None:
        seen, most = found.mushra, study.mushra.failures_most
        low = f"rated the hidden reference below {study.mushra.reference_least}"
        high = f"rated the mid-range anchor above {study.mushra.anchor_most}"
        checks |= {
            f"{low} in {seen.reference_low} of {seen.reference_of} scenes": seen.reference_low
            > most * seen.reference_of,
            f"{high} in {seen.anchor_high} of {seen.anchor_of} scenes": seen.anchor_high > most * seen.anchor_of,
        }
    return [reason for reason, failed in checks.items() if failed]


def _gaps(one: Mapping[str, int | None], two: Mapping[str, int | None]) -> list[float]:
    both = [(one[name], two[name]) for name in one if name in two]
    return [abs(a - b) for a, b in both if a is not None and b is not None]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
