"""How the stems of a scene hang together: music gives way to speech, and marks what happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phonofilm.types import Event
from phonofilm.world.audio import music
from phonofilm.world.audio.synthesis import CONTROL_RATE, Hit, Score, control_times

MARKED = ("impact", "strike", "blast", "thunder", "landing")  # kinds of events that the music may mark
APART = 0.5  # s between two accents, at least
DUCKED = 0.35  # level of the music while somebody speaks
ATTACK, RELEASE = 0.10, 0.45  # s


def accompany(
    rng: np.random.Generator, piece: Mapping[str, Any], events: Sequence[Event], seconds: float
) -> dict[str, Any]:
    """A piece with accents on what happens in the scene, if it has any."""
    times: list[float] = []
    for event in sorted(events, key=lambda event: event.time):
        heard = event.kind in MARKED and event.loudness is not None and event.time < seconds - 0.1
        if heard and (not times or event.time - times[-1] >= APART):
            times.append(event.time)
    return {**piece, "accents": times if rng.random() < 0.75 else []}


def score(piece: Mapping[str, Any], events: Sequence[Event], seconds: float) -> Score:
    """The bed, and a chord on each accent."""
    bed = music.score(piece, seconds)
    hits: list[Hit] = []
    for time in piece["accents"]:
        hits += music.accent(piece, time)
    return Score(bed.hits + tuple(hits), tones=bed.tones)


def ducking(events: Sequence[Event], seconds: float) -> dict[str, np.ndarray]:
    """Level of the music [K] at CONTROL_RATE: lower while words are said."""
    times = control_times(seconds)
    wanted = np.ones(len(times))
    for event in events:
        if event.kind == "word":
            end = event.end if event.end is not None else event.time
            wanted[(times >= event.time - ATTACK) & (times <= end + 0.15)] = DUCKED
    level = np.empty_like(wanted)
    now = wanted[0]
    for i, target in enumerate(wanted):
        rate = 1 / (CONTROL_RATE * (ATTACK if target < now else RELEASE) * 0.5)
        now += (target - now) * min(1.0, rate)
        level[i] = now
    return {"music": level}
