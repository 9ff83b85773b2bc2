"""Faults of a picture: black, standing still, bars around it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from phonofilm.signals.camera_motion import Images

BLACK_PIXEL, BLACK_SHARE = 0.10, 0.98
"""Luminance below which a pixel is black, and the share of such pixels of a black frame (FFmpeg's `blackdetect`)."""

STILL = 0.0008
"""Mean change of luminance (0 … 1) between frames of a picture that stands still: less than a codec's own restlessness
(FFmpeg's `freezedetect` has 0.001)."""

ABRUPT, BEGINS = 0.003, 4.0
"""Mean change of luminance at an end of a stretch that is frozen, not at rest; and of a stretch with which the shot
begins, how much greater the change at its end is than those that follow: what bursts out of rest goes on changing,
and pictures that were held back are made up for at once."""

MOVES, MUCH, FEWEST = 8, 0.0005, 40
"""Levels of 255 by which a pixel changes that moves; their share, and how many, in which combs can be seen."""

PAIRS, WOVEN, ORDER = 3, -0.18, 0.1
"""Pairs of frames in which much moves that it takes to tell; the logarithm of how combed a frame is over how combed
two fields of neighbouring frames are together, from which on it is woven; and how much more combed, on average, one
pair of fields must be than the other, which noise is not (chosen on 30 scenes of Foley World at 128x128,
woven and whole, and 30 whole films of 96x64; those that are reported are others)."""

BAR_DARK, BAR_FLAT, BAR_LEAST, BAR_EVEN = 0.06, 0.012, 0.02, 0.02
"""Bars: luminance of the brightest of their pixels but a hundredth, deviation over a row, the least share of the side
that they take on both edges, and how much the two may differ (as a share of the side)."""


@dataclass(frozen=True)
class PictureFaults:
    """Attributes:

    black: seconds of the longest run of black frames. frozen: seconds of the longest run in which nothing changes, and
    that begins or ends all at once, as where frames are repeated.
    frozen_at: when that begins. crop: (left, top, right, bottom) of what is not bars, as shares 0 … 1 of the picture.
    light: mean luminance, 0 … 1. contrast: deviation of luminance over the pixels, mean over time.
    """

    black: float
    frozen: float
    frozen_at: float
    crop: tuple[float, float, float, float]
    light: float
    contrast: float


def picture_faults(images: Images, fps: float) -> PictureFaults:
    """Faults of luminance [T, h, w], 0 … 1, at a constant rate."""
    dark = (images < BLACK_PIXEL).mean(axis=(1, 2)) >= BLACK_SHARE
    change = np.array([np.abs(later - before).mean() for before, later in pairwise(images)])
    first, length = _frozen_run(change)
    _, black = longest_run(dark)
    return PictureFaults(
        black=black / fps,
        frozen=length / fps,
        frozen_at=first / fps,
        crop=crop_of(images),
        light=float(images.mean()),
        contrast=float(images.std(axis=(1, 2)).mean()),
    )


def _frozen_run(change: np.ndarray) -> tuple[int, int]:
    """Start and length of the longest stretch that stands still and begins or ends all at once; (0, 0) for none.

    What comes to rest does so little by little, and begins to move again as slowly.
    """
    best = 0, 0
    still = change < STILL
    # a codec that has seen the same picture a few times makes it better all at once
    calm = np.pad(change < STILL / 4, 1)
    for first, stop in runs(still | ((change < 2 * STILL) & calm[:-2] & calm[2:])):
        edges = [*change[max(0, first - 2) : first], *change[stop : stop + 2]]
        if edges and max(edges) > ABRUPT and stop - first > best[1] and (first > 0 or _jumps(change, stop)):
            best = first, stop - first
    return best


def _jumps(change: np.ndarray, at: int) -> bool:
    """Whether a change is followed by such as are far smaller."""
    after = change[at + 1 : at + 4]
    return len(after) > 0 and float(change[at]) > BEGINS * float(after.max())


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First index, and the one after the last, of each stretch of a bool [N] that is true."""
    edges = np.diff(np.concatenate([[0], flags.astype(int), [0]]))
    return list(zip(np.flatnonzero(edges > 0).tolist(), np.flatnonzero(edges < 0).tolist(), strict=True))


def combed(pairs: np.ndarray) -> float:
    """Share of pairs of frames uint8 [T, 2, H, W], one after the other, of which the later one has rows of two moments
    woven together, of those in which much moves; 0 where there are too few of these to tell.

    The fields of neighbouring frames are woven anew: if the film is woven, the one pair of fields that lies as near in
    time as the two of a frame do is combed as it is, and the other, three times as far apart, is combed more, always in
    the same order of fields. In a film of whole frames both are combed, and more than any frame. (FFmpeg's `idet`
    compares the same fields, one frame at a time.)
    """
    if not len(pairs) or pairs.shape[2] < 8:
        return 0.0
    found = [_combs(before, now) for before, now in pairs.astype(np.int16)]
    told = np.array([combs for combs in found if combs is not None])
    if len(told) < PAIRS:
        return 0.0
    own, even, odd = told.T
    apart = np.sign(np.median(even - odd)) * (even - odd)
    if apart.mean() < ORDER:
        return 0.0
    return float((own - np.minimum(even, odd) + apart > WOVEN).mean())


def _combs(before: np.ndarray, now: np.ndarray) -> tuple[float, float, float] | None:
    """Logarithms of how combed a frame is where it has changed, and it with the even, and the odd rows of the one
    before; None where too little moves."""
    moves = (np.abs(now - before) > MOVES)[1:-1]
    if moves.sum() < FEWEST or moves.mean() < MUCH:
        return None
    even, odd = now.copy(), now.copy()
    even[::2], odd[1::2] = before[::2], before[1::2]
    own, first, second = (np.log(_comb(rows, moves) + 1e-3) for rows in (now, even, odd))
    return float(own), float(first), float(second)


def _comb(rows: np.ndarray, where: np.ndarray) -> float:
    """How far rows are from the mean of their neighbours, on average."""
    return float(np.abs(2 * rows[1:-1] - rows[:-2] - rows[2:])[where].mean()) / 2


def longest_run(flags: np.ndarray) -> tuple[int, int]:
    """Start and length of the longest stretch of a bool [N] that is true; (0, 0) where none is."""
    first, stop = max(runs(flags), key=lambda run: run[1] - run[0], default=(0, 0))
    return first, stop - first


def crop_of(images: Images) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) as shares of the picture that lie inside black bars on opposite edges."""
    few = images[np.linspace(0, len(images) - 1, min(len(images), 24)).round().astype(int)]
    top, bottom = _bars(few)
    left, right = _bars(few.transpose(0, 2, 1))
    return left, top, 1 - right, 1 - bottom


def _bars(images: Images) -> tuple[float, float]:
    """Shares of the height that bars at the top and at the bottom take; (0, 0) for none."""
    height = images.shape[1]
    brightest = np.quantile(images, 0.99, axis=2).max(axis=0)
    uneven = images.std(axis=2).max(axis=0)
    bar = (brightest < BAR_DARK) & (uneven < BAR_FLAT)
    if bar.all():
        return 0.0, 0.0
    top, bottom = int((~bar).argmax()), int((~bar[::-1]).argmax())
    apart = abs(top - bottom)
    if min(top, bottom) < max(1, BAR_LEAST * height) or apart > max(1, BAR_EVEN * height):
        return 0.0, 0.0
    # the row where a bar ends is mixed of both: it goes with the bar
    return (top + 1) / height, (bottom + 1) / height
