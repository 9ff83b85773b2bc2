"""Video latents to frames in bounded memory: tiles in space and in time that fade into each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonofilm.backends.ltx2.codecs import denormalised
from phonofilm.codecs.tiling import fades, places


@dataclass(frozen=True)
class Tile:
    """How many latents along each side, and along time, are decoded at once; a quarter is shared."""

    space: int
    time: int

    @property
    def shared(self) -> tuple[int, int]:
        """Latents shared with the next tile, in space and in time."""
        return max(1, self.space // 4), max(1, self.time // 4)

    def within(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """(T, H, W) of the largest piece that is decoded of latents of this shape."""
        time, height, width = shape
        return min(self.time, time), min(self.space, height), min(self.space, width)


LADDER = (
    Tile(256, 256),
    Tile(256, 16),
    Tile(24, 16),
    Tile(16, 12),
    Tile(16, 8),
    Tile(12, 6),
    Tile(8, 6),
    Tile(8, 4),
    Tile(4, 4),
    Tile(4, 2),
)
"""From all at once to what fits almost anywhere."""


@torch.no_grad()
def decode_video(
    vae: Any, latents: Tensor, tile: Tile = LADDER[0], progress: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """uint8 [1 + 8n, H, W, 3] of normalised latents [1, C, 1 + n, h, w].

    A tile that starts within the clip decodes its first latent to one frame, the last of the eight it stands for;
    frames of two tiles fade into each other over what both have.
    """
    latents, factor, space = denormalised(vae, latents), vae.temporal_compression_ratio, vae.spatial_compression_ratio
    count, height, width = latents.shape[2:]
    frames = np.empty((1 + (count - 1) * factor, height * space, width * space, 3), np.uint8)
    spans = places(count, tile.time, tile.shared[1])
    before: Tensor | None = None
    for number, (start, end) in enumerate(spans):
        if progress is not None:
            progress(number, len(spans))
        pixels, first = _decode_space(vae, latents[:, :, start:end], tile), start * factor
        if before is not None:
            length = before.shape[1]
            ramp = ((torch.arange(length) + 0.5) / length).view(1, -1, 1, 1)
            pixels[:, :length] = torch.lerp(before, pixels[:, :length], ramp)
        keep = pixels.shape[1] if end == count else spans[number + 1][0] * factor - first
        frames[first : first + keep] = _whole(pixels[:, :keep])
        before = pixels[:, keep:].clone()
        del pixels  # else it would be there while the next tile is decoded
    return frames


def _decode_space(vae: Any, latents: Tensor, tile: Tile) -> Tensor:
    """float32 [3, T, H, W] on the CPU."""
    space, shared = vae.spatial_compression_ratio, tile.shared[0]
    height, width = latents.shape[3:]
    if max(height, width) <= tile.space:
        return vae.decoder(latents).float().cpu()[0]
    rows, columns = (
        list(zip(places(side, tile.space, shared), fades(side, tile.space, shared, space), strict=True))
        for side in (height, width)
    )
    made: Tensor | None = None
    for ((top, bottom), down), ((left, right), across) in product(rows, columns):
        pixels = vae.decoder(latents[..., top:bottom, left:right]).float().cpu()[0]
        if made is None:
            made = torch.zeros(3, pixels.shape[1], height * space, width * space)
        made[..., top * space : bottom * space, left * space : right * space] += pixels * (down[:, None] * across)
    assert made is not None  # there is at least one tile
    return made


def _whole(pixels: Tensor) -> np.ndarray:
    scaled = pixels.add(1).mul_(127.5).round_().clamp_(0, 255)
    return scaled.to(torch.uint8).permute(1, 2, 3, 0).numpy()
