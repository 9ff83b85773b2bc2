"""What becomes of the stems of a sound in training: which are there, which are made, given or silent."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class StemMixture:
    """Weights of what becomes of the stems of a clip where its sound is made; and shares of batches.

    Attributes:
        together: all are made at the noise level of the sound.
        apart: each is made at a level of its own.
        given: some are given, as they are.
        silent: some are given as silence, whatever they are in truth.
        absent: share of batches in which not all stems are there.
        own_text: share of batches in which stems may have a prompt of their own in place of the whole caption.
    """

    together: float = 0.55
    apart: float = 0.1
    given: float = 0.2
    silent: float = 0.15
    absent: float = 0.12
    own_text: float = 0.3


@dataclass(frozen=True)
class StemDraw:
    """For S stems of B clips.

    Attributes:
        own: [S, B] a noise level for each stem. apart: bool [B], whether that is what it has.
        kept: bool [S, B], stems that are given. silent: bool [S, B], those of them that are given as silence.
    """

    own: Tensor
    apart: Tensor
    kept: Tensor
    silent: Tensor

    def levels(self, sound: Tensor) -> Tensor:
        """[S, B] noise levels of the stems where that of the sound is [B]; at 1 nothing is given."""
        levels = torch.where(self.apart & (sound > 0) & (sound < 1), self.own, sound.expand_as(self.own))
        return torch.where(self.kept & (sound < 1), 0.0, levels)


def draw_stems(config: StemMixture, own: Tensor, generator: torch.Generator) -> StemDraw:
    """Draw for stems with levels [S, B]; of the stems of a clip at least one is always made."""
    stems, batch = own.shape
    weights = torch.tensor([config.together, config.apart, config.given, config.silent])
    way = torch.multinomial(weights, batch, replacement=True, generator=generator)
    made = torch.randint(stems, (batch,), generator=generator)
    some = torch.rand(stems, batch, generator=generator) < 0.6
    some &= torch.arange(stems)[:, None] != made
    silenced = torch.rand(stems, batch, generator=generator) < 0.7
    kept = some & (way >= 2)
    return StemDraw(own, way == 1, kept, kept & (way == 3) & silenced)


def draw_subset(share: float, stems: int, generator: torch.Generator) -> list[int]:
    """Numbers of the stems that are there: all but in `share` of the draws, at least one always."""
    if stems == 1 or float(torch.rand((), generator=generator)) >= share:
        return list(range(stems))
    count = 1 + int(torch.randint(stems - 1, (), generator=generator))
    return sorted(torch.randperm(stems, generator=generator)[:count].tolist())


def draw_own_text(share: float, dropped: Tensor, stems: int, generator: torch.Generator) -> Tensor | None:
    """int [B, S]: 1 where a stem has its own prompt, 0 the whole caption, -1 none; None where all have the caption.

    Args:
        dropped: bool [B], clips that have no text at all.
    """
    if stems == 1 or float(torch.rand((), generator=generator)) >= share:
        return None
    own = (torch.rand(len(dropped), stems, generator=generator) < 0.6).long()
    none = torch.rand(len(dropped), stems, generator=generator) < 0.1
    return torch.where(dropped[:, None] | none, -1, own)
