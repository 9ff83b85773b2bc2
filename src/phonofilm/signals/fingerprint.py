"""A fingerprint of sound: which way energy leans between neighbouring bands from moment to moment, 32 bits each.

Haitsma and Kalker, "A highly robust audio fingerprinting system" (ISMIR 2002), with 10 moments a second.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import stft

RATE = 10
"""Moments a second."""

SAMPLE_RATE, WINDOW = 8000, 4096
BITS = 32
LOW, HIGH = 200.0, 3500.0
QUIET = 1e-8
"""Mean square of a moment that is left out: silence sounds like any other silence."""


def sound_fingerprint(mono: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """bool [T, 32] of a sound [N] at 8 kHz, and bool [T], whether anything is heard then."""
    hop = SAMPLE_RATE // RATE
    if len(mono) < 2 * hop:
        return np.zeros((0, BITS), bool), np.zeros(0, bool)
    padded = np.pad(mono.astype(np.float64), WINDOW // 2)
    hertz, _, spectrum = stft(padded, SAMPLE_RATE, nperseg=WINDOW, noverlap=WINDOW - hop, boundary=None, padded=False)
    power = np.abs(spectrum) ** 2
    edges = np.geomspace(LOW, HIGH, BITS + 2)
    place = np.searchsorted(hertz, edges)
    bands = np.add.reduceat(power, place, axis=0)[: BITS + 1]
    leaning = np.diff(bands, axis=0)
    bits = np.diff(leaning, axis=1, prepend=leaning[:, :1] * 0) > 0
    return bits.T, power.sum(axis=0) > QUIET


def sound_distance(one: np.ndarray, other: np.ndarray, least: int = 20) -> float:
    """Share of bits that differ at the lag where two fingerprints [T, 32] fit best; 1 if none overlaps by `least`."""
    if min(len(one), len(other)) < least:
        least = min(len(one), len(other))
    if least < RATE:
        return 1.0
    a, b = np.where(one, 1.0, -1.0), np.where(other, 1.0, -1.0)
    agree = a @ b.T
    best = 1.0
    for lag in range(least - len(a), len(b) - least + 1):
        diagonal = np.diagonal(agree, lag)
        best = min(best, 0.5 - float(diagonal.mean()) / (2 * BITS))
    return best
