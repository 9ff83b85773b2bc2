"""Signs that a key draws, and what a sum of them means: the statistics that sound and picture share."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import scipy.fft

PUBLIC = b"phonofilm watermark, public key, edition 1"
"""Known to everybody: whoever has Phonofilm can look for the mark, and could also forge it."""
FALSE_POSITIVES = 1e-6
"""Of one look at one clip, whatever the number of alignments that it tries."""


@dataclass(frozen=True)
class Found:
    """What a look for a mark gave.

    Attributes:
        score: the largest sum over all alignments, in multiples of the feature's length.
        threshold: what an unmarked clip exceeds with a probability of at most `FALSE_POSITIVES`.
        reason: why a mark cannot be looked for here; then there is no score.
        doubt: why a mark may be there though the score is too small.
    """

    score: float = 0.0
    threshold: float = math.inf
    reason: str = ""
    doubt: str = ""

    @property
    def present(self) -> bool:
        return self.score > self.threshold

    @property
    def unsure(self) -> str:
        """Why nothing follows from it that no mark was found, or "" where something does."""
        return "" if self.present else self.reason or self.doubt


def signs(key: bytes, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 of a shape, each +1 or -1 by a fair coin: bits of SHAKE-256 of the key and a kind."""
    count = math.prod(shape)
    drawn = hashlib.shake_256(key + b"\0" + kind.encode()).digest((count + 7) // 8)
    bits = np.unpackbits(np.frombuffer(drawn, np.uint8), count=count)
    return (bits.astype(np.float32) * 2 - 1).reshape(shape)


def threshold(alignments: int, false_positives: float = FALSE_POSITIVES) -> float:
    """The score that an unmarked clip stays below, for any clip and so many alignments.

    A sum of fixed numbers with random signs exceeds t times their length with a probability of at most exp(-t²/2)
    (Hoeffding 1963, theorem 2), and the largest of n such sums with at most n times that: nothing is assumed of the
    clip, nor of how alignments depend on each other.
    """
    return math.sqrt(2 * math.log(max(1, alignments) / false_positives))


def best_sum(features: np.ndarray, table: np.ndarray, axes: tuple[int, ...]) -> float:
    """The largest normalised sum over all cyclic shifts along some axes of the table.

    Args:
        features: float [alignments, *table.shape].
        axes: of the table, along which it is shifted.

    Returns:
        The largest of Σ feature · shifted sign / |feature|; 0 where there is no feature.
    """
    lengths = np.sqrt((features.astype(np.float64) ** 2).sum(tuple(range(1, features.ndim))))
    usable = features[lengths > 0]
    if not len(usable):
        return 0.0
    places = tuple(axis + 1 for axis in axes)
    spectrum = scipy.fft.rfftn(usable.astype(np.float32), axes=places)
    spectrum *= np.conj(scipy.fft.rfftn(table[None].astype(np.float32), axes=places))
    rest = tuple(axis + 1 for axis in range(table.ndim) if axis not in axes)
    sums = scipy.fft.irfftn(spectrum.sum(rest, keepdims=True), s=[table.shape[axis] for axis in axes], axes=places)
    peaks = sums.reshape(len(usable), -1).max(1)
    return float((peaks / lengths[lengths > 0]).max())
