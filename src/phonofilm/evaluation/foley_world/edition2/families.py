"""Which family of scenes a picture shows and a sound is of, by what only that family has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from phonofilm.evaluation.foley_world.audio_events import Onset
from phonofilm.evaluation.foley_world.visual_events import VisualEvent


def of_picture(
    frames: np.ndarray, fps: float, bars: int, flashes: Sequence[VisualEvent], moving: NDArray[np.float64]
) -> str:
    return "strike"


def of_sound(effects: np.ndarray, speech: np.ndarray, sample_rate: int, onsets: Sequence[Onset]) -> str:
    return "strike"
