"""Wan's video VAE, with our shapes and conventions around diffusers' module."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonofilm.backends.published.tiles import Tile, decode_tiles
from phonofilm.codecs.pixels import from_frames

ALL = 4096
LADDER = tuple(Tile(space, ALL) for space in (ALL, 64, 48, 32, 24, 16, 12, 8))
"""From all at once to what fits almost anywhere. The decoder goes along time by itself, one latent after the other."""


@torch.no_grad()
def encode_video(vae: Any, pixels: Tensor) -> Tensor:
    """float32 [1, 3, 1 + 4n, H, W] to normalised latents float32 [1, C, 1 + n, h, w]."""
    mean, std = _statistics(vae, pixels.device)
    return (vae.encode(pixels.to(vae.dtype)).latent_dist.mode().float() - mean) / std


@torch.no_grad()
def picture_channels(vae: Any, picture: np.ndarray, frames: int, device: torch.device) -> Tensor:
    """What I2V-A14B takes beside the latents, [1, factor + C, T, h, w].

    First which frames are known, a channel for each of those a latent stands for (the first latent's one frame
    counts for all), then the latents of a film that is grey after its first frame.

    Args:
        picture: uint8 [H, W, 3].
        frames: 1 + 4n, of the film.
    """
    film = torch.zeros(1, 3, frames, *picture.shape[:2], device=device)
    film[:, :, :1] = from_frames(picture[None], device)
    latents = encode_video(vae, film)
    known = torch.zeros(1, vae.config.scale_factor_temporal, *latents.shape[2:], device=device)
    known[:, :, 0] = 1
    return torch.cat([known, latents], 1)


@torch.no_grad()
def decode_video(vae: Any, latents: Tensor, tile: Tile = LADDER[0]) -> np.ndarray:
    """uint8 [1 + 4n, H, W, 3] of normalised latents [1, C, 1 + n, h, w]."""
    mean, std = _statistics(vae, latents.device)
    factor, space = vae.config.scale_factor_temporal, vae.config.scale_factor_spatial
    return decode_tiles(lambda z: vae.decode(z).sample, (latents * std + mean).to(vae.dtype), factor, space, tile)


def _statistics(vae: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the latents' channels."""
    known = (vae.config.latents_mean, vae.config.latents_std)
    mean, std = (torch.tensor(values, device=device).view(1, -1, 1, 1, 1) for values in known)
    return mean, std
