"""A model of ours in miniature: random weights, saved and loaded the way real ones are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch

from phonofilm.checkpoint import save_module
from phonofilm.codecs.audio_vae import AudioVAE, AudioVAEConfig
from phonofilm.codecs.common.mel import MelConfig
from phonofilm.codecs.video_vae import VideoVAE, VideoVAEConfig
from phonofilm.codecs.vocoder import Vocoder, VocoderConfig
from phonofilm.model.transformer import PRESETS, AVTransformer


def save_tiny_model(folder: Path, seed: int = 0) -> Path:
    """Write the four weights of a tiny untrained model into a folder."""
    return _save(
        folder, seed, VocoderConfig(width=16, blocks=1, oscillators=16), AudioVAEConfig(width=16), {"steps": 3}
    )


def save_tiny_stems_model(folder: Path, seed: int = 0) -> Path:
    """Write a tiny untrained model of speech, effects and music at 128x128, 24 fps and 24 kHz, one second long."""
    mel = MelConfig(sample_rate=24_000, hop=250, window=1536, bins=96, high=11_000.0)
    audio = AudioVAEConfig(width=16, mel=mel, time=8, head=4)
    trained = {"size": [128, 128], "fps": "24", "seconds": "1", "steps": 3}
    vocoder = VocoderConfig(width=16, blocks=1, oscillators=16, mel=mel, subframes=2)
    return _save(folder, seed, vocoder, audio, trained, stems=3, patch=(2, 8, 8))


def _save(
    folder: Path,
    seed: int,
    vocoder: VocoderConfig,
    audio: AudioVAEConfig,
    trained: dict[str, object],
    stems: int = 1,
    patch: tuple[int, ...] = (1, 4, 4),
) -> Path:
    torch.manual_seed(seed)
    preset = PRESETS["nano"]
    config = replace(
        preset,
        video=replace(preset.video, width=32, heads=2, text_heads=2, layers=2, patch=patch),
        audio=replace(preset.audio, width=32, heads=2, text_heads=2, layers=2, stems=stems),
        exchange_head_width=16,
    )
    transformer = AVTransformer(config)
    for parameter in transformer.parameters():  # an untrained network starts at zero, and would ignore its input
        torch.nn.init.normal_(parameter, std=0.15)
    said = {"trained": json.dumps(trained)}
    parts = {
        "transformer": transformer,
        "video_vae": VideoVAE(VideoVAEConfig(widths=(8, 8), encoder_depths=(1, 1), decoder_depths=(1, 1))),
        "audio_vae": AudioVAE(audio),
        "vocoder": Vocoder(vocoder),
    }
    for name, part in parts.items():
        save_module(folder / f"{name}.safetensors", part, metadata=said if name == "transformer" else {})
    return folder
