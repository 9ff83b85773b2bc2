"""LTX-2's codecs, with our shapes and conventions around diffusers' modules."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from phonofilm.backends.canvas.finite import check_finite
from phonofilm.backends.ltx2.vae.mel import log_mel
from phonofilm.codecs.pixels import from_frames


@torch.no_grad()
def encode_video(vae: Any, frames: np.ndarray, device: torch.device) -> Tensor:
    """uint8 [1 + 8n, H, W, 3] to normalised latents float32 [1, C, 1 + n, H/32, W/32]."""
    pixels = from_frames(frames, device, vae.dtype)
    return normalised(vae, vae.encode(pixels).latent_dist.mode().float())


def normalised(vae: Any, latents: Tensor) -> Tensor:
    """Latents as the transformer takes them."""
    mean, std = _statistics(vae, latents)
    return (latents - mean) * vae.config.scaling_factor / std


def denormalised(vae: Any, latents: Tensor) -> Tensor:
    """Latents as the video decoder takes them."""
    mean, std = _statistics(vae, latents)
    return (latents * std / vae.config.scaling_factor + mean).to(vae.dtype)


def _statistics(vae: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = (v.float().view(1, -1, 1, 1, 1).to(like.device) for v in (vae.latents_mean, vae.latents_std))
    return mean, std


@torch.no_grad()
def encode_audio(vae: Any, waveform: Tensor, length: int) -> Tensor:
    """float32 [2, N] at the mel spectrogram's own rate to normalised latents [1, C·M, length]."""
    config = vae.config
    mel = log_mel(waveform[None], config.sample_rate, config.mel_hop_length, config.mel_bins)
    frames = 1 + 4 * (length - 1)
    mel = torch.nn.functional.pad(mel, (0, 0, 0, max(0, frames - mel.shape[2])), mode="replicate")[:, :, :frames]
    latents = rearrange(vae.encode(mel.to(vae.dtype)).latent_dist.mode().float(), "b c t m -> b t (c m)")
    return ((latents - vae.latents_mean.float()) / vae.latents_std.float()).mT


@torch.no_grad()
def decode_audio(vae: Any, vocoder: Any, latents: Tensor) -> Tensor:
    """Normalised latents [1, C·M, T] to a waveform float32 [1, 2, N] at the vocoder's rate."""
    wide = latents.mT.float() * vae.latents_std.float() + vae.latents_mean.float()
    wide = rearrange(wide, "b t (c m) -> b c t m", c=vae.config.latent_channels)
    mel = vae.decode(wide.to(vae.dtype)).sample
    sound = vocoder(mel.to(vocoder.dtype)).float()
    check_finite(sound, "sound")
    return sound.clamp(-1, 1)
