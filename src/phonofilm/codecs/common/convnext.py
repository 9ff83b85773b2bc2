"""Causal ConvNeXt blocks over time, shared by the audio VAE and the vocoder (Liu et al. 2022; Vocos, Siuzdak 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn

from phonofilm.codecs.common.causal import CausalConv1d

Pasts = tuple[Tensor, ...]


class ConvNeXtBlock(nn.Module):
    """Depthwise causal convolution, norm, pointwise MLP, residual: x [B, C, T], past -> (y [B, C, T], past)."""

    def __init__(self, channels: int, kernel: int, expansion: int) -> None:
        super().__init__()
        self.depthwise = CausalConv1d(channels, channels, kernel, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, channels * expansion)
        self.narrow = nn.Linear(channels * expansion, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, past = self.depthwise(x, past)
        y = self.norm(rearrange(y, "b c t -> b t c"))
        y = self.narrow(nn.functional.gelu(self.widen(y))) * self.scale
        return x + rearrange(y, "b t c -> b c t"), past


class CausalStack(nn.ModuleList):
    """Causal layers one after the other; their memories travel as one tuple."""

    def forward(self, x: Tensor, pasts: Pasts | None = None) -> tuple[Tensor, Pasts]:
        before: Sequence[Tensor | None] = pasts or [None] * len(self)
        kept = []
        for layer, past in zip(self, before, strict=True):
            x, past = layer(x, past)
            kept.append(past)
        return x, tuple(kept)
