"""VBench's dimensions that are arithmetic over frames, flow or embeddings (Huang et al. 2024, arXiv 2311.17982).

All lie in 0 … 1, higher is better unless said. Published values come from AMT (smoothness), RAFT (dynamic degree),
DINO (subject) and CLIP (background): with another network the result carries that network's name.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import uniform_filter1d

from phonofilm.signals.validation import Floats, finite, matrix

Interpolator = Callable[[NDArray[np.uint8], NDArray[np.uint8]], ArrayLike]
"""Two frames uint8 [H, W, 3] to the frame half way between them, 0 … 255."""


def temporal_flicker(frames: ArrayLike) -> float:
    """(255 − mean absolute difference of neighbouring frames) / 255; 1 is still. Meant for static scenes.

    Args:
        frames: [T, H, W, 3], 0 … 255, T ≥ 2.
    """
    images = _frames(frames, 2)
    errors = [_difference(a, b) for a, b in pairwise(images)]
    return 1 - float(np.mean(errors)) / 255


def motion_smoothness(frames: ArrayLike, interpolate: Interpolator) -> float:
    """(255 − mean absolute error) / 255 of the odd frames, dropped and interpolated from their neighbours.

    Frames keep their size: VBench shrinks them by the memory of the GPU at hand, so its numbers depend on it.

    Args:
        frames: [T, H, W, 3], 0 … 255, T ≥ 3.
        interpolate: gives the frame between two; VBench's is AMT-S.
    """
    images = _frames(frames, 3)
    errors = []
    for i in range(1, len(images) - 1, 2):
        between = np.asarray(interpolate(images[i - 1], images[i + 1]))
        if between.shape != images[i].shape:
            raise ValueError(f"the interpolator returned {between.shape} for frames of {images[i].shape}")
        errors.append(_difference(images[i], np.clip(np.rint(between), 0, 255)))
    return 1 - float(np.mean(errors)) / 255


def flow_strength(flow: ArrayLike) -> Floats:
    """Mean of the largest 5 % of flow magnitudes of each pair of frames, in pixels: flow [T, H, W, 2] to [T]."""
    field = finite(flow, "flow")
    if field.ndim != 4 or field.shape[-1] != 2 or not field.size:
        raise ValueError(f"flow must be [pairs, height, width, 2], not of shape {field.shape}")
    speed = np.linalg.norm(field, axis=-1).reshape(len(field), -1)
    count = max(1, int(speed.shape[1] * 0.05))
    return np.partition(speed, speed.shape[1] - count, axis=1)[:, -count:].mean(axis=1)


def dynamic_degree(flow: ArrayLike) -> bool:
    """Whether a clip moves: `flow_strength` passes 6 px per 256 of the short side in at least 4 of 16 frames.

    The metric of a set is the share of its clips that move; neither more nor less of it is better.

    Args:
        flow: [T − 1, H, W, 2] in pixels between frames that are 1/8 s apart (VBench takes every round(fps/8)-th).
    """
    strength = flow_strength(flow)
    height, width = np.asarray(flow).shape[1:3]
    needed = round(4 * (len(strength) + 1) / 16)
    return bool((strength > 6.0 * min(height, width) / 256).sum() >= max(needed, 1))


def consistency(embeddings: ArrayLike) -> float:
    """Mean over frames of (cosine to the previous + cosine to the first) / 2, negative cosines taken as 0.

    DINO embeddings [T, D] give the subject consistency, CLIP embeddings the background consistency, T ≥ 2.
    """
    rows = matrix(embeddings, "frame embeddings", least=2)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise ValueError("a frame embedding is all zeros and has no direction")
    unit = rows / lengths
    previous = (unit[1:] * unit[:-1]).sum(axis=1)
    first = unit[1:] @ unit[0]
    return float((np.maximum(previous, 0) + np.maximum(first, 0)).mean() / 2)


def _frames(frames: ArrayLike, least: int) -> NDArray[np.uint8]:
    images = np.asarray(frames)
    if images.ndim != 4 or images.shape[-1] != 3 or not images.size:
        raise ValueError(f"frames must be [T, H, W, 3], not of shape {images.shape}")
    if len(images) < least:
        raise ValueError(f"this needs at least {least} frames and the clip has {len(images)}")
    if images.dtype != np.uint8:
        images = np.clip(np.rint(finite(images, "frames")), 0, 255).astype(np.uint8)
    return images


def _difference(first: NDArray[np.uint8], second: ArrayLike) -> float:
    return float(np.abs(first.astype(np.float32) - np.asarray(second, dtype=np.float32)).mean(dtype=np.float64))


SAME, LESS, MOST = 2.0, 0.05, 6.0
"""Levels of 255 by which the most changed hundredth of the pixels of a repeated frame differs, which is what a codec
adds: at least, as a share of what is usual around it, and at most."""

RUN, AMID = 0.2, 0.25
"""Seconds of repeats from which on a picture is frozen, and around a short repeat in which something else must move."""


def repeated_frames(frames: ArrayLike, fps: float) -> tuple[float, float]:
    """Shares of frames [T, H, W, 3] that repeat the one before: in runs of `RUN` seconds or more, and in shorter ones.

    Short runs count only where frames around them move: there a frame was lost.
    """
    pictures = np.asarray(frames)
    if len(pictures) < 3:
        return 0.0, 0.0
    change = np.array([_most_changed(a, b) for a, b in pairwise(pictures)])
    reach = max(2, round(AMID * fps))
    around = np.array([np.median(change[max(0, i - reach) : i + reach + 1]) for i in range(len(change))])
    same = change <= np.clip(LESS * around, SAME, MOST)
    edges = np.diff(np.concatenate([[0], same.astype(int), [0]]))
    frozen = dropped = 0
    for start, end in zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True):
        beside = np.concatenate([change[max(0, start - reach) : start], change[end : end + reach]])
        if end - start >= max(2, RUN * fps):
            frozen += int(end - start)
        elif len(beside) and np.median(beside) > 2 * SAME:
            dropped += int(end - start)
    return frozen / len(change), dropped / len(change)


def _most_changed(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """Mean change of the hundredth of the pixels that changes most."""
    gap = np.abs(before.astype(np.int16) - after).mean(axis=-1).ravel()
    few = max(1, len(gap) // 100)
    return float(np.partition(gap, -few)[-few:].mean())


def blur_effect(frame: ArrayLike, size: int = 9) -> float:
    """Perceptual blur of a frame [H, W, 3], 0 sharp … 1 (Crete et al. 2007, "The blur effect").

    A sharp picture loses much of the differences of its neighbouring pixels by a further blur, a blurred one little.
    """
    grey = np.asarray(frame, dtype=np.float64) @ np.array([0.299, 0.587, 0.114])
    found = []
    for axis in (0, 1):
        before = np.abs(np.diff(grey, axis=axis))
        after = np.abs(np.diff(uniform_filter1d(grey, size, axis=axis, mode="nearest"), axis=axis))
        total = before.sum()
        found.append(1 - np.maximum(before - after, 0).sum() / total if total > 0 else 0.0)
    return float(max(found))
