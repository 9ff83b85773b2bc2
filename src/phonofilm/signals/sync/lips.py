"""How far lips and voice are apart: the opening of a mouth against the level of what is heard.

A mouth that opens lets more sound out, so that both rise and fall together within a syllable. Of a real speaker they
agree loosely, of a mouth that somebody else's voice was laid on hardly ever: an offset is known where one lag fits well
and clearly better than others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from phonofilm.signals.onsets import vertex
from phonofilm.signals.validation import Floats

RATE, REACH = 100, 0.6
"""Samples a second of both curves, and seconds of offset that are searched."""

BLUR, STEADY, POWER = 0.05, 0.5, 0.3
"""Seconds (standard deviation) that both are smoothed by, and over which what is steady is taken out; and the power of
the amplitude that stands for loudness."""

APART = 0.15
"""Seconds from the best lag within which another peak is the same one."""

CLEAR, LEAST = 1.5, 1.15
"""How much the gap to the next best lag counts beside the correlation, and how much both together must be. Chosen on 26
talking scenes of Foley World, of which 15 are known; of 208 with another one's voice 5 are."""


@dataclass(frozen=True)
class LipOffset:
    """Attributes:

    milliseconds: positive = audio early. known: whether that is more than chance. confidence: 0 … 1, 0.5 at `LEAST`.
    """

    milliseconds: float
    known: bool
    confidence: float


def lip_offset(opening: Floats, fps: float, mono: Floats, sample_rate: int) -> LipOffset:
    """Offset of a voice against a mouth.

    Args:
        opening: [T] of the mouth in each picture, NaN where there is no face. mono: [N], the sound of the same time.

    Raises:
        ValueError: a mouth or a voice that does not change, or less than twice the offset that is searched.
    """
    count = min(round(len(opening) / fps * RATE), len(mono) * RATE // sample_rate)
    if count < 2 * REACH * RATE or np.isfinite(opening).sum() < 2:
        raise ValueError("too little of a face is seen to compare it with a voice")
    heard, seen = _varying(_loudness(mono, sample_rate, count)), _varying(_at_rate(opening, fps, count))
    reach = round(REACH * RATE)
    curve = np.array([_agreement(heard, seen, lag) for lag in range(-reach, reach + 1)])
    top = int(curve[1:-1].argmax()) + 1
    lag = (top - reach + vertex(*curve[top - 1 : top + 2])) / RATE
    others = curve[np.abs(np.arange(len(curve)) - top) > APART * RATE]
    margin = float(curve[top] + CLEAR * (curve[top] - others.max()) - LEAST)
    return LipOffset(1000 * float(lag), margin > 0, float(1 / (1 + np.exp(-6 * margin))))


def _at_rate(opening: Floats, fps: float, count: int) -> Floats:
    there = np.isfinite(opening)
    times = (np.arange(len(opening)) + 0.5) / fps
    found: Floats = np.interp((np.arange(count) + 0.5) / RATE, times[there], opening[there])
    return found


def _loudness(mono: Floats, sample_rate: int, count: int) -> Floats:
    edges = np.arange(count + 1) * sample_rate // RATE
    power = np.add.reduceat(mono[: edges[-1]].astype(np.float64) ** 2, edges[:-1]) / np.diff(edges)
    loud: Floats = power ** (POWER / 2)
    return loud


def _varying(values: Floats) -> Floats:
    smooth = gaussian_filter1d(values, BLUR * RATE)
    left: Floats = smooth - gaussian_filter1d(smooth, STEADY * RATE)
    if left.std() < 1e-9:
        raise ValueError("a mouth or a voice that does not change: a lip offset has no value")
    return left / left.std()


def _agreement(heard: Floats, seen: Floats, lag: int) -> float:
    """Correlation of what is heard at t with what is seen at t + lag."""
    count = len(heard)
    one, other = heard[max(0, -lag) : count - max(0, lag)], seen[max(0, lag) : count + min(0, lag)]
    size = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / size) if size > 1e-9 else 0.0
