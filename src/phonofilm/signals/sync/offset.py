"""How far sound and picture are apart, in milliseconds and continuously.

**Positive = audio early** (it comes before the picture), as in DeSync, PEAVS, SyncNet and ITU-R BT.1359. The sign
matters: people notice sound that is 45 ms early or 125 ms late. Scores of a set are means of |offset|: averages of
signed offsets cancel and look perfect.

Method: cross-correlation of the strength of onsets with changes of motion and of light, each by itself. All of the
strength counts, not its peaks alone: a voice has no knocks, but syllables; yet no moment counts for more than a few.
A curve counts by the square of how far it stands above its own mean, in standard deviations: a signal that a shaking
camera or a busy picture has spoilt stands nowhere far above it, and so cannot outvote one that fits. The sum is read
between samples.
A regular rhythm fits at several offsets; the confidence says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter1d

from phonofilm.signals.motion import Motion, motion_of_frames
from phonofilm.signals.onsets import onset_strength, vertex
from phonofilm.signals.time_series import Signal
from phonofilm.signals.validation import Floats

RATE = 200
"""Correlations are sampled at 5 ms, and read between samples."""

BLUR = 0.02
"""Seconds (standard deviation) that the correlation is smoothed by: half a frame at 25 fps."""

SOUND_BLUR, PICTURE_BLUR, STEADY = 0.03, 0.02, 1.0
"""Seconds (standard deviation) that sound and picture are smoothed by before they are compared, and over which what is
steady is taken out of both."""

HIGHEST = 4.0
"""Standard deviations that a moment of a signal counts as at most: one great change, such as a cut that was not
recognised, would fit any sound by itself and outvote all the small ones."""

APART = 0.12
"""Seconds from the best offset within which another peak is the same one."""


@dataclass(frozen=True, eq=False)
class Offset:
    """How far sound and picture of one clip are apart.

    Attributes:
        milliseconds: positive = audio early.
        confidence: 0 … 1, how far the best peak stands above the next best: 0 means another offset fits as well.
        lags: float64 [L], offsets in milliseconds.
        curve: float64 [L], how well each of them fits, in standard deviations.
    """

    milliseconds: float
    confidence: float
    lags: Floats
    curve: Floats


def clip_offset(waveform: ArrayLike, sample_rate: int, frames: ArrayLike, fps: float, limit: float = 2.5) -> Offset:
    """Offset of a clip: waveform [N] or [C, N], frames [T, H, W, 3] of 0 … 255, both from time 0."""
    return offset(onset_strength(waveform, sample_rate), motion_of_frames(frames, fps), limit)


def offset(sound: Signal, motion: Motion | Signal | Sequence[Signal], limit: float = 2.5) -> Offset:
    """Offset of `onset_strength` against one or more motion signals, within ± `limit` seconds.

    Any two signals with events in common will do, for instance the energy of a voice and the opening of a mouth.

    Raises:
        ValueError: a clip so short, or so still or silent, that there is nothing to compare.
    """
    heard = unsteady(sound, SOUND_BLUR)
    if not heard.values.any():
        raise ValueError("there is no onset in the sound: an offset has no value")
    total, lags = None, None
    for signal in signals_of(motion):
        seen = unsteady(signal, PICTURE_BLUR)
        if not seen.values.any():
            continue
        curve, lags = _correlation(heard, seen, limit)
        total = _standing_out(curve) if total is None else total + _standing_out(curve)
    if total is None or lags is None:
        raise ValueError("nothing moves in the picture: an offset has no value")
    return _read(np.sqrt(total), lags)


def signals_of(motion: Motion | Signal | Sequence[Signal]) -> Sequence[Signal]:
    """The signals that a motion stands for."""
    if isinstance(motion, Motion):
        return motion.across, motion.upright, motion.light, motion.tones
    return [motion] if isinstance(motion, Signal) else motion


def unsteady(signal: Signal, blur: float) -> Signal:
    """A signal smoothed, less what is steady in it, its peaks limited, of unit energy; all 0 where it never changes."""
    if np.ptp(signal.values) <= 1e-9:
        return Signal(np.zeros_like(signal.values), signal.rate, signal.start)
    out = gaussian_filter1d(signal.values, blur * signal.rate)
    out = out - gaussian_filter1d(out, STEADY * signal.rate)
    for _ in range(3):  # what is cut off has raised the deviation that it is measured by
        out = np.clip(out, -HIGHEST * out.std(), HIGHEST * out.std())
    return Signal(out / np.linalg.norm(out), signal.rate, signal.start)


def _correlation(heard: Signal, seen: Signal, limit: float) -> tuple[Floats, Floats]:
    """Σ heard(t) · seen(t + lag) and the lags in seconds: lag > 0 where the sound comes first."""
    first = min(heard.times[0], seen.times[0])
    last = max(heard.times[-1], seen.times[-1])
    grid = first + np.arange(int((last - first) * RATE) + 2) / RATE
    a, b = heard.at(grid), seen.at(grid)
    size = 1 << (2 * len(grid) - 1).bit_length()
    spectrum = np.fft.rfft(a, size).conj() * np.fft.rfft(b, size)
    circle = np.fft.irfft(spectrum, size)
    reach = min(round(limit * RATE), len(grid) - 1)
    curve = np.concatenate([circle[-reach:], circle[: reach + 1]])
    return gaussian_filter1d(curve, BLUR * RATE), np.arange(-reach, reach + 1) / RATE


def _standing_out(curve: Floats) -> Floats:
    """Squared standard deviations above the mean, 0 below it."""
    return np.maximum((curve - curve.mean()) / (curve.std() + 1e-12), 0) ** 2


def _read(curve: Floats, lags: Floats) -> Offset:
    best = int(curve[1:-1].argmax()) + 1
    place = lags[best] + vertex(*curve[best - 1 : best + 2]) / RATE
    other = curve[np.abs(lags - place) > APART]
    base = float(np.median(curve))
    height = curve[best] - base
    confidence = float(np.clip((curve[best] - other.max()) / height, 0, 1)) if height > 0 and len(other) else 0.0
    return Offset(1000 * float(place), confidence, 1000 * lags, curve)
