"""What happens in a scene, apart from how it is drawn or heard.

World coordinates: the picture's shorter side is 1 long, x runs right and y runs down, and a square
picture shows exactly [0, 1] x [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from phonofilm.types import Event

TRACK_RATE = 240  # samples per second of every track; four physics steps never fall into one frame


@dataclass(frozen=True, eq=False)
class Truth:
    """One scene, complete: everything seen and heard follows from it.

    Attributes:
        family: name of the scene family that can draw and sound it.
        seed: the seed it was sampled from.
        seconds: duration.
        caption: prose, with spoken words in quotes.
        events: what is seen and heard, in order of time.
        params: plain facts (colour, material, notes, ...), as JSON can hold them.
        tracks: arrays whose first axis is time at `TRACK_RATE`, from 0 to `seconds` inclusive.
        details: whatever else the family needs to draw and sound the scene.
        edition: of Foley World: 1 is flat and has one family a scene; 2 is lit, and combines.
    """

    family: str
    seed: int
    seconds: float
    caption: str
    events: tuple[Event, ...]
    params: Mapping[str, Any]
    tracks: Mapping[str, np.ndarray] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    edition: int = 1

    def at(self, track: str, times: np.ndarray) -> np.ndarray:
        """A track linearly interpolated at times [T] in seconds -> [T, ...]."""
        return at_times(self.tracks[track], times)


def at_times(track: np.ndarray, times: np.ndarray) -> np.ndarray:
    """A track [S, ...] at TRACK_RATE, linearly interpolated at times [T] in seconds -> [T, ...]."""
    place = np.clip(times * TRACK_RATE, 0, len(track) - 1)
    low = np.minimum(place.astype(int), len(track) - 2)
    part = (place - low).reshape(-1, *([1] * (track.ndim - 1)))
    return track[low] * (1 - part) + track[low + 1] * part


def track_times(seconds: float) -> np.ndarray:
    """float64 [S]: the times of a track of a scene of this duration."""
    return np.arange(round(seconds * TRACK_RATE) + 1) / TRACK_RATE


def since_last(times: np.ndarray, onsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each time, the index of the last onset at or before it (-1 if none) and the seconds since.

    Args:
        times: [T]. onsets: [E], ascending.
    """
    index = np.searchsorted(onsets, times, side="right") - 1
    age = np.where(index >= 0, times - onsets[np.maximum(index, 0)] if len(onsets) else 0.0, np.inf)
    return index, age
