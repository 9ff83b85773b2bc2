"""The second of two stages: latents of half the size are enlarged by a network of their own, and refined."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from phonofilm.backends.ltx2.folder import Folder
from phonofilm.backends.ltx2.vae.networks import denormalised, normalised
from phonofilm.errors import PhonofilmError
from phonofilm.sampling import add_noise
from phonofilm.types import Grid, Latents

UPSAMPLER = "latent_upsampler"
REFINING = (0.909375, 0.725, 0.421875, 0.0)
"""Noise levels of the second stage: the end of those that the distilled weights were made for."""


def half(grid: Grid) -> Grid:
    """The grid of the first stage; its sides must be even numbers of latents."""
    return replace(grid, height=grid.height // 2, width=grid.width // 2)


@torch.no_grad()
def enlarged(vae: Any, upsampler: Any, video: Tensor) -> Tensor:
    """Normalised latents [1, C, T, h, w] to [1, C, T, 2h, 2w]."""
    made = upsampler(denormalised(vae, video).to(upsampler.dtype))
    return normalised(vae, made.float())


def start_of(clean: Latents, noise: Latents) -> Latents:
    """What the second stage starts from: both streams, noisy to its first level."""
    level = clean.map(lambda v: torch.full((1, 1, *(1 for _ in v.shape[2:])), REFINING[0], device=v.device))
    return add_noise(clean, noise, level)


def check_upsampler(folder: Folder) -> Path | None:
    """The LoRA that makes weights refine in few steps; None for distilled ones, which do.

    Raises:
        PhonofilmError: a model that lacks the upsampler or that LoRA.
    """
    if UPSAMPLER not in folder.files:
        raise PhonofilmError(f"{folder.path} lacks the folder {UPSAMPLER}; put it there, or omit --upsample")
    if folder.distilled:
        return None
    found = sorted(folder.path.glob("*distilled-lora*.safetensors"))
    if not found:
        raise PhonofilmError(
            f"{folder.name} refines with its distilled LoRA, and {folder.path} holds no *distilled-lora*.safetensors; "
            "put it there, or take distilled weights"
        )
    return found[-1]
