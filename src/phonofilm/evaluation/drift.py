"""Whether sound and picture run at different speeds, so that they come apart as a clip goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from phonofilm.evaluation.checks import Floats
from phonofilm.evaluation.motion import Motion
from phonofilm.evaluation.offset import BLUR, RATE, signals_of
from phonofilm.evaluation.onsets import IMPULSE, vertex
from phonofilm.evaluation.signals import Signal

COARSE, FINE = 0.004, 0.0005
"""Steps of log speed: 40 ms and 5 ms apart at the end of 10 s."""

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
    size = 1 << (2 * len(grid) - 1).bit_length()
    energy = np.cumsum(picture**2)
    target = np.fft.rfft(picture, size) / np.sqrt(energy[-1])

    def best(logs: Floats) -> tuple[Floats, Floats]:
        found = [_fit(heard, grid, target, size, float(np.exp(log)), limit) for log in logs]
        heights, lags = np.array(found).T
        # slow sound meets only the first part of the picture and must be judged by that, though not by too little
        covered = np.searchsorted(grid, grid[-1] * np.minimum(np.exp(logs), 1))
        return heights / np.sqrt(energy[np.minimum(covered, len(grid) - 1)] / energy[-1] + LEAST), lags

    logs = np.arange(np.log(speeds[0]), np.log(speeds[1]), COARSE)
    heights, _ = best(logs)
    near = logs[heights.argmax()] + np.arange(-COARSE, COARSE + FINE / 2, FINE)
    fine, lags = best(near)
    top = int(fine[1:-1].argmax()) + 1
    log = near[top] + FINE * vertex(*fine[top - 1 : top + 2])
    other = heights[np.abs(logs - log) > 0.03]
    rise = fine[top] - np.median(heights)
    confidence = float(np.clip((fine[top] - other.max()) / rise, 0, 1)) if rise > 0 else 0.0
    return Drift(float(np.expm1(log)), 1000 * float(lags[top]), confidence)


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


def _fit(heard: Signal, grid: Floats, target: np.ndarray, size: int, speed: float, limit: float) -> tuple[float, float]:
    """Height and lag of the best correlation of the sound, played at its own pace again, with the picture."""
    values = heard.values
    if speed < 1:  # a slow sound is pressed together: an impulse must stay as wide as it was, or samples miss it
        values = gaussian_filter1d(values, IMPULSE * heard.rate * np.sqrt(1 / speed**2 - 1))
    sound = Signal(values, heard.rate, heard.start).at(grid / speed)
    length = np.linalg.norm(sound)
    if not length > 0:
        return 0.0, 0.0
    circle = np.fft.irfft(np.fft.rfft(sound, size).conj() * target, size) / length
    reach = min(round(limit * RATE), len(grid) - 1)
    curve = np.concatenate([circle[-reach:], circle[: reach + 1]])
    place = int(curve[1:-1].argmax()) + 1
    shift = vertex(*curve[place - 1 : place + 2])
    return float(curve[place]), float((place - reach + shift) / RATE)
