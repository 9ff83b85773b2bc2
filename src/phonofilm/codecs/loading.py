"""The three codecs of a folder, which every user of latents reads alike."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from phonofilm.checkpoint import load_module
from phonofilm.codecs.audio_vae import AudioVAE
from phonofilm.codecs.video_vae import VideoVAE
from phonofilm.codecs.vocoder import Vocoder


class Codecs(NamedTuple):
    """Between pictures and sounds and their latents."""

    video: VideoVAE
    audio: AudioVAE
    vocoder: Vocoder


def load_codecs(folder: str | Path, device: torch.device | str = "cpu") -> Codecs:
    """Read video_vae, audio_vae and vocoder.safetensors of a folder, ready to use.

    Raises:
        PhonofilmError: a file that is missing, corrupt, or of another network.
    """
    folder = Path(folder)
    codecs = Codecs(
        load_module(VideoVAE, folder / "video_vae.safetensors", device),
        load_module(AudioVAE, folder / "audio_vae.safetensors", device),
        load_module(Vocoder, folder / "vocoder.safetensors", device),
    )
    for codec in codecs:
        codec.requires_grad_(False)
    return codecs
