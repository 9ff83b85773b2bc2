"""Speech, effects and music apart: what is silent, where they lie, and how music gives way and marks what happens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from phonofilm.signals.onsets import RATE, band_energy

Floats = NDArray[np.float64]

SILENT = -30.0
"""dB of the energy of the mix below which a stem is silent."""


def ears(waveform: np.ndarray, sample_rate: int) -> Floats:
    """Band energy [N, bands, 2] of the two ears at `RATE`; one channel is heard by both."""
    sound = waveform[:2].astype(np.float64)
    each = [band_energy(channel[None], sample_rate) for channel in sound]
    return np.stack([each[0], each[-1]], -1)


def balance(waveform: np.ndarray) -> float:
    """Constant-power pan of all energy, -1 ... 1."""
    left, right = np.sqrt(np.square(waveform[[0, -1]], dtype=np.float64).mean(-1) + 1e-15)
    return float(np.arctan2(right, left) * 4 / np.pi - 1)


def audible(stem: np.ndarray | None, mix: np.ndarray) -> bool:
    """Whether a stem has more than `SILENT` of the energy of the mix."""
    if stem is None:
        return False
    energy, whole = (float(np.square(sound, dtype=np.float64).mean()) for sound in (stem, mix))
    return energy > max(10 ** (SILENT / 10) * whole, 1e-9)


def level(waveform: np.ndarray, sample_rate: int, blur: float) -> Floats:
    """Energy [N] at RATE, smoothed by a bell of `blur` seconds."""
    hop = sample_rate / RATE
    power = np.square(waveform, dtype=np.float64).sum(0)
    edges = np.minimum(np.rint(np.arange(int(len(power) / hop) + 1) * hop).astype(int), len(power) - 1)
    return np.asarray(gaussian_filter1d(np.add.reduceat(power, edges) / hop, blur * RATE))


def ducking(speech: np.ndarray, music: np.ndarray, sample_rate: int) -> float | None:
    """How many dB lower music is under words than apart from them; None where it is always one of the two.

    What lies between words and silence, half a second after a word, counts as neither.
    """
    voice = level(speech, sample_rate, 0.02)
    words = voice > 10**-1.5 * voice.max()
    near = maximum_filter1d(words.astype(np.uint8), round(1.2 * RATE)) > 0
    bed = level(music, sample_rate, 0.02)
    if words.sum() < 0.3 * RATE or (~near).sum() < 0.3 * RATE:
        return None
    under, apart = bed[words].mean(), bed[~near].mean()
    return float(10 * np.log10(max(apart, 1e-12) / max(under, 1e-12)))


def accents(times: Sequence[float], music: np.ndarray, sample_rate: int) -> float | None:
    """How many dB more music rises within 60 ms of `times` than it does at any time; None without times."""
    bed = level(music, sample_rate, 0.01)
    floor = 1e-3 * max(float(bed.max()), 1e-12)
    reach = round(0.06 * RATE)
    lag = round(0.04 * RATE)
    rise = np.zeros(len(bed))
    rise[lag:] = 10 * np.log10((bed[lag:] + floor) / (bed[:-lag] + floor))
    best = maximum_filter1d(rise, 2 * reach + 1)
    at = [round((time + 0.02) * RATE) for time in times]
    at = [place for place in at if place < len(best)]
    return float(best[at].mean() - best.mean()) if at else None
