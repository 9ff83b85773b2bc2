"""Cutting a long job into windows of the length a model was trained on, each on the past of the one before."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

OVERLAP = 4
"""A continued window stands on this part of its length (a quarter): enough past to carry motion on."""


@dataclass(frozen=True)
class Window:
    """What a model looks at in one go: a backend with such an attribute is shown long films as this says.

    Attributes:
        fps, size: rate and (width, height) that the picture may be brought to; None for the film's own.
    """

    seconds: Fraction
    fps: Fraction | None = None
    size: tuple[int, int] | None = None


def windows(total: int, window: int, start: int, end: int) -> list[range]:
    """Frames of each window needed to make frames [start, end) of a film of `total` frames.

    What fits in one window, with context on the sides that have some, is made in one, with as much
    context as there is room for. Otherwise windows follow each other, overlapping by a quarter; the last
    one is moved back to end with the film, so that every window is as long as the trained one.
    """
    if start >= end:
        return []
    if total <= window:
        return [range(total)]
    overlap = window // OVERLAP
    context = overlap * ((start > 0) + (end < total))
    if end - start + context <= window:
        first = _clamp(start - (window - (end - start)) // 2, total - window)
        return [range(first, first + window)]
    found = []
    position = start
    while position < end:
        first = _clamp(position - (overlap if position > 0 else 0), total - window)
        found.append(range(first, first + window))
        position = first + window
    return found


def _clamp(value: int, upper: int) -> int:
    return max(0, min(value, upper))
