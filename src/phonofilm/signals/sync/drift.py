"""Whether sound and picture run at different speeds, so that they come apart as a clip goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import gaussian_filter1d, median_filter

from phonofilm.signals.motion import Motion
from phonofilm.signals.onsets import IMPULSE, vertex
from phonofilm.signals.sync.offset import BLUR, RATE, signals_of
from phonofilm.signals.time_series import Signal
from phonofilm.signals.validation import Floats

COARSE, FINE = 0.004, 0.0005
"""Steps of log speed: 40 ms and 5 ms apart at the end of 10 s."""

AT_ONCE = 1 << 18
"""Numbers of sounds at different speeds that are worked on together: 2 MB."""

LEAST = 0.05
"""Share of the picture's energy that every speed is judged by at least: a few events always fit by chance."""


@dataclass(frozen=True)
class Drift:
    """How the sound of one clip runs against its picture.

    Attributes:
        change: speed of the sound over that of the picture, less 1: 0.1 for sound sped up by 10 %, or for a picture
            slowed down to 1/1.1. Its absolute value is the score; lower is better.
        milliseconds: offset at the start of the clip, positive = audio early.
        confidence: 0 … 1, how far this speed stands above every other that differs by 3 % or more.
    """

    change: float
    milliseconds: float
    confidence: float


def drift(
    sound: Signal,
    motion: Motion | Signal | Sequence[Signal],
    limit: float = 0.5,
    speeds: tuple[float, float] = (0.2, 2.0),
) -> Drift:
    """Speed and starting offset at which `onset_impulses` fit the motion best, searched together.

    Args:
        limit: seconds within which the offset at the start is sought; a wide search fits chance rhythms.
        speeds: the slowest and fastest sound that is sought, as a factor.

    Raises:
        ValueError: a still or silent clip, or a range of speeds that does not hold 1.
    """
    if not 0 < speeds[0] < 1 < speeds[1]:
        raise ValueError(f"the speeds must hold 1 between two positive factors, not {speeds}")
    heard = prepared(sound)
    seen = [signal for signal in map(prepared, signals_of(motion)) if signal.values.any()]
    if not heard.values.any() or not seen:
        raise ValueError("a drift needs sound that sets in and a picture that moves")
    grid = np.arange(int(max(signal.times[-1] for signal in seen) * RATE) + 1) / RATE
    picture = np.sum([gaussian_filter1d(signal.at(grid), BLUR * RATE) for signal in seen], axis=0)
    energy = np.cumsum(picture**2)
    fitted = picture / np.sqrt(energy[-1])

    def best(logs: Floats) -> tuple[Floats, Floats]:
        curves = _curves(heard, grid, fitted, np.exp(logs), limit)
        # slow sound meets only the first part of the picture and must be judged by that, though not by too little
        covered = np.searchsorted(grid, grid[-1] * np.minimum(np.exp(logs), 1))
        share = energy[np.minimum(covered, len(grid) - 1)] / energy[-1]
        return curves[:, 1:-1].max(axis=1) / np.sqrt(share + LEAST), curves

    logs = np.arange(np.log(speeds[0]), np.log(speeds[1]), COARSE)
    heights, _ = best(logs)
    near = logs[heights.argmax()] + np.arange(-COARSE, COARSE + FINE / 2, FINE)
    fine, curves = best(near)
    top = int(fine[1:-1].argmax()) + 1
    log = near[top] + FINE * vertex(*fine[top - 1 : top + 2])
    other = heights[np.abs(logs - log) > 0.03]
    rise = fine[top] - np.median(heights)
    confidence = float(np.clip((fine[top] - other.max()) / rise, 0, 1)) if rise > 0 else 0.0
    return Drift(float(np.expm1(log)), 1000 * _lag(curves[top]), confidence)


def prepared(signal: Signal) -> Signal:
    """What stands out of a signal: above its local median, great peaks held down by a root, of unit energy."""
    width = 2 * round(0.4 * signal.rate) + 1
    steady = median_filter(signal.values, size=min(width, len(signal.values) // 2 * 2 + 1), mode="reflect")
    out = np.maximum(signal.values - steady, 0)
    if out.max() <= 1e-9:
        return Signal(np.zeros_like(out), signal.rate, signal.start)
    out = np.sqrt(out / out.max())
    out = out - out.mean()
    return Signal(out / np.linalg.norm(out), signal.rate, signal.start)


def _curves(heard: Signal, grid: Floats, picture: Floats, speeds: Floats, limit: float) -> Floats:
    """Correlation [S, lags] of the picture with the sound, which is played at its own pace again."""
    reach = min(round(limit * RATE), len(grid) - 1)
    size = next_fast_len(len(grid) + reach, real=True)  # what wraps around lies beyond the reach
    target = rfft(picture, size)
    found = []
    for few in np.array_split(speeds, -(-len(speeds) * size // AT_ONCE)):
        sounds = _paced(heard, grid, few)
        lengths = np.linalg.norm(sounds, axis=1, keepdims=True)
        circle = irfft(rfft(sounds, size).conj() * target, size)
        curve = np.concatenate([circle[:, -reach:], circle[:, : reach + 1]], axis=1)
        found.append(np.divide(curve, lengths, out=np.zeros_like(curve), where=lengths > 0))
    return np.concatenate(found)


def _paced(heard: Signal, grid: Floats, speeds: Floats) -> Floats:
    """The sound [S, T] at the times of the grid, played at its own pace again after it ran at each of the speeds."""
    # a slow sound is pressed together: an impulse must stay as wide as it was, or samples miss it
    blurs = IMPULSE * heard.rate * np.sqrt(np.maximum(1 / speeds**2 - 1, 0))
    reaches = (4 * blurs + 0.5).astype(int)
    most = reaches.max()
    padded, times = np.pad(heard.values, most, mode="symmetric"), heard.times
    sounds = np.empty((len(speeds), len(grid)))
    for sound, speed, blur, reach in zip(sounds, speeds, blurs, reaches, strict=True):
        values = heard.values
        if reach:
            bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / blur) ** 2)
            values = np.convolve(padded[most - reach : len(padded) - most + reach], bell / bell.sum(), "valid")
        sound[:] = np.interp(grid / speed, times, values, left=0.0, right=0.0)
    return sounds


def _lag(curve: Floats) -> float:
    """Seconds at which a curve over as many lags on either side of 0 is highest."""
    place = int(curve[1:-1].argmax()) + 1
    return (place - len(curve) // 2 + vertex(*curve[place - 1 : place + 2])) / RATE
