"""Insertion hallucination: sound that no visible source explains (IH@vid and IH@dur, arXiv 2510.08078)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import uniform_filter1d

from phonofilm.signals.validation import finite

Spans = Sequence[tuple[float, float]]


def merged(spans: ArrayLike | Spans, end: float) -> list[tuple[float, float]]:
    """Spans (from, to) in seconds, cut to [0, end], sorted, overlapping ones joined.

    Raises:
        ValueError: a span that ends before it starts.
    """
    rows = finite(spans, "spans").reshape(-1, 2)
    if (rows[:, 1] < rows[:, 0]).any():
        raise ValueError("a span of sound ends before it starts: give (from, to) in seconds")
    joined: list[tuple[float, float]] = []
    for first, last in sorted((max(a, 0.0), min(b, end)) for a, b in rows.tolist()):
        if last <= first:
            continue
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def sustained(
    scores: ArrayLike, seconds: float, hop: float, patch: float, window: float, threshold: float
) -> list[tuple[float, float]]:
    """Spans (from, to) in seconds in which something lasts: the mean of scores [P] of patches passes a threshold.

    Music lasts and a knock that rings like a note does not, though a single patch of either may score alike. A patch
    stands for the `hop` about its middle and not for all that it looked at, which would widen every span.

    Args:
        seconds: duration of the clip, whose ends the first and the last patch stand for.
        hop, patch: seconds from patch to patch, and of each.
        window: seconds that scores are averaged over.
    """
    each = finite(scores, "scores")
    count = max(1, round(window / hop))
    passed = uniform_filter1d(each, count, mode="nearest") > threshold
    edges = patch / 2 + hop * (np.arange(len(each) + 1) - 0.5)
    edges[0], edges[-1] = 0.0, max(seconds, edges[-1])
    return merged([(edges[k], edges[k + 1]) for k in np.flatnonzero(passed)], seconds)


def inserted_seconds(heard: ArrayLike | Spans, explained: ArrayLike | Spans, seconds: float) -> float:
    """Seconds of a clip in which something is heard that nothing visible explains.

    Args:
        heard: spans (from, to) of a kind of sound that an event detector hears (speech, music).
        explained: spans in which a source of that sound is seen, or is asked for by the prompt.
        seconds: duration of the clip.
    """
    if not seconds > 0:
        raise ValueError(f"a clip must last more than 0 seconds, not {seconds}")
    sound, seen = merged(heard, seconds), merged(explained, seconds)
    both = sum(max(0.0, min(b, d) - max(a, c)) for a, b in sound for c, d in seen)
    return max(sum(b - a for a, b in sound) - both, 0.0)
