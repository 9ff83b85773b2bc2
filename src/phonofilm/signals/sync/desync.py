"""DeSync: Synchformer's offset between sound and picture, from its 21 classes of −2 … +2 s by 0.2 s.

Positive = audio early. The published score is the mean of |grid[argmax]| over the first and last 14 segments of
each clip; seconds, 0 … 2, lower is better. Its step is 0.2 s, it has a bad floor (real film scores .55 to .63),
and a model that was conditioned on Synchformer is judged by its own teacher: say so beside the number.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from phonofilm.signals.validation import Floats, finite

SEGMENTS = 14
"""Segments that Synchformer compares at once: 16 frames at 25 fps, every 8 frames, so 4.8 s."""

GRID: Floats = np.linspace(-2.0, 2.0, 21)
"""Offsets of the classes in seconds."""


def segment_windows(segments: int) -> tuple[slice, slice]:
    """The first and the last 14 of a clip's segments, which the published score compares.

    Raises:
        ValueError: the clip is shorter than 14 segments (4.8 s).
    """
    if segments < SEGMENTS:
        raise ValueError(f"DeSync needs {SEGMENTS} segments (4.8 s at 25 fps) and the clip has {segments}")
    return slice(0, SEGMENTS), slice(segments - SEGMENTS, segments)


def desync(logits: ArrayLike) -> float:
    """DeSync as published: mean |grid[argmax]| in seconds, of logits [..., 21] over clips and windows."""
    return float(np.abs(desync_offsets(logits)).mean())


def desync_offsets(logits: ArrayLike, grid: Floats = GRID) -> Floats:
    """Signed offset in seconds of each row of logits [..., 21], by argmax; positive = audio early.

    Do not average these: offsets of both signs cancel.

    Args:
        grid: offsets of the classes, of a network other than Synchformer.
    """
    return grid[_logits(logits, grid).argmax(axis=-1)]


def desync_expected(logits: ArrayLike, grid: Floats = GRID) -> Floats:
    """NON-STANDARD: Σ softmax(logits) · grid in seconds, of logits [..., 21]; finer than 0.2 s, biased towards 0."""
    return softmax(_logits(logits, grid), axis=-1) @ grid


def _logits(values: ArrayLike, grid: Floats) -> Floats:
    logits = finite(values, "sync logits")
    if logits.ndim < 1 or logits.shape[-1] != len(grid) or not logits.size:
        raise ValueError(f"sync logits must be [..., {len(grid)}], not of shape {logits.shape}")
    return logits
