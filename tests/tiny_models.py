"""A model of ours in miniature: random weights, saved and loaded the way real ones are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch

from phonofilm.checkpoint import save_module
from phonofilm.codecs.audio_vae import AudioVAE, AudioVAEConfig
from phonofilm.codecs.video_vae import VideoVAE, VideoVAEConfig
from phonofilm.codecs.vocoder import Vocoder, VocoderConfig
from phonofilm.model.transformer import PRESETS, AVTransformer


def save_tiny_model(folder: Path, seed: int = 0) -> Path:
    """Write the four weights of a tiny untrained model into a folder."""
    torch.manual_seed(seed)
    preset = PRESETS["nano"]
    config = replace(
        preset,
        video=replace(preset.video, width=32, heads=2, text_heads=2, layers=2),
        audio=replace(preset.audio, width=32, heads=2, text_heads=2, layers=2),
        exchange_head_width=16,
    )
    transformer = AVTransformer(config)
    for parameter in transformer.parameters():  # an untrained network starts at zero, and would ignore its input
        torch.nn.init.normal_(parameter, std=0.15)
    parts = {
        "transformer": transformer,
        "video_vae": VideoVAE(VideoVAEConfig(widths=(8, 8), encoder_depths=(1, 1), decoder_depths=(1, 1))),
        "audio_vae": AudioVAE(AudioVAEConfig(width=16)),
        "vocoder": Vocoder(VocoderConfig(width=16, blocks=1, oscillators=16)),
    }
    trained = {"trained": json.dumps({"steps": 3})}
    for name, part in parts.items():
        save_module(folder / f"{name}.safetensors", part, metadata=trained if name == "transformer" else {})
    return folder
