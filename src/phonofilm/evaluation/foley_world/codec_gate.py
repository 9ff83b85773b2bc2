"""The codec gate: how much of what is seen and heard survives the codecs alone.

True clips go through encode and decode, and are scored beside themselves. A generator can be no better
than this, so no generator is trained before the gate is passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phonofilm.codecs.audio_vae import AudioVAE
from phonofilm.codecs.common.mel import log_mel
from phonofilm.codecs.loading import load_codecs
from phonofilm.codecs.pixels import from_frames, to_frames
from phonofilm.codecs.video_vae import VideoVAE
from phonofilm.codecs.vocoder import Vocoder
from phonofilm.evaluation.foley_world.detect import observe
from phonofilm.evaluation.foley_world.metrics import summarise
from phonofilm.types import Clip, Grid

FLOORS = {"sync_f1_60ms": 0.95, "colour": 0.98, "material": 0.95, "pitch": 0.95}
GATE_SEED = 30_000_000


@torch.inference_mode()
def recode(clip: Clip, video: VideoVAE, audio: AudioVAE, vocoder: Vocoder) -> Clip:
    """A 64 x 64, 12 fps, 16 kHz clip through both codecs and the vocoder, in float32."""
    grid = Grid.of(clip.picture_seconds, clip.picture.frames.shape[2:0:-1], clip.picture.fps)
    frames = from_frames(clip.picture.frames)
    frames = torch.cat([frames, frames[:, :, -1:].expand(-1, -1, grid.model_frames - grid.frames, -1, -1)], 2)
    picture = video.decode(video.encode(frames)[0])[0][0, :, : grid.frames]
    samples = torch.from_numpy(clip.sound.waveform)[None]
    samples = torch.nn.functional.pad(samples, (0, grid.mel_frames * grid.geometry.mel_hop - samples.shape[-1]))
    mel = audio.decode(audio.encode(log_mel(samples, audio.config.mel))[0])[0]
    sound = vocoder(mel)[0][0, :, : grid.samples]
    return clip.with_(frames=to_frames(picture), waveform=np.clip(sound.numpy(), -1, 1).astype(np.float32))


def codec_gate(folder: str | Path, count: int = 128, families: Sequence[str] = ("bounce", "strike")) -> dict[str, Any]:
    """Score `count` held-out true clips before and after the codecs of a folder.

    Returns:
        truth and recoded (see `counts.summarise`), relative (recoded / truth) of every gated metric per
        family, and whether all are at their floor.
    """
    from phonofilm import world

    networks = load_codecs(folder)
    true, coded = [], []
    for start in range(0, count, 16):
        truths = [
            world.sample(families[i % len(families)], GATE_SEED + i // len(families))
            for i in range(start, min(start + 16, count))
        ]
        for clip in world.clips(truths):
            true.append(observe(clip, "", clip.events))
            coded.append(observe(recode(clip, *networks), "", clip.events))
    before, after = summarise(true), summarise(coded)
    relative = {
        group: {name: after[group][name]["value"] / before[group][name]["value"] for name in FLOORS if name in table}
        for group, table in after.items()
    }
    passed = all(value >= FLOORS[name] for table in relative.values() for name, value in table.items())
    return {"passed": passed, "clips": count, "relative": relative, "truth": before, "recoded": after}
