"""Whether what crosses the picture is heard from where it is seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from phonofilm.signals.onsets import RATE, WINDOW

Floats = NDArray[np.float64]

APART = 25
"""Levels of 255 at which a pixel is no part of the still picture."""
LATE = WINDOW / 2 - 0.03
"""Seconds from the middle of what a band's energy is of to its time, less what true clips are found to be late by."""
LAGS = np.arange(-1.2, 1.2001, 0.02)
"""Seconds that sound is tried late."""


def moving(frames: np.ndarray) -> Floats:
    """Share of each column [T, W] that differs from the still picture, less what all do, as in lightning."""
    still = np.median(frames[::3], axis=0).astype(np.int16)
    apart = np.stack([(np.abs(frame.astype(np.int16) - still).max(-1) > APART).mean(0) for frame in frames])
    apart = np.maximum(apart - np.quantile(apart, 0.2, axis=0), 0)
    return np.asarray(np.maximum(apart - np.quantile(apart, 0.1, axis=1, keepdims=True), 0), np.float64)


def offset(columns: Floats, ears: Floats, fps: float) -> float:
    """Seconds by which sound is late: the lag at which balance of the ears and place in the picture agree best.

    Args:
        columns: as `moving` gives them, [T, W]. ears: energy of the two ears [N, 2] at `RATE`.

    Returns:
        NaN where nothing moves or nothing is heard.
    """
    angle = (np.arange(columns.shape[1]) + 0.5) / columns.shape[1] * np.pi / 2
    left, right = (gaussian_filter1d(columns @ gain**2, 0.04 * fps) for gain in (np.cos(angle), np.sin(angle)))
    size = left + right
    if size.max() <= 0 or ears.max() <= 0:
        return float("nan")
    weight = np.minimum(size / size.max(), 0.5)
    weight[weight < 0.05] = 0
    place = (right - left) / np.maximum(size, 1e-9)
    heard = gaussian_filter1d(ears.astype(np.float64), 0.04 * RATE, axis=0)
    balance = (heard[:, 1] - heard[:, 0]) / np.maximum(heard.sum(1), 1e-12 * heard.max())
    clock = np.arange(len(size)) / fps + LATE
    costs = [
        float((weight * (place - np.interp((clock + lag) * RATE, np.arange(len(balance)), balance)) ** 2).sum())
        for lag in LAGS
    ]
    return float(LAGS[int(np.argmin(costs))])


def direction(columns: Floats) -> float:
    """From -1 (right to left) to 1 (left to right): how what moves goes, as a correlation of time and place."""
    time, place = np.meshgrid(np.arange(len(columns)), np.arange(columns.shape[1]), indexing="ij")
    total = columns.sum()
    if total <= 0:
        return 0.0
    t, x = time - (columns * time).sum() / total, place - (columns * place).sum() / total
    spread = np.sqrt((columns * t * t).sum() * (columns * x * x).sum())
    return float((columns * t * x).sum() / max(spread, 1e-9))
