"""What is heard of a scene of the second edition: bangs with their distance, materials, places, levels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from phonofilm.evaluation.foley_world import audio_events
from phonofilm.evaluation.foley_world.audio_events import Onset, spectrum_after

EDGES = np.geomspace(50, 8000, 9)
"""Hz of the bands by which a bang is told dull or bright."""
DULLNESS = (0.0286, 0.0104, -0.0231, -0.0996, 0.0343)
"""Root of the delay in s from the log shares of the four upper bands, and a constant: fitted to 55 blasts of seeds from
3,000,074 on, whose delays it finds to 28 ms (standard deviation)."""
NEAR_LOUDEST = 0.45
"""Decades of power below the loudest onset within which an onset is a bang."""


@dataclass(frozen=True)
class Bang:
    """An explosion that is heard: time and pan of its onset, and s that its sound was on its way, by its dullness."""

    time: float
    pan: float
    delay: float


def bangs(waveform: np.ndarray, sample_rate: int, onsets: list[Onset]) -> list[Bang]:
    """The loudest of `onsets`."""
    if not onsets:
        return []
    shares, power = zip(*(band_shares(waveform, sample_rate, onset.time) for onset in onsets), strict=True)
    found = []
    for onset, share, loud in zip(onsets, shares, power, strict=True):
        if loud > max(power) - NEAR_LOUDEST:
            root = float(np.dot(DULLNESS[:4], share[4:]) + DULLNESS[4])
            found.append(Bang(onset.time, onset.pan, max(root, 0.0) ** 2))
    return found


def band_shares(waveform: np.ndarray, sample_rate: int, time: float) -> tuple[NDArray[np.float64], float]:
    """Log share of each band in what a sound adds in a tenth of a second, and log power of all."""
    hertz, added = spectrum_after(waveform, sample_rate, time - 0.006, 0.1)
    bands = np.array([added[(hertz >= a) & (hertz < b)].sum() for a, b in pairwise(EDGES)])
    return np.log(bands / max(float(bands.sum()), 1e-12) + 1e-5), float(np.log10(added.sum() + 1e-12))


def material(waveform: np.ndarray, sample_rate: int, time: float) -> str:
    """`audio_events.material` of bodies as large as here."""
    return audio_events.material(waveform, sample_rate, time, limits=(180.0, 1100.0))


def decibels(waveform: np.ndarray) -> float:
    """Mean power relative to full scale; -120 at least."""
    return float(10 * np.log10(np.square(waveform, dtype=np.float64).mean() + 1e-12))
