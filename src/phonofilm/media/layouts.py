"""Where the channels of a sound are heard: FFmpeg's names of channels, and their fold to two ears."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STANDARD = {
    1: ("FC",),
    2: ("FL", "FR"),
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "FC", "BC"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
"""The channels of a sound in memory that does not name them, by their number."""

UNSTATED = {**STANDARD, 3: ("FL", "FR", "LFE")}
"""The channels of a file that does not name them, as FFmpeg and players take them."""

_HALF = 0.5**0.5
_LEFT, _RIGHT, _MIDDLE = (1.0, 0.0), (0.0, 1.0), (_HALF, _HALF)
_LEFT_AROUND, _RIGHT_AROUND, _BOTH_AROUND = (_HALF, 0.0), (0.0, _HALF), (0.5, 0.5)
# Gains of left and right, after ITU-R BS.775-4: centre and surrounds at -3 dB, effects channels left out
EARS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("FL", "DL", "WL", "FLC", "BFL", "BIL"), _LEFT),
    **dict.fromkeys(("FR", "DR", "WR", "FRC", "BFR", "BIR"), _RIGHT),
    **dict.fromkeys(("FC", "BFC"), _MIDDLE),
    **dict.fromkeys(("SL", "BL", "SDL", "TFL", "TBL", "TSL", "SSL", "TTL"), _LEFT_AROUND),
    **dict.fromkeys(("SR", "BR", "SDR", "TFR", "TBR", "TSR", "SSR", "TTR"), _RIGHT_AROUND),
    **dict.fromkeys(("BC", "TC", "TFC", "TBC"), _BOTH_AROUND),
    **dict.fromkeys(("LFE", "LFE2"), (0.0, 0.0)),
    # first-order ambisonics (ACN order): sound from all around, and left minus right
    "AMBI0": (1.0, 1.0),
    "AMBI1": (1.0, -1.0),
}


def named(count: int, layout: Sequence[str] = ()) -> tuple[str, ...]:
    """The names of `count` channels: those given where they fit, else the standard ones, else none."""
    return tuple(layout) if len(layout) == count else STANDARD.get(count, ())


def noted(names: Sequence[str]) -> tuple[str, ...]:
    """What a clip says of its channels: nothing where mono or stereo says it all."""
    return () if len(names) < 2 or tuple(names) == STANDARD[2] else tuple(names)


def fold(count: int, layout: Sequence[str] = ()) -> np.ndarray | None:
    """float32 [2, count], or None where nothing says which channel is heard where.

    Each row sums to 1, so that no fold clips.
    """
    names = named(count, layout)
    matrix = np.array([EARS.get(name, (0.0, 0.0)) for name in names], np.float32).reshape(-1, 2).T
    total = np.abs(matrix).sum(axis=1, keepdims=True)
    return matrix / total if names and (total > 0).all() else None


def is_stereo(count: int, layout: Sequence[str] = ()) -> bool:
    """Whether the first channel is heard left alone and the second right alone, and there are no others."""
    matrix = fold(count, layout)
    return count == 2 and (matrix is None or bool((matrix == np.eye(2)).all()))
