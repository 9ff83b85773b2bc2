"""How far sound and picture of a shot are apart and how fast they run apart, and whether that can be known."""

from __future__ import annotations

from collections.abc import Mapping

from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.step import Step, Value
from phonofilm.signals.motion import SIDE, luminance, movement
from phonofilm.signals.sync.alignment import align, pace
from phonofilm.signals.sync.cues import picture_cues, sound_cues

UNKNOWN = {"known": False, "offset_ms": None, "confidence": 0.0, "cue": "", "drift": None, "drift_known": False}


def _sync(material: Material, known: Mapping[str, Value]) -> Value:
    if not material.heard or material.waveform is None or len(material.frames) < 8:
        return {**UNKNOWN, "why": "nothing is heard" if not material.heard else "it is too short"}
    try:
        images = luminance(material.frames, SIDE)
        moved = movement(images)
        seen = picture_cues(moved.momentum, moved.light, images, moved.cuts, material.fps)
        heard = sound_cues(material.waveform, material.sample_rate)
        apart, running = align(heard, seen), pace(heard, seen)
    except ValueError as error:
        return {**UNKNOWN, "why": str(error)}
    return {
        "known": apart.known, "offset_ms": apart.milliseconds, "confidence": apart.confidence, "cue": apart.cue,
        "drift": running.permille, "drift_known": running.known, "why": "",
    }  # fmt: skip


SYNC = Step("sync", 3, _sync, costly=True)
