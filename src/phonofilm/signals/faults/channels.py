"""Whether two channels are one channel written twice."""

from __future__ import annotations

import numpy as np

from phonofilm.signals.validation import Floats

EQUAL, MOSTLY, NOISE = 10 ** (-60 / 10), 0.75, 0.1
"""Energy of the side over that of the middle up to which a frame's channels are equal; share of the sounding frames
that must be, where the rest is a codec's noise; correlation of side and middle up to which the side is noise."""


def channels_apart(sound: Floats) -> float:
    """Level in dB of the difference (the side) of the first two channels against their sum (the middle); NaN where
    there is one channel or silence.

    An AAC encoder may put noise of its own into each channel at a few attacks (perceptual noise substitution), which
    lets equal channels differ by up to −19 dB of the whole. Such a side counts as none: it is gone from nearly all of
    what sounds, and where it is there it has nothing in common with the middle, as that of a panned sound has.
    What cannot be told from it: a short sound that is wide without any place, in one that is equal everywhere else.

    Args:
        sound: [C, N].
    """
    if len(sound) < 2 or not sound.any():
        return float("nan")
    side, middle = _frames(sound[0] - sound[1]), _frames(sound[0] + sound[1])
    apart, together = (side**2).sum(axis=1), (middle**2).sum(axis=1)
    if _is_noise(side, middle, apart, together):
        return -140.0
    return float(10 * np.log10((apart.sum() / sound[0].size + 1e-14) / (together.sum() / sound[0].size + 1e-14)))


def _is_noise(side: Floats, middle: Floats, apart: Floats, together: Floats) -> bool:
    """Whether the side is a codec's: of frames [T, n] and their energies [T]."""
    sounding = together > 1e-4 * together.max()
    differs = sounding & (apart > EQUAL * together)
    common = float(np.abs((side * middle).sum(axis=1))[differs].sum())
    noise = common <= NOISE * np.sqrt(apart * together)[differs].sum()
    return bool(sounding.any() and noise and differs.sum() <= (1 - MOSTLY) * sounding.sum())


def _frames(sound: Floats, length: int = 1024) -> Floats:
    """A sound [N] in frames [T, length] as long as AAC's, the last one padded."""
    return np.pad(sound, (0, -len(sound) % length)).reshape(-1, length).astype(np.float64)
