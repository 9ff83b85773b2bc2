"""What a block reads of earlier chunks: keys and values that stand before its own in an attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from phonofilm.model.attention import KeyValue
from phonofilm.model.rope import Rotary, rotate, rotate_


@dataclass(frozen=True)
class PastKeys:
    """Keys and values of M earlier tokens, with room after them for the tokens of the chunk at work.

    Attributes:
        keys, values: [B, M + N, H, d]. The first M are never changed; keys are already turned by their positions.
            The last N are room to work in, so that an evaluation copies nothing of the past.
        count: M.
        record: where the chunk's own keys, not turned, and values go; None where they are not to be kept.
    """

    keys: Tensor
    values: Tensor
    count: int
    record: list[KeyValue] | None = None

    def join(self, own: KeyValue, rotary: Rotary) -> KeyValue:
        """Past and own, in this order.

        Args:
            own: [B, N, H, d], keys not turned yet; without gradients they are overwritten.
            rotary: positions of the N tokens.
        """
        if self.record is not None:
            self.record.append(KeyValue(own.keys.clone(), own.values.clone()))
        if torch.is_grad_enabled():
            before = self.keys[:, : self.count], self.values[:, : self.count]
            turned = rotate(own.keys, rotary)
            return KeyValue(torch.cat([before[0], turned], 1), torch.cat([before[1], own.values], 1))
        self.keys[:, self.count :].copy_(rotate_(own.keys, rotary))
        self.values[:, self.count :].copy_(own.values)
        return KeyValue(self.keys, self.values)


class BlockPast(NamedTuple):
    """For one stream of one block: its own past, and what the other stream offered it (None where there is none)."""

    alone: PastKeys
    exchange: PastKeys | None


class ChunkPast(NamedTuple):
    """For each block and stream, or None where the stream takes no part in the block."""

    video: tuple[BlockPast | None, ...]
    audio: tuple[BlockPast | None, ...]
