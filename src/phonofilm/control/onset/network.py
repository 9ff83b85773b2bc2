"""The onset detector's network: pictures at 24 a second to how likely an event begins at each of them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

RATE = Fraction(24)
"""Pictures a second that it sees."""

FRAMES_AT_ONCE = 64
"""Pictures that are looked at together without gradients: memory does not grow with the film."""


@dataclass(frozen=True)
class OnsetConfig:
    """The network's sizes.

    Attributes:
        size: side of the square picture that it sees.
        fold: pixels along one side that become channels, so that convolutions run on a small grid.
        widths: of the three convolutions over a picture, of which the last two halve the grid.
        width: channels over time. dilations: of the causal convolutions over time, each three pictures long.
        delay: pictures that it waits before it decides on one: the trace of an impact is seen after it.
    """

    size: int = 64
    fold: int = 4
    widths: tuple[int, int, int] = (32, 48, 64)
    width: int = 96
    dilations: tuple[int, ...] = (1, 2, 4)
    delay: int = 2

    def __post_init__(self) -> None:
        if self.size < 1 or self.fold < 1 or self.size % (4 * self.fold):
            raise ValueError(f"a size of {self.size} does not divide by four times a fold of {self.fold}")
        if self.delay < 0 or not self.dilations or min(self.dilations) < 1:
            raise ValueError("the delay is 0 or more and there is at least one dilation, from 1 up")


class Marks(NamedTuple):
    """What the network says of each picture, float32 [B, T].

    Attributes:
        logits: of an event within half a picture of this one.
        offset: where in that time it lies, -0.5 to 0.5 of a picture.
        strength: of its sound, 0 (-40 dB of full scale) to 1 (full scale).
    """

    logits: Tensor
    offset: Tensor
    strength: Tensor


class OnsetNet(nn.Module):
    """A picture and its difference to the one before, through convolutions; then causal convolutions over time."""

    def __init__(self, config: OnsetConfig) -> None:
        super().__init__()
        self.config = config
        first, second, third = config.widths
        self.look = nn.Sequential(
            nn.Conv2d(2 * 3 * config.fold**2, first, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(second, third, 3, stride=2, padding=1),
            nn.GELU(),
        )
        self.enter = nn.Linear(2 * third, config.width)
        self.time = nn.ModuleList([nn.Conv1d(config.width, config.width, 3, dilation=d) for d in config.dilations])
        self.norms = nn.ModuleList([nn.LayerNorm(config.width) for _ in config.dilations])
        self.leave = nn.Linear(config.width, 3)
        nn.init.zeros_(self.leave.weight)
        with torch.no_grad():
            self.leave.bias.copy_(torch.tensor([-2.0, 0.0, 0.5]))  # events are rare

    def forward(self, frames: Tensor) -> Marks:
        """Pictures float32 [B, T, 3, S, S] in [-1, 1]; what is said of one depends on `delay` later ones at most."""
        delay = self.config.delay
        x = self.enter(self._seen(frames))
        x = torch.cat([x, x[:, -1:].expand(-1, delay, -1)], 1) if delay else x
        for norm, layer, dilation in zip(self.norms, self.time, self.config.dilations, strict=True):
            step = rearrange(norm(x), "b t d -> b d t")
            x = x + F.gelu(rearrange(layer(F.pad(step, (2 * dilation, 0))), "b d t -> b t d"))
        logits, offset, strength = self.leave(x[:, delay:]).float().unbind(-1)
        return Marks(logits, offset.tanh() / 2, strength)

    def _seen(self, frames: Tensor) -> Tensor:
        """[B, T, 2 · widths[2]]: mean and maximum over the grid."""
        before = torch.cat([frames[:, :1], frames[:, :-1]], 1)
        if torch.is_grad_enabled():
            return self._look(frames, before)
        parts = zip(frames.split(FRAMES_AT_ONCE, 1), before.split(FRAMES_AT_ONCE, 1), strict=True)
        return torch.cat([self._look(some, earlier) for some, earlier in parts], 1)

    def _look(self, frames: Tensor, before: Tensor) -> Tensor:
        fold = self.config.fold
        both = torch.cat([frames, 4 * (frames - before)], 2)
        folded = rearrange(both, "b t c (h i) (w j) -> (b t) (c i j) h w", i=fold, j=fold)
        grid = self.look(folded)
        pooled = torch.cat([grid.mean((2, 3)), grid.amax((2, 3))], 1)
        return rearrange(pooled, "(b t) d -> b t d", b=len(frames))
