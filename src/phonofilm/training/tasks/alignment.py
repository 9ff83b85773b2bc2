"""Teaches the picture's tokens early what is heard when they are seen: an auxiliary loss of training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange, reduce
from torch import Tensor, nn
from torch.nn import functional as F

from phonofilm.types import Latents


@dataclass(frozen=True)
class AlignmentConfig:
    """How strongly, and where, picture tokens are asked for the sound of their moment (after Yu et al., 2410.06940).

    The sound can only follow the picture once some layer says what happens in it and when; the loss of the sound alone
    finds that late, since an attention that does not look there and tokens that do not say it wait for each other.

    Attributes:
        weight: of this loss; 0 leaves it out.
        blocks: numbers of the blocks after which the tokens are asked.
        hidden: width of the layer in between.
    """

    weight: float = 0.0
    blocks: tuple[int, ...] = (3, 7)
    hidden: int = 256


class SoundFromPicture(nn.Module):
    """From the picture's tokens after some blocks, the sound's latents of the same moments. It is not exported.

    Args:
        width: of the picture's tokens.
        stems, channels: of the sound's latents.
        steps: latents, of both streams alike, in the time of one token.
    """

    def __init__(self, config: AlignmentConfig, width: int, stems: int, channels: int, steps: int) -> None:
        super().__init__()
        self.stems, self.steps = stems, steps
        values = stems * channels * steps
        self.heads = nn.ModuleList(_head(width, config.hidden, values) for _ in config.blocks)

    def loss(self, tokens: list[Tensor], clean: Tensor, levels: Latents, stems: list[int]) -> Tensor:
        """Mean squared error; what the picture shows clearly and the noisy sound does not tell counts most.

        Args:
            tokens: [B, T·H·W, D] after each block; of a moment, the mean of what its places say counts.
            clean: [B, S, C, T'] of the sound. stems: which these are.
            levels: noise levels of both streams as they broadcast to latents.
        """
        assert levels.video is not None  # both streams are there, or there is nothing to align
        assert levels.audio is not None
        target = rearrange(F.pad(clean, (self.steps - 1, 0)), "b s c (t p) -> b t s (c p)", p=self.steps)
        weight = (1 - levels.video.flatten(1).mean(1)) * levels.audio.flatten(1).mean(1).square()
        losses = []
        for head, x in zip(self.heads, tokens, strict=True):
            said = reduce(head(x).float(), "b (t p) v -> b t v", "mean", t=target.shape[1])
            errors = (said.unflatten(-1, (self.stems, -1))[:, :, stems] - target).square().mean((1, 2, 3))
            losses.append((errors * weight).mean())
        return torch.stack(losses).mean()


def _head(width: int, hidden: int, values: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, values))


@contextmanager
def tokens_after(model: Any, numbers: tuple[int, ...]) -> Iterator[list[Any]]:
    """Collects the picture's tokens after blocks of these numbers while the network runs."""
    found: list[Any] = []
    hooks = [model.blocks[n].register_forward_hook(lambda _m, _i, out: found.append(out[0])) for n in numbers]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
