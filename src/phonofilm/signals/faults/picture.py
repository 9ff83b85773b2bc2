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

MOVES, MUCH, WOVEN = 8, 0.0005, 0.56
"""Levels of 255 by which a pixel changes that moves, the share of such pixels in which combs can be seen, and how much
further a row is from its neighbours than they are from one another, if they are of another moment."""

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
    woven together, of those in which much moves.

    Where something moves, every other row of a woven frame is alike, and those between are not; in a whole frame
    neighbours are the most alike.
    """
    if not len(pairs) or pairs.shape[2] < 8:
        return 0.0
    found = []
    for before, now in pairs.astype(np.int16):
        moves = (np.abs(now - before) > MOVES)[1:-1]
        if moves.mean() < MUCH:
            continue
        between = np.abs(2 * now[1:-1] - now[:-2] - now[2:])[moves].mean() / 2
        across = np.abs(now[:-2] - now[2:])[moves].mean()
        found.append(between > WOVEN * across)
    return float(np.mean(found)) if found else 0.0


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
