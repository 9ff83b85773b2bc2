"""Technical faults of picture and sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.step import Step, Value
from phonofilm.signals.dropouts import sound_dropouts
from phonofilm.signals.faults.picture import combed, picture_faults
from phonofilm.signals.faults.sound import sound_faults


def _picture(material: Material, known: Mapping[str, Value]) -> Value:
    window = material.window
    found = asdict(picture_faults(material.images, material.fps))
    return {**found, "combed": combed(window.moving), "fps": window.fps, "frames": len(window.frames)}


def _sound(material: Material, known: Mapping[str, Value]) -> Value:
    window = material.window
    lacks = max(0.0, window.seconds - window.stored)
    if window.waveform is None or not material.heard:
        return {"track": window.waveform is not None, "heard": False, "lacks": lacks, "rate": window.sample_rate}
    found = asdict(sound_faults(window.waveform, window.sample_rate))
    gaps = sound_dropouts(window.waveform, window.sample_rate, tails=True).gaps
    cutout = float((gaps[:, 1] - gaps[:, 0]).max(initial=0.0))
    channels = len(window.waveform)
    highest = found["cutoff"] / (window.sample_rate / 2)
    return {
        "track": True, "heard": True, "lacks": lacks, "rate": window.sample_rate, "channels": channels,
        **found, "highest": highest, "cutout": cutout,
    }  # fmt: skip


PICTURE = Step("picture", 3, _picture, packages=("av",))
SOUND = Step("sound", 3, _sound, packages=("av",))
