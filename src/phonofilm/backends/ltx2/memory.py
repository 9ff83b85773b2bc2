"""Which way of working fits into memory, and what decoding takes of it."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch

from phonofilm.backends.ltx2.folder import COMPONENTS, Folder
from phonofilm.backends.ltx2.parts import component_bytes, component_class, stored_dtype_of
from phonofilm.backends.ltx2.vae.decode import LADDER, Tile
from phonofilm.backends.published.planning.footprint import Cost, cost
from phonofilm.backends.published.planning.memory import DECODE_FACTOR, HEADROOM, available, pick_offload
from phonofilm.backends.published.tiles import next_smaller
from phonofilm.choices import Offload, Quantization


def choose_offload(folder: Folder, device: torch.device, quantize: Quantization | None = None) -> Offload:
    """The first way of working whose weights fit, leaving a quarter of the memory to the work itself."""
    return pick_offload([component_bytes(folder, component, quantize) for component in COMPONENTS], device)


def choose_tile(folder: Folder, shape: tuple[int, int, int], device: torch.device) -> Tile:
    """The largest tile with which latents of `shape` (T, H, W) are decoded within the memory there is."""
    room = HEADROOM * available(device)
    if not math.isfinite(room):
        return LADDER[0]
    return next((tile for tile in LADDER if decode_peak(folder, shape, tile, device) <= room), LADDER[-1])


def decode_peak(folder: Folder, shape: tuple[int, int, int], tile: Tile, device: torch.device) -> float:
    """Bytes that decoding takes at its peak, beside the weights: one tile, and the frames put together."""
    time, height, width = tile.within(shape)
    vae = folder.configs["vae"]
    space, factor = vae["spatial_compression_ratio"], vae["temporal_compression_ratio"]
    peak = DECODE_FACTOR * decode_cost(folder, (time, height, width), device).peak
    if device.type != "cpu":
        return peak
    pixels = shape[1] * shape[2] * space**2 * 3
    floats, tiled = 4 * (1 + (time - 1) * factor) * pixels, (height, width) != shape[1:]
    rounding = 2.25 * floats  # the tile of time put together, its copy in the range of bytes, and the bytes
    kept = floats * tile.shared[1] / time if time < shape[0] else 0
    return max(peak + floats * tiled, rounding) + kept + (1 + (shape[0] - 1) * factor) * pixels


def decode_cost(folder: Folder, shape: tuple[int, int, int], device: torch.device) -> Cost:
    """What decoding one piece of latents (T, H, W) takes."""
    return _decode_cost(_Key(folder), shape, str(device))


class _Key:
    """A folder as a key of a cache: its place names it."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def __hash__(self) -> int:
        return hash(self.folder.path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.folder.path == self.folder.path


@lru_cache(maxsize=64)
def _decode_cost(key: _Key, shape: tuple[int, int, int], device: str) -> Cost:
    folder = key.folder

    def build() -> Any:
        vae = component_class(folder, "vae").from_config(dict(folder.configs["vae"])).eval()
        latents = torch.empty(1, folder.configs["vae"]["latent_channels"], *shape)
        return lambda: vae.decoder(latents).float()

    return cost(build, torch.device(device), stored_dtype_of(folder, "vae"))


def smaller(tile: Tile, shape: tuple[int, int, int]) -> Tile:
    """The next tile that decodes latents of this shape in smaller pieces."""
    return next_smaller(LADDER, tile, shape)
