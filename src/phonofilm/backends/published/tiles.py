"""Video latents to frames in bounded memory: tiles in space and in time that fade into each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from phonofilm.codecs.pixels import to_frames
from phonofilm.codecs.tiling import fades, places
from phonofilm.errors import PhonofilmError

Decoder = Callable[[Tensor], Tensor]
"""Latents [1, C, 1 + n, h, w] to pixels [1, 3, 1 + factor·n, h·space, w·space] in [-1, 1]."""


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


@torch.no_grad()
def decode_tiles(
    decode: Decoder,
    latents: Tensor,
    factor: int,
    space: int,
    tile: Tile,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """uint8 [1 + factor·n, H, W, 3] of latents [1, C, 1 + n, h, w] as the decoder takes them.

    A tile that starts within the clip decodes its first latent to one frame, the last of those it stands for;
    frames of two tiles fade into each other over what both have.
    """
    count, height, width = latents.shape[2:]
    frames = np.empty((1 + (count - 1) * factor, height * space, width * space, 3), np.uint8)
    spans = places(count, tile.time, tile.shared[1])
    before: Tensor | None = None
    for number, (start, end) in enumerate(spans):
        if progress is not None:
            progress(number, len(spans))
        pixels, first = _decode_space(decode, latents[:, :, start:end], space, tile), start * factor
        if before is not None:
            length = before.shape[1]
            ramp = ((torch.arange(length) + 0.5) / length).view(1, -1, 1, 1)
            pixels[:, :length] = torch.lerp(before, pixels[:, :length], ramp)
        keep = pixels.shape[1] if end == count else spans[number + 1][0] * factor - first
        frames[first : first + keep] = to_frames(pixels[:, :keep])
        before = pixels[:, keep:].clone()
        del pixels  # else it would be there while the next tile is decoded
    return frames


def _decode_space(decode: Decoder, latents: Tensor, space: int, tile: Tile) -> Tensor:
    """float32 [3, T, H, W] on the CPU."""
    shared = tile.shared[0]
    height, width = latents.shape[3:]
    if max(height, width) <= tile.space:
        return decode(latents).float().cpu()[0]
    rows, columns = (
        list(zip(places(side, tile.space, shared), fades(side, tile.space, shared, space), strict=True))
        for side in (height, width)
    )
    made: Tensor | None = None
    for ((top, bottom), down), ((left, right), across) in product(rows, columns):
        pixels = decode(latents[..., top:bottom, left:right]).float().cpu()[0]
        if made is None:
            made = torch.zeros(3, pixels.shape[1], height * space, width * space)
        made[..., top * space : bottom * space, left * space : right * space] += pixels * (down[:, None] * across)
        del pixels  # else it would be there while the next tile is decoded
    assert made is not None  # there is at least one tile
    return made


def next_smaller(ladder: tuple[Tile, ...], tile: Tile, shape: tuple[int, int, int]) -> Tile:
    """The next tile of a ladder that decodes latents of this shape in pieces of half the size or less."""
    piece = math.prod(tile.within(shape))
    return next((other for other in ladder if math.prod(other.within(shape)) <= piece / 2), ladder[-1])


def decode_or_retry(
    decode: Callable[[Tile], np.ndarray],
    tile: Tile,
    ladder: tuple[Tile, ...],
    shape: tuple[int, int, int],
    saved: Path,
) -> np.ndarray:
    """Decode; where memory runs out, once more with smaller tiles.

    Raises:
        PhonofilmError: it ran out again.
    """
    made = _try(decode, tile)
    if made is None:
        tile = next_smaller(ladder, tile, shape)
        made = _try(decode, tile)
    if made is None:
        raise PhonofilmError(
            f"decoding ran out of memory even in tiles of {tile.space}x{tile.space}x{tile.time} latents; what was "
            f"sampled is kept in {saved}: free some memory, or add --offload disk, and run the same command again"
        )
    return made


def _try(decode: Callable[[Tile], np.ndarray], tile: Tile) -> np.ndarray | None:
    """None where memory ran out; what the attempt held is free again on return."""
    try:
        return decode(tile)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on whichever device."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    line = str(error).lower()
    return "out of memory" in line or "can't allocate memory" in line or "not enough memory" in line
