"""How a mouth moves while it speaks: a shape for every phoneme (a viseme), blended as lips blend them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phonofilm.world.common.scene import track_times


@dataclass(frozen=True)
class Shape:
    """A mouth, each part from 0 to 1.

    Attributes:
        open: how far the jaw drops. wide: 0 rounded, 1 spread.
        teeth, tongue: how much of them shows. tuck: the lower lip lies on the upper teeth. press: lips on each other.
    """

    open: float = 0.0
    wide: float = 0.5
    teeth: float = 0.0
    tongue: float = 0.0
    tuck: float = 0.0
    press: float = 0.0


PARTS = ("open", "wide", "teeth", "tongue", "tuck", "press")
REST = Shape()
CLOSED = ("M", "B", "P")  # phonemes said with closed lips
SMOOTH = 0.026  # s: how far lips anticipate and lag, as the deviation of a Gaussian
CLOSING = 0.045  # s: flanks of a closure

_I, _U = Shape(0.38, 0.82, 0.6), Shape(0.34, 0.12)
# a diphthong goes from one shape to another; names are ARPAbet
VISEMES: dict[str, tuple[Shape, ...]] = {
    "AA": (Shape(1.0, 0.55, 0.3),),
    "AE": (Shape(0.85, 0.78, 0.5),),
    "AH": (Shape(0.62, 0.55, 0.3),),
    "AO": (Shape(0.82, 0.28),),
    "AW": (Shape(0.95, 0.55, 0.3), _U),
    "AY": (Shape(0.95, 0.6, 0.3), _I),
    "EH": (Shape(0.66, 0.72, 0.5),),
    "ER": (Shape(0.42, 0.35, 0.2),),
    "EY": (Shape(0.6, 0.8, 0.5), _I),
    "IH": (Shape(0.42, 0.78, 0.5),),
    "IY": (Shape(0.34, 0.98, 0.8),),
    "OW": (Shape(0.72, 0.22), _U),
    "OY": (Shape(0.75, 0.25), _I),
    "UH": (Shape(0.42, 0.22),),
    "UW": (Shape(0.32, 0.05),),
    "M": (Shape(press=1.0),),
    "B": (Shape(press=1.0),),
    "P": (Shape(press=1.0),),
    "F": (Shape(0.16, 0.6, 1.0, tuck=1.0),),
    "V": (Shape(0.16, 0.6, 1.0, tuck=1.0),),
    "TH": (Shape(0.26, 0.6, 0.7, 1.0),),
    "DH": (Shape(0.26, 0.6, 0.7, 1.0),),
    "T": (Shape(0.26, 0.62, 0.8, 0.5),),
    "D": (Shape(0.28, 0.62, 0.8, 0.5),),
    "N": (Shape(0.28, 0.62, 0.6, 0.7),),
    "L": (Shape(0.38, 0.6, 0.5, 1.0),),
    "S": (Shape(0.18, 0.82, 1.0),),
    "Z": (Shape(0.18, 0.82, 1.0),),
    "SH": (Shape(0.26, 0.12, 1.0),),
    "ZH": (Shape(0.26, 0.12, 1.0),),
    "CH": (Shape(0.26, 0.15, 1.0),),
    "JH": (Shape(0.26, 0.15, 1.0),),
    "K": (Shape(0.34, 0.55, 0.3),),
    "G": (Shape(0.34, 0.55, 0.3),),
    "NG": (Shape(0.34, 0.55, 0.3),),
    "HH": (Shape(0.40, 0.55, 0.2),),
    "Y": (Shape(0.30, 0.88, 0.6),),
    "R": (Shape(0.32, 0.2, 0.2),),
    "W": (Shape(0.20, 0.0),),
}
VOWELS = tuple(name for name in VISEMES if name[0] in "AEIOU")


@dataclass(frozen=True)
class Phoneme:
    """A phoneme in a scene: ARPAbet name, start and end in s, and how strongly it is said, 0 to 1."""

    name: str
    time: float
    end: float
    strength: float = 1.0


def track(phonemes: Sequence[Phoneme], seconds: float) -> np.ndarray:
    """float64 [S, 6]: the parts of the mouth, in the order of PARTS, at TRACK_RATE."""
    times = track_times(seconds)
    wanted = np.tile(_row(REST), (len(times), 1))
    for phoneme in phonemes:
        shapes = VISEMES[phoneme.name]
        edges = np.linspace(phoneme.time, phoneme.end, len(shapes) + 1)
        for shape, start, end in zip(shapes, edges[:-1], edges[1:], strict=True):
            wanted[(times >= start) & (times < end)] = _row(shape) * _emphasis(phoneme)
    rate = 1 / (times[1] - times[0])
    reach = np.arange(-int(4 * SMOOTH * rate), int(4 * SMOOTH * rate) + 1) / rate
    kernel = np.exp(-0.5 * (reach / SMOOTH) ** 2)
    padded = np.pad(wanted, ((len(reach) // 2,) * 2, (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(column, kernel / kernel.sum(), "valid") for column in padded.T], -1)
    closed = closure(phonemes, times)
    smooth[:, PARTS.index("open")] *= 1 - closed
    smooth[:, PARTS.index("press")] = closed
    return smooth


def closure(phonemes: Sequence[Phoneme], times: np.ndarray) -> np.ndarray:
    """0 to 1 at times [T]: lips meet for the whole of an m, and for a b or p until it bursts."""
    closed = np.zeros(len(times))
    for phoneme in phonemes:
        if phoneme.name in CLOSED:
            held = phoneme.end if phoneme.name == "M" else phoneme.time + 0.7 * (phoneme.end - phoneme.time)
            flank = np.minimum(times - phoneme.time, held - times) / CLOSING + 1
            closed = np.maximum(closed, np.clip(flank, 0, 1))
    return closed * closed * (3 - 2 * closed)


def _row(shape: Shape) -> np.ndarray:
    return np.array([getattr(shape, part) for part in PARTS])


def _emphasis(phoneme: Phoneme) -> np.ndarray:
    """Vowels that are said softly open the mouth less."""
    return np.where(np.array(PARTS) == "open", phoneme.strength if phoneme.name in VOWELS else 1.0, 1.0)
