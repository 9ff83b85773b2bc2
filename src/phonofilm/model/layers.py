"""The small parts: normalisation, modulation by noise level, feed-forward, embeddings."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from phonofilm.model.moe.config import ExpertsConfig
from phonofilm.model.moe.layer import RoutedExperts

WHOLE = ExpertsConfig()
"""A feed-forward without experts."""


class Norm(nn.Module):
    """RMS or layer normalisation over the last axis, with a learned scale or none."""

    def __init__(self, width: int, kind: Literal["rms", "layer"], eps: float, affine: bool = False) -> None:
        super().__init__()
        self.shape, self.kind, self.eps = (width,), kind, eps
        self.weight = nn.Parameter(torch.ones(width)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        # A weight of another dtype than x would switch the fused kernels off.
        weight = None if self.weight is None else self.weight.to(x.dtype)
        if self.kind == "layer":
            return F.layer_norm(x, self.shape, weight, None, self.eps)
        if x.device.type != "cpu":
            return F.rms_norm(x, self.shape, weight, self.eps)
        # On a CPU torch composes this of float32 passes over all of x; a norm per row needs none.
        exact = torch.promote_types(x.dtype, torch.float32)
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=exact)
        x = x * (length.square() / self.shape[0] + self.eps).rsqrt().to(x.dtype)
        return x if weight is None else x * weight


def modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """x·(1 + scale) + shift, where tokens that share a noise level share a row of scale and shift.

    Args:
        x: [B, N, D].
        scale, shift: [B, S, D], where S divides N: row s holds for tokens s·N/S to (s + 1)·N/S.
    """
    grouped = rearrange(x, "b (s n) d -> b s n d", s=scale.shape[1])
    return torch.addcmul(shift.unsqueeze(2), grouped, 1 + scale.unsqueeze(2)).view_as(x)


class FeedForward(nn.Module):
    """Two linear layers around a GELU; with experts these are the shared one's, and what the others say is added."""

    def __init__(
        self,
        width: int,
        hidden: int,
        activation: Literal["gelu_tanh", "gelu"],
        bias: bool,
        experts: ExpertsConfig = WHOLE,
    ) -> None:
        super().__init__()
        shared, units = experts.units(hidden) if experts.count else (hidden, 0)
        self.up = nn.Linear(width, shared, bias=bias)
        self.down = nn.Linear(shared, width, bias=bias)
        self.experts = RoutedExperts(experts, width, units, activation, bias) if experts.count else None
        self.approximate = "tanh" if activation == "gelu_tanh" else "none"

    def start_as_zero(self) -> None:
        """Say nothing of any token at first."""
        nn.init.zeros_(self.down.weight)
        if self.experts is not None:
            nn.init.zeros_(self.experts.down)

    def forward(self, x: Tensor) -> Tensor:
        made = self._of_all(x)
        return made if self.experts is None else made + self.experts(x)

    def _of_all(self, x: Tensor) -> Tensor:
        hidden = self.up(x)
        if torch.is_grad_enabled():
            return self.down(F.gelu(hidden, approximate=self.approximate))
        # The widest tensor of a block: without a gradient to keep it for, it is overwritten.
        return self.down(torch.ops.aten.gelu_(hidden, approximate=self.approximate))


class TextProjection(nn.Module):
    """Text states [B, L, C] to the width of a stream [B, L, D]."""

    def __init__(self, text_width: int, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(text_width, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, states: Tensor) -> Tensor:
        return self.linear_2(F.gelu(self.linear_1(states), approximate="tanh"))


class NoiseEmbedder(nn.Module):
    """Noise levels in [0, 1] to vectors: a sinusoid of 1000·sigma and two linear layers (as DiT, 2212.09748)."""

    features = 256

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(self.features, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, sigma: Tensor) -> Tensor:
        """sigma: [B, S] to [B, S, D] in the dtype of the weights; the sinusoid itself is float32."""
        half = self.features // 2
        exponent = torch.arange(half, device=sigma.device, dtype=torch.float32) / half
        angle = (1000 * sigma.float()).unsqueeze(-1) * torch.exp(-math.log(10_000) * exponent)
        waves = torch.cat([angle.cos(), angle.sin()], -1).to(self.linear_1.weight.dtype)
        return self.linear_2(F.silu(self.linear_1(waves)))


class AdaLN(nn.Module):
    """An embedded noise level [B, S, D] to `count` modulation vectors [B, S, count, D] (PixArt-alpha, 2310.00426).

    One linear layer serves all blocks; each block adds its own learned table to the result.
    """

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.linear = nn.Linear(width, count * width)

    def forward(self, embedded: Tensor) -> Tensor:
        return rearrange(self.linear(F.silu(embedded)), "b s (n d) -> b s n d", n=self.count)
