"""Fitting picture and sound to another size or rate: pure functions over arrays."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np


def frame_indices(count: int, rate: Fraction, source_count: int, source_rate: Fraction) -> np.ndarray:
    """int64 [count]: which source frame to show at each of `count` instants k / rate.

    To a lower rate it is the nearest instant. To a higher one each source frame comes in at the output
    frame nearest to its own time, so that what is seen is never more than half an output frame off.
    """
    ratio = source_rate / rate
    if ratio >= 1:
        indices = [math.floor(k * ratio + Fraction(1, 2)) for k in range(count)]
    else:
        indices = [math.ceil((k + Fraction(1, 2)) * ratio) - 1 for k in range(count)]
    return np.clip(np.array(indices, dtype=np.int64), 0, source_count - 1)


def near_size(size: tuple[int, int], step: int, pixels: int) -> tuple[int, int]:
    """The nearest (width, height) in whole steps: rounded up, or shrunk where there are more than so many pixels."""
    shrink = min(1.0, math.sqrt(pixels / (size[0] * size[1])))
    width, height = (max(step, math.ceil(side * shrink / step - 1e-9) * step) for side in size)
    return width, height


def to_length(waveform: np.ndarray, samples: int) -> np.ndarray:
    """float32 [C, samples]: cut, or filled up with silence."""
    if waveform.shape[-1] >= samples:
        return waveform[..., :samples]
    return np.pad(waveform, ((0, 0), (0, samples - waveform.shape[-1])))


def crossfaded(kept: np.ndarray, made: np.ndarray, keep: np.ndarray, ramp: int) -> np.ndarray:
    """float32 [C, N]: `kept` where `keep`, `made` elsewhere, faded over `ramp` samples on the kept side.

    Two sounds cut hard at a join click; where all or nothing is kept there is no join.
    """
    weight = keep.astype(np.float32)
    fade = (np.arange(ramp, dtype=np.float32) + 0.5) / max(ramp, 1)
    edges: list[int] = np.flatnonzero(np.diff(keep.astype(np.int8))).tolist()
    for edge in edges:  # the last sample before a join
        if keep[edge]:
            part = weight[max(0, edge + 1 - ramp) : edge + 1]
            np.minimum(part, fade[::-1][ramp - len(part) :], out=part)
        else:
            part = weight[edge + 1 : edge + 1 + ramp]
            np.minimum(part, fade[: len(part)], out=part)
    return (weight * kept + (1 - weight) * made).astype(np.float32)


def begun_from(first: np.ndarray, made: np.ndarray, frames: float) -> np.ndarray:
    """uint8 [T, H, W, 3]: `made`, whose first frame becomes `first` to the last pixel.

    What the model's codec could not hold of the given picture fades over so many frames, so that nothing pops.
    """
    count = min(len(made), max(1, math.ceil(frames)))
    lost = first.astype(np.float32) - made[0]
    fade = np.maximum(0.0, 1 - np.arange(count, dtype=np.float32) / max(frames, 1))[:, None, None, None]
    out = made.copy()
    out[:count] = np.clip(np.rint(made[:count] + fade * lost), 0, 255)
    return out
