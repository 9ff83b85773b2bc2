"""Whether what is heard is seen: a voice without a face, and music under a picture that does not make it."""

from __future__ import annotations

from collections.abc import Mapping

from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.step import Step, Value

STILL_MOUTH = 0.02
"""Deviation of a mouth's opening (in distances of the eyes) below which it does not speak."""


def _onscreen(material: Material, known: Mapping[str, Value]) -> Value:
    speech, faces, events, sync = (known[name] for name in ("speech", "faces", "events", "sync"))
    spoken = speech["spoken"] / max(material.shot.seconds, 1e-6)
    seen = faces["share"] if (faces["mouth"] or 0.0) > STILL_MOUTH else 0.0
    return {
        "voice": (1 - seen) if spoken > 0.1 else 0.0,
        "bed": 0.0 if sync["known"] else events["music"],
    }  # fmt: skip


ONSCREEN = Step("onscreen", 1, _onscreen, needs=("speech", "faces", "events", "sync"), costly=True)
