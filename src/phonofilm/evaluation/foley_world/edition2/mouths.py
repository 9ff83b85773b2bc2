"""Whether mouths move with voices: correlation of small cells of the picture with bands of the voice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from phonofilm.signals.onsets import RATE, WINDOW

Floats = NDArray[np.float64]

CELLS = 32
"""Cells along a side of the picture."""
PARTS = 10
"""Principal components of a picture's cells."""
LATE = WINDOW / 2 + 0.01
"""Seconds from the middle of what a band's energy is of to its time, and half of a shutter."""
LAGS = np.arange(-1.0, 1.0001, 0.02)
"""Seconds that the voice is tried late."""


def cells(frames: np.ndarray, fps: float) -> Floats:
    """Brightness of cells [T, CELLS, CELLS], without what is slow and without light that all share."""
    grey = frames.mean(-1, dtype=np.float32)
    rows, columns = (np.linspace(0, side, CELLS + 1).astype(int) for side in grey.shape[1:])
    sums = np.add.reduceat(np.add.reduceat(grey, rows[:-1], axis=1), columns[:-1], axis=2)
    means = sums / np.outer(np.diff(rows), np.diff(columns)) / 255
    means = means - np.median(means, axis=(1, 2), keepdims=True)
    return np.asarray(means - gaussian_filter1d(means, 0.5 * fps, axis=0), np.float64)


def bands(energy: Floats) -> Floats:
    """Log energy of four groups of bands [N, 4] at RATE of band energy [N, bands], without what is slow."""
    groups = np.stack([part.sum(1) for part in np.array_split(energy, 4, axis=1)], 1)
    level = gaussian_filter1d(np.log10(groups + 1e-4 * max(float(groups.max()), 1e-30)), 0.03 * RATE, axis=0)
    return np.asarray(level - gaussian_filter1d(level, 0.5 * RATE, axis=0))


def offset(seen: Floats, voice: Floats, fps: float) -> float:
    """Seconds by which the voice is late; NaN where nothing moves or nothing is heard.

    At each lag two measures of agreement, each in terms of its spread over lags, are added up: the squared canonical
    correlations (Hotelling 1936) of the voice with the picture's largest principal components, and its squared
    covariances with all cells.

    Args:
        seen: as `cells` gives them. voice: as `bands` gives it.
    """
    if not seen.any() or not voice.any():
        return float("nan")
    flat = seen.reshape(len(seen), -1)
    parts = np.linalg.svd(flat, full_matrices=False)[0][:, :PARTS]
    agree = np.zeros((len(LAGS), 2))
    for row, lag in zip(agree, LAGS, strict=True):
        heard = heard_at(voice, len(seen), fps, lag)
        row[0] = ((parts.T @ np.linalg.qr(heard)[0]) ** 2).sum()
        row[1] = ((flat.T @ (heard / np.maximum(np.linalg.norm(heard, axis=0), 1e-9))) ** 2).sum()
    return float(LAGS[int(np.argmax((agree / np.maximum(agree.std(0), 1e-12)).sum(1)))])


def heard_at(voice: Floats, frames: int, fps: float, lag: float = 0.0) -> Floats:
    """The voice [T, K] at the times of frames, `lag` seconds later."""
    place = (np.arange(frames) / fps + LATE + lag) * RATE
    return np.stack([np.interp(place, np.arange(len(voice)), column, left=0, right=0) for column in voice.T], 1)


def in_turn(seen: Floats, ears: Floats, fps: float) -> float:
    """How much better each half of the picture moves with the voice from its own side than with the other's.

    Args:
        seen: as `cells` gives them. ears: energy [N, bands, 2] of the voice at the two ears.

    Returns:
        The difference of correlations, -2 ... 2: above 0 where the right mouths move.
    """
    total = ears.sum(1)
    balance = (total[:, 1] - total[:, 0]) / np.maximum(total.sum(1), 1e-9 * max(float(total.max()), 1e-30))
    level = gaussian_filter1d(np.log10(total.sum(1) + 1e-4 * max(float(total.max()), 1e-30)), 0.03 * RATE)
    voiced = np.maximum(level - np.log10(1e-3 * max(float(total.max()), 1e-30)), 0)
    sides = heard_at(np.stack([voiced * (balance < 0), voiced * (balance > 0)], 1), len(seen), fps)
    quick = np.abs(np.diff(seen, axis=0, prepend=seen[:1]))
    half = seen.shape[2] // 2
    busy = np.stack([_busiest(quick[:, :, :half]), _busiest(quick[:, :, half:])], 1)
    busy = gaussian_filter1d(busy, 0.12 * fps, axis=0)
    table = _standard(busy).T @ _standard(sides)
    return float(table[0, 0] + table[1, 1] - table[0, 1] - table[1, 0])


def _busiest(quick: Floats) -> Floats:
    """Change [T] of the dozen cells that change most."""
    flat = quick.reshape(len(quick), -1)
    return np.asarray(flat[:, np.argsort(-flat.std(0))[:12]].mean(1))


def _standard(columns: Floats) -> Floats:
    """Columns [T, K] of mean 0 and length 1; 0 where nothing changes."""
    out = columns - columns.mean(0)
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=0), 1e-12))
