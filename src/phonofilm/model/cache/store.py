"""The cache itself: a value that holds, for each chunk that can still be seen, its keys and values in all blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from phonofilm.model.cache.layout import ChunkLayout

KEYS, VALUES = 0, 1


class ChunkKeys(NamedTuple):
    """Keys and values of one chunk of N tokens, [L, 2, B, N, H, d] of L blocks: keys at 0, values at 1.

    Keys are not turned by positions: those are given to them when they are read. Tokens of sound are ordered stem,
    time. None for a stream that is absent.

    Attributes:
        video, audio: of the self-attention.
        to_video: what sound offers the picture's exchange. to_audio: what the picture offers the sound's.
    """

    video: Tensor | None
    audio: Tensor | None
    to_video: Tensor | None
    to_audio: Tensor | None


@dataclass(frozen=True)
class ChunkCache:
    """Chunks that the next one sees, oldest first. Writing gives a new cache and leaves this one as it is.

    Both share the tensors of all chunks that both hold, so that writing copies nothing, and what holds a cache of an
    hour ago can go on from there. Memory is that of `slots` chunks for ever.
    """

    layout: ChunkLayout
    chunks: tuple[ChunkKeys, ...] = ()
    count: int = 0

    def write(self, keys: ChunkKeys) -> ChunkCache:
        """The cache after one more chunk; what no later chunk can see is let go."""
        numbers = (*self.layout.visible(self.count), self.count)
        held = dict(zip(numbers, (*self.chunks, keys), strict=True))
        kept = tuple(held[number] for number in self.layout.visible(self.count + 1))
        return ChunkCache(self.layout, kept, self.count + 1)

    @property
    def bytes(self) -> int:
        return sum(part.nbytes for chunk in self.chunks for part in chunk if part is not None)


def joined(chunks: tuple[ChunkKeys, ...], name: str, room: Tensor) -> tuple[Tensor, int]:
    """One kind of keys of all chunks as [L, 2, B, M + N, H, d], and M; the last N are room, not set.

    Args:
        room: anything of the shape [L, 2, B, N, H, d] that the chunk at work will fill.
    """
    parts = [part for chunk in chunks if (part := getattr(chunk, name)) is not None]
    count = sum(part.shape[3] for part in parts)
    shape = (*room.shape[:3], count + room.shape[3], *room.shape[4:])
    whole = torch.empty(shape, dtype=room.dtype, device=room.device)
    start = 0
    for part in parts:
        whole[:, :, :, start : start + part.shape[3]].copy_(part)
        start += part.shape[3]
    return whole, count
