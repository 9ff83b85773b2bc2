"""Decode pictures of any size and length in bounded memory: tiles in space, chunks in time, blended seams."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from phonofilm.codecs.video_vae import Past, VideoVAE


@torch.no_grad()
def decode_tiled(
    model: VideoVAE,
    latents: Tensor,
    *,
    tile: int = 32,
    overlap: int = 8,
    chunk: int = 16,
    step: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Frames [B, 3, 1 + 2·n, H, W] in [-1, 1] from latents [B, C, 1 + n, h, w] of any size.

    Beside the result itself, memory is that of decoding `chunk` latents of one tile. Time is exact, as
    each tile's state is carried on; in space, tiles fade into each other over their overlap, where each
    still has some context of its own. Latents that fit into one tile give what `model.decode` gives.

    Args:
        tile: side of a tile, in latents.
        overlap: latents that neighbouring tiles share; about the decoder's reach in space is enough.
        chunk: latents decoded at once, along time; on a CPU 16 take two thirds of the time of twice 8.
        step: called with (done, total) before each chunk of each tile; what it raises ends the work.

    Raises:
        ValueError: sizes that do not fit together, or no latents.
    """
    if not 0 < overlap < tile or chunk < 1:
        raise ValueError(
            f"tiles of {tile} latents, {overlap} shared, in chunks of {chunk}: 0 < shared < tile, chunk > 0"
        )
    if min(latents.shape) < 1:
        raise ValueError(f"latents of shape {tuple(latents.shape)} hold nothing to decode")
    count, height, width = latents.shape[2:]
    space = model.config.space
    rows, columns = (
        list(zip(places(size, tile, overlap), fades(size, tile, overlap, space), strict=True))
        for size in (height, width)
    )
    frames = latents.new_zeros(latents.shape[0], 3, 1 + (count - 1) * model.config.time, height * space, width * space)
    total, number = len(rows) * len(columns) * -(-count // chunk), 0
    for ((top, bottom), down), ((left, right), across) in product(rows, columns):
        fade = (down[:, None] * across).to(latents)
        target = frames[..., top * space : bottom * space, left * space : right * space]
        state: Past | None = None
        done = 0
        for part in latents[..., top:bottom, left:right].split(chunk, dim=2):
            step(number, total)
            number += 1
            decoded, state = model.decode(part, state)
            target[:, :, done : done + decoded.shape[2]] += fade * decoded
            done += decoded.shape[2]
    return frames


def places(size: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Start and end of each tile along an axis of `size` latents, neighbours sharing at least `overlap`."""
    if size <= tile:
        return [(0, size)]
    starts = [*range(0, size - tile, tile - overlap), size - tile]
    return [(start, start + tile) for start in starts]


def fades(size: int, tile: int, overlap: int, scale: int) -> list[Tensor]:
    """Weight of each tile along an axis, float32 [pixels of the tile]; over all tiles they sum to one."""
    spans = [(start * scale, end * scale) for start, end in places(size, tile, overlap)]
    total = torch.zeros(size * scale)
    ramps = []
    for start, end in spans:
        pixel = torch.arange(start, end) + 0.5
        from_start = pixel - start if start else torch.full_like(pixel, torch.inf)
        to_end = end - pixel if end < size * scale else torch.full_like(pixel, torch.inf)
        ramps.append((torch.minimum(from_start, to_end) / (overlap * scale)).clamp(max=1))
        total[start:end] += ramps[-1]
    return [ramp / total[start:end] for ramp, (start, end) in zip(ramps, spans, strict=True)]
