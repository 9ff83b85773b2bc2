"""How far lips and voice are apart, where a face is seen and somebody speaks."""

from __future__ import annotations

from collections.abc import Mapping

from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.step import Step, Value
from phonofilm.data.curate.steps.content import face_tracker
from phonofilm.signals.sync.lips import lip_offset

SEEN, SPOKEN = 0.5, 1.0
"""Share of the pictures in which there is a face, and seconds of speech, from which on lips are compared."""

RATE = 16_000


def _lips(material: Material, known: Mapping[str, Value]) -> Value:
    if known["faces"]["share"] < SEEN or known["speech"]["spoken"] < SPOKEN:
        return {"known": False, "offset_ms": None, "confidence": 0.0, "why": "no face that speaks"}
    opening = face_tracker()(material.frames).mouth_opening
    try:
        found = lip_offset(opening, material.fps, material.mono(RATE), RATE)
    except ValueError as error:
        return {"known": False, "offset_ms": None, "confidence": 0.0, "why": str(error)}
    return {"known": found.known, "offset_ms": found.milliseconds, "confidence": found.confidence, "why": ""}


LIPS = Step("lips", 1, _lips, needs=("faces", "speech"), costly=True)
