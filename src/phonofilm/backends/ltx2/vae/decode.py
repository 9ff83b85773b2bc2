"""LTX-2's video latents to frames in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from phonofilm.backends.ltx2.vae.networks import denormalised
from phonofilm.backends.published.tiles import Tile, decode_tiles

__all__ = ["LADDER", "Tile", "decode_video"]

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


def decode_video(
    vae: Any, latents: Tensor, tile: Tile = LADDER[0], progress: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """uint8 [1 + 8n, H, W, 3] of normalised latents [1, C, 1 + n, h, w]."""
    factor, space = vae.temporal_compression_ratio, vae.spatial_compression_ratio
    return decode_tiles(vae.decoder, denormalised(vae, latents), factor, space, tile, progress)
