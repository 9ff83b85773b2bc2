"""Dissolves and fades: stretches in which one picture becomes another one as a mixture of both.

In a dissolve each frame is A + α (B − A) with α that rises from 0 to 1, A and B the pictures before and after. What
moves or is lit differently may end as far from where it began, but what lies between is not on that line.
"""

from __future__ import annotations

import numpy as np
from einops import rearrange, reduce

from phonofilm.signals.camera_motion import Images

SECONDS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)
"""Lengths of dissolves that are tried."""

QUARTERS = (0.25, 0.5, 0.75)
FAR, WIDE, STEP = 0.055, 0.45, 0.03
"""Mean difference of the two pictures, and the share of blocks that differ by more than `STEP`, at least."""

UNLIKE, DIP = 0.45, 0.3
"""Mean square of their difference over the sum of their variances, at least: 1 for two that have nothing in common; and
by which share of that the variance halfway is less than theirs. A mixture of two has half of it. What glides is like
itself a moment later, and blurred enough, it seems to go straight; but it keeps its variance."""

OFF_LINE, OFF_FINE, OFF_PACE = 0.24, 0.45, 0.15
"""How far the frames between may lie off the line in blocks and in pixels, as a share of the line's length, and how far
α may be off the time that has passed."""

AT_ONCE = 2048


def dissolves(small: np.ndarray, fps: float) -> list[tuple[int, int]]:
    """First frame of each mixture and the first frame that is all of the next picture.

    Args:
        small: uint8 [T, h, w], luminance of small pictures (32 high will do), h and w multiples of 4.
    """
    scaled = small.astype(np.float32) / np.float32(255)
    blocks: Images = reduce(scaled, "t (h a) (w b) -> t (h w)", "mean", a=4, b=4)
    found: list[tuple[float, int, int]] = []
    for seconds in SECONDS:
        length = max(4, round(seconds * fps))
        for first in range(0, max(0, len(blocks) - length), AT_ONCE):
            part = blocks[first : first + AT_ONCE + length]
            for start, far in _candidates(part, length):
                if _on_line(small[first + start : first + start + length + 1]):
                    found.append((far, first + start, first + start + length))
    return _apart(found)


def _candidates(blocks: Images, length: int) -> list[tuple[int, float]]:
    """Starts of stretches of a length whose blocks [T, K] go straight from the first to the last."""
    before, after = blocks[:-length], blocks[length:]
    line = after - before
    far, wide = np.abs(line).mean(axis=1), (np.abs(line) > STEP).mean(axis=1)
    size = (line**2).sum(axis=1) + 1e-9
    spread = blocks.var(axis=1)
    both = spread[:-length] + spread[length:] + 1e-9
    unlike = (line**2).mean(axis=1) / both
    middle = spread[length // 2 : length // 2 + len(line)]
    dips = middle < (1 - DIP * np.minimum(unlike, 1)) * both / 2
    fits = (far > FAR) & (wide > WIDE) & (unlike > UNLIKE) & dips
    for share in QUARTERS:
        at = round(share * length)
        gone = blocks[at : at + len(line)] - before
        pace = (gone * line).sum(axis=1) / size
        off = np.sqrt(((gone - pace[:, None] * line) ** 2).sum(axis=1) / size)
        fits &= (off < OFF_LINE) & (np.abs(pace - at / length) < OFF_PACE)
    return [(int(start), float(far[start])) for start in np.flatnonzero(fits)]


def _on_line(stretch: np.ndarray) -> bool:
    """Whether pixels [L + 1, h, w] in the middle of a stretch are a mixture of its ends."""
    pixels = rearrange(stretch, "t h w -> t (h w)").astype(np.float32) / 255
    line = pixels[-1] - pixels[0]
    size = float((line**2).sum()) + 1e-9
    gone = pixels[len(pixels) // 2] - pixels[0]
    pace = float((gone * line).sum()) / size
    return float(np.sqrt(((gone - pace * line) ** 2).sum() / size)) < OFF_FINE


def _apart(found: list[tuple[float, int, int]]) -> list[tuple[int, int]]:
    """Of stretches that overlap the one whose ends lie furthest apart; in order of time."""
    kept: list[tuple[int, int]] = []
    for _, start, stop in sorted(found, key=lambda one: (-one[0], one[1])):
        if all(stop <= other or start >= end for other, end in kept):
            kept.append((start, stop))
    return sorted(kept)
