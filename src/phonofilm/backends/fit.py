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


def resized(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 [T, H, W, 3] at (width, height), antialiased; unchanged where it fits already."""
    width, height = size
    if frames.shape[1:3] == (height, width):
        return frames
    import torch
    from torch.nn.functional import interpolate

    made = np.empty((len(frames), height, width, 3), np.uint8)
    # frame by frame: a long film at full size in float32 would not fit in memory
    for index, frame in enumerate(frames):
        pixels = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float()
        fitted = interpolate(pixels, (height, width), mode="bicubic", antialias=True, align_corners=False)
        made[index] = fitted[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
    return made


def stereo(waveform: np.ndarray) -> np.ndarray:
    """float32 [2, N] from any number of channels: one is doubled, of more the front pair is taken with the rest mixed in."""
    channels = len(waveform)
    if channels == 2:
        return waveform
    if channels == 1:
        return np.repeat(waveform, 2, axis=0)
    others = waveform[2:].sum(axis=0) * np.float32(math.sqrt(0.5))
    mixed = (waveform[:2] + others).astype(np.float32)
    return mixed / max(1.0, float(np.abs(mixed).max()))


def at_rate(waveform: np.ndarray, rate: int, target: int) -> np.ndarray:
    """float32 [C, N'] at another sample rate, by a polyphase filter without delay."""
    if rate == target:
        return waveform
    from scipy.signal import resample_poly

    divisor = math.gcd(rate, target)
    return resample_poly(waveform, target // divisor, rate // divisor, axis=-1).astype(np.float32)


def to_length(waveform: np.ndarray, samples: int) -> np.ndarray:
    """float32 [C, samples]: cut, or filled up with silence."""
    if waveform.shape[-1] >= samples:
        return waveform[..., :samples]
    return np.pad(waveform, ((0, 0), (0, samples - waveform.shape[-1])))


def crossfaded(kept: np.ndarray, made: np.ndarray, keep: np.ndarray, ramp: int) -> np.ndarray:
    """float32 [C, N]: `kept` where `keep`, `made` elsewhere, faded over `ramp` samples on the kept side.

    Two sounds cut hard at a join click; where all or nothing is kept there is no join.
    """
    edges = np.flatnonzero(np.diff(keep.astype(np.int8)))
    weight = keep.astype(np.float32)
    fade = (np.arange(ramp, dtype=np.float32) + 0.5) / max(ramp, 1)
    for edge in edges:
        if keep[edge]:  # kept, then made: fade out over the samples up to the edge
            start = max(0, edge + 1 - ramp)
            weight[start : edge + 1] = np.minimum(weight[start : edge + 1], fade[::-1][-(edge + 1 - start) :])
        else:
            end = min(len(keep), edge + 1 + ramp)
            weight[edge + 1 : end] = np.minimum(weight[edge + 1 : end], fade[: end - edge - 1])
    return (weight * kept + (1 - weight) * made).astype(np.float32)
