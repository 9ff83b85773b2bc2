"""A clip whose picture or sound was given, held against the true clip: do things happen when they do there?"""

from __future__ import annotations

from phonofilm.evaluation.foley_world.edition2.asked import Asked
from phonofilm.evaluation.foley_world.edition2.score import TOLERANCE, Heard, Seen
from phonofilm.evaluation.foley_world.metrics import f1_counts

SIGHTS = {"bounce": "impacts", "strike": "strikes", "blast": "flashes", "rain": "drops"}
"""What is seen to happen in the families of single events; of what passes and of mouths `sync` alone tells."""


def onset_f1(made: Heard, true: Heard, asked: Asked) -> float | None:
    """F1 of the moments at which a made sound and the true one set in, of a blast when it goes off.

    None for families without single events, and where nothing is to be heard.
    """
    if asked.family not in SIGHTS or "effects" in asked.silent:
        return None
    return _f1(_heard(made, asked.family), _heard(true, asked.family), asked.family)


def sight_f1(made: Seen, true: Seen, asked: Asked) -> float | None:
    """F1 of the moments at which something is seen to happen in a made picture and in the true one.

    None for families without single events, and where nothing is to be seen.
    """
    if asked.family not in SIGHTS:
        return None
    return _f1(_seen(made, asked.family), _seen(true, asked.family), asked.family)


def _seen(seen: Seen, family: str) -> list[float]:
    return [sight.time for sight in getattr(seen, SIGHTS[family])]


def _heard(heard: Heard, family: str) -> list[float]:
    if family == "blast":
        return sorted(bang.time - bang.delay for bang in heard.bangs)
    return [onset.time for onset in heard.onsets]


def _f1(made: list[float], true: list[float], family: str) -> float | None:
    if not true:
        return None
    pairs, events = f1_counts(made, true, TOLERANCE[family])
    return pairs / events
