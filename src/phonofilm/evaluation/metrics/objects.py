"""VBench's dimensions of meaning, from detected things: object class, several objects, colour, spatial relation.

All are shares of frames in 0 … 1, higher is better (Huang et al. 2024, arXiv 2311.17982). VBench asks GRiT, a network
that describes regions in words; here a detector of COCO's classes and the pixels of its boxes answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phonofilm.signals.validation import Floats

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "white", "black", "gray")
FRAME, CLASS, SCORE = range(3)
BOX = slice(3, 7)
OVERLAP = 0.1
"""Intersection over union from which on a relation of two things counts less."""


def class_index(names: Sequence[str], thing: str) -> int:
    """Number of the class that a prompt's word stands for.

    Raises:
        ValueError: the detector knows no such thing.
    """
    plain = thing.strip().lower()
    same = {"tv": "television", "cell phone": "mobile phone"}
    for index, name in enumerate(names):
        known = name.strip().lower()
        if plain in (known, f"{known}s", same.get(known, known)):
            return index
    raise ValueError(f"the detector knows no {thing!r}")


def object_share(rows: Floats, frames: int, thing: int) -> float:
    """Share of frames in which a thing of the class is seen, of rows (frame, class, score, x0, y0, x1, y1)."""
    return len(_frames_with(rows, thing)) / frames


def objects_share(rows: Floats, frames: int, first: int, second: int) -> float:
    """Share of frames in which things of both classes are seen; two things where both classes are one."""
    if first == second:
        seen = rows[rows[:, CLASS] == first, FRAME]
        return float((np.bincount(seen.astype(int), minlength=frames) >= 2).mean())
    return len(_frames_with(rows, first) & _frames_with(rows, second)) / frames


def _frames_with(rows: Floats, thing: int) -> set[int]:
    return set(rows[rows[:, CLASS] == thing, FRAME].astype(int).tolist())


def colour_share(rows: Floats, colours: ArrayLike, thing: int, colour: str) -> float | None:
    """Of the frames in which a thing of the class is seen, the share in which one has the colour.

    Args:
        colours: index into `COLOURS` of the colour that each row's box has most of.

    Returns:
        None where no thing of the class is seen: its colour has no value, and its absence is another score.

    Raises:
        ValueError: a colour that has no name here.
    """
    if (plain := {"grey": "gray", "violet": "purple"}.get(colour.lower(), colour.lower())) not in COLOURS:
        raise ValueError(f"there is no colour {colour!r}; there are {', '.join(COLOURS)}")
    seen = _frames_with(rows, thing)
    right = _frames_with(rows[np.asarray(colours) == COLOURS.index(plain)], thing)
    return len(right) / len(seen) if seen else None


def box_colour(picture: NDArray[np.uint8]) -> int:
    """Which of `COLOURS` the middle of a box uint8 [H, W, 3] has most of, by hue, saturation and lightness."""
    height, width = picture.shape[:2]
    middle = picture[height // 5 : height - height // 5 or None, width // 5 : width - width // 5 or None]
    pixels = middle.reshape(-1, 3).astype(np.float64) / 255
    high, low = pixels.max(axis=1), pixels.min(axis=1)
    chroma = high - low
    red, green, blue = pixels.T
    with np.errstate(divide="ignore", invalid="ignore"):
        hue = np.select(
            [chroma == 0, high == red, high == green],
            [0.0, ((green - blue) / chroma) % 6, (blue - red) / chroma + 2],
            (red - green) / chroma + 4,
        )
    hue = 60 * np.nan_to_num(hue)
    edges = np.array([15, 42, 70, 165, 262, 300, 340])
    names = np.array([COLOURS.index(n) for n in ("red", "orange", "yellow", "green", "blue", "purple", "pink", "red")])
    found = names[np.searchsorted(edges, hue, side="right")]
    found = np.where((hue < 48) & (hue >= 8) & (high < 0.62), COLOURS.index("brown"), found)
    found = np.where(((hue < 15) | (hue >= 340)) & (low > 0.5), COLOURS.index("pink"), found)
    dull = chroma < 0.16 * np.maximum(high, 0.35)
    grey = np.where(high > 0.82, COLOURS.index("white"), COLOURS.index("gray"))
    found = np.where(dull, grey, found)
    found = np.where(high < 0.2, COLOURS.index("black"), found)
    return int(np.bincount(found, minlength=len(COLOURS)).argmax())


def relation_share(rows: Floats, frames: int, first: int, second: int, relation: str) -> float:
    """Mean over frames of how well a thing of one class lies left of, right of, above or below one of the other.

    A pair counts where the distance of the middles is greater along that axis than across it and has the right sign:
    1 where the boxes overlap by less than 0.1 (intersection over union), else 0.1 over the overlap. The best pair of a
    frame counts, a frame without a pair is 0.

    Raises:
        ValueError: another relation.
    """
    axis, sign = _direction(relation)
    best = np.zeros(frames)
    for frame in _frames_with(rows, first) & _frames_with(rows, second):
        here = rows[rows[:, FRAME] == frame]
        for a in here[here[:, CLASS] == first, BOX]:
            for b in here[here[:, CLASS] == second, BOX]:
                best[frame] = max(best[frame], _relation(a, b, axis, sign))
    return float(best.mean())


def _direction(relation: str) -> tuple[int, int]:
    words = set(relation.lower().split())
    for names, found in (
        ({"left"}, (0, -1)), ({"right"}, (0, 1)), ({"top", "above", "over"}, (1, -1)),
        ({"bottom", "below", "under", "beneath"}, (1, 1)),
    ):  # fmt: skip
        if words & names:
            return found
    raise ValueError(f"there is no relation {relation!r}; there are left, right, above and below")


def _relation(a: Floats, b: Floats, axis: int, sign: int) -> float:
    gap = (a[:2] + a[2:] - b[:2] - b[2:]) / 2
    if abs(gap[axis]) <= abs(gap[1 - axis]) or gap[axis] * sign <= 0:
        return 0.0
    shared = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0).prod()
    whole = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared
    overlap = shared / whole if whole > 0 else 0.0
    return 1.0 if overlap < OVERLAP else OVERLAP / overlap
