"""Small pictures for a person to look at while training: rows of frames, mels under mels."""

from __future__ import annotations

from pathlib import Path

import torch
from einops import rearrange
from PIL import Image
from torch import Tensor


def save_frames(path: Path, *clips: Tensor, columns: int = 12) -> None:
    """One row for each clip of each batch [B, 3, T, H, W] in [-1, 1], batches interleaved; every few frames."""
    step = max(1, clips[0].shape[2] // columns)
    shown = torch.stack([batch.detach().float().cpu()[:, :, ::step] for batch in clips], dim=1)
    save_image(path, rearrange(shown, "b k c t h w -> (b k h) (t w) c") * 0.5 + 0.5)


def save_mels(path: Path, *mels: Tensor, scale: int = 3) -> None:
    """Log-mels [B, C, bins, T] of several batches under one another, low frequencies at the bottom."""
    shown = torch.stack([batch.detach().float().cpu() for batch in mels], dim=1).flip(-2)
    low, high = shown.amin(), shown.amax()
    grey = rearrange((shown - low) / (high - low).clamp_min(1e-6), "b k c f t -> (b k c f) t")
    save_image(path, grey.repeat_interleave(scale, 1)[..., None].expand(-1, -1, 3))


def save_image(path: Path, pixels: Tensor) -> None:
    """[H, W, 3] in [0, 1] as a PNG."""
    Image.fromarray((pixels.clamp(0, 1) * 255).round().byte().numpy()).save(path)
