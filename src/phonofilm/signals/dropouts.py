"""Where a stream is cut out: silence under a picture, black over sound, and jumps that both share.

A pause fades and a cut-out does not: the sound falls by 24 dB or more within 20 ms, to below −70 dBFS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from phonofilm.signals.camera_motion import Images, shot_cuts
from phonofilm.signals.onsets import channels
from phonofilm.signals.validation import Floats

HOP = 0.01
SILENT, FALL, SHORTEST = -70.0, 24.0, 0.08
"""dBFS of a gap in the sound, dB that it falls by at its start, and seconds that it lasts at least."""

TAIL, DEEP = -80.0, 30.0
"""dBFS of a tail that is cut off, and dB that it falls by within two steps: no tail fades so fast."""

HEARD = -50.0
"""dBFS of sound whose end is noticed."""

JUMP = 12.0
"""dB by which the sound's level changes at once where it jumps."""

BLACK, LIT = 0.02, 0.05
"""Mean luminance of a black picture, and of one that is not."""

TOGETHER = 0.1
"""Seconds within which picture and sound jump together."""


@dataclass(frozen=True)
class Dropouts:
    """What is cut out of one stream of a clip.

    Attributes:
        gaps: float64 [n, 2], from and to in seconds. jumps: float64 [m], times of abrupt changes. seconds: duration.
    """

    gaps: Floats
    jumps: Floats
    seconds: float


def sound_dropouts(waveform: ArrayLike, sample_rate: int, tails: bool = False) -> Dropouts:
    """Gaps and jumps of a waveform [N] or [C, N].

    Args:
        tails: count gaps that begin in the tail of a sound, too soft to be missed, as well.
    """
    sound = channels(waveform, sample_rate)
    length = max(1, round(HOP * sample_rate))
    count = sound.shape[1] // length
    power = (sound[:, : count * length].reshape(len(sound), count, length) ** 2).mean(axis=(0, 2))
    level = 10 * np.log10(power + 1e-12)
    # the largest change over two steps: an edge in the middle of a step is halved by either neighbour
    step = np.abs(level[2:] - level[:-2]) if count > 2 else np.zeros(0)
    gaps = []
    for first, last in _runs(level < SILENT):
        before = level[max(0, first - 2) : first]
        if not len(before) or (last - first) * HOP < SHORTEST:
            continue
        loud = before.max() > HEARD and before.max() >= level[first] + FALL
        deep = tails and before.max() > TAIL and before.max() >= level[first : first + 2].min() + DEEP
        if loud or deep:
            gaps.append((first * HOP, last * HOP))
    heard = np.maximum(level[2:], level[:-2]) > HEARD if count > 2 else np.zeros(0, bool)
    jumps = (np.flatnonzero((step > JUMP) & heard) + 1) * HOP
    times = np.asarray(jumps, dtype=np.float64)
    return Dropouts(np.array(gaps, dtype=np.float64).reshape(-1, 2), times, sound.shape[1] / sample_rate)


def picture_dropouts(images: Images, fps: float) -> Dropouts:
    """Gaps (black between pictures) and jumps (cuts from shot to shot) of luminance [T, h, w]."""
    light = images.mean(axis=(1, 2))
    gaps = [(first / fps, last / fps) for first, last in _runs(light < BLACK) if first > 0 and light[first - 1] > LIT]
    times = np.asarray(shot_cuts(images) / fps, dtype=np.float64)
    return Dropouts(np.array(gaps, dtype=np.float64).reshape(-1, 2), times, len(images) / fps)


def lone_share(sound: Dropouts, picture: Dropouts) -> float:
    """Share of time in which one of the two alone is cut out, 0 … 1."""
    seconds = min(sound.seconds, picture.seconds)
    ticks = np.arange(int(seconds / HOP), dtype=np.float64) * HOP + HOP / 2
    away = _inside(ticks, sound.gaps) ^ _inside(ticks, picture.gaps)
    return float(away.mean()) if len(ticks) else 0.0


def shared_cuts(sound: Dropouts, picture: Dropouts) -> float:
    """Gaps and jumps that both share, a second: those of the picture with one of the sound within 0.1 s.

    A cut from shot to shot under sound that runs on is editing, and no flaw.
    """
    seconds = min(sound.seconds, picture.seconds)
    theirs = np.concatenate([sound.gaps[:, 0], sound.jumps])
    own = [
        *picture.gaps[:, 0],
        *(time for time in picture.jumps if not _inside(np.array([time]), picture.gaps, 0.05)[0]),
    ]
    hits = sum(bool(len(theirs)) and np.abs(theirs - time).min() <= TOGETHER for time in own)
    return hits / seconds if seconds > 0 else 0.0


def _inside(times: Floats, spans: Floats, margin: float = 0.0) -> np.ndarray:
    inside = (times[:, None] >= spans[None, :, 0] - margin) & (times[:, None] < spans[None, :, 1] + margin)
    return np.asarray(inside.any(axis=1))


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    edges = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(edges > 0).tolist(), np.flatnonzero(edges < 0).tolist(), strict=True))
