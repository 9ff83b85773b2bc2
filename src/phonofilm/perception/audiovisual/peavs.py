"""PEAVS' network: what viewers would say of a clip's synchrony, from VGGish and I3D features.

Goncalves et al., "PEAVS: perceptual evaluation of audio-visual synchrony grounded in viewers' opinion scores" (2024).
The layout is that of the published final_model.pt. Two oddities are part of what was trained and are kept: a token
whose first feature is exactly 0 gets no position, and the mean over video tokens divides by the number of audio tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phonofilm.perception.common.attention import attend

STACK, RATE = 24, 25
"""Frames of an I3D token, at 25 frames a second: 0.96 s, as long as VGGish's."""


@dataclass(frozen=True)
class PeavsConfig:
    """Widths of the tokens and the encoders."""

    audio: int = 128
    video: int = 1024
    heads: int = 8
    layers: int = 3


class CrossAttention(nn.Module):
    """Attention of one sequence over another, in the layout of torch's multi-head attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        parts = zip((x, other, other), self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3), strict=True)
        q, k, v = (F.linear(part, weight, bias) for part, weight, bias in parts)
        return self.out_proj(attend(q, k, v, self.heads))


class Layer(nn.Module):
    """Pre-norm attention, whose one norm serves both sequences, and feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self_attn = CrossAttention(width, heads)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.layer_norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2)])

    def forward(self, x: Tensor, other: Tensor | None) -> Tensor:
        norm = self.layer_norms[0]
        x = x + self.self_attn(norm(x), norm(x if other is None else other))
        return x + self.fc2(F.relu(self.fc1(self.layer_norms[1](x))))


class Encoder(nn.Module):
    """Layers over one sequence [B, T, D], or of one over another."""

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer(width, heads) for _ in range(layers)])
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        x = placed(x)
        other = None if other is None else placed(other)
        for layer in self.layers:
            x = layer(x, other)
        return self.layer_norm(x)


def placed(x: Tensor) -> Tensor:
    """Tokens [B, T, D] scaled by √D, with sinusoidal positions from 1; none where the first feature is 0."""
    half = x.shape[-1] // 2
    rates = torch.exp(torch.arange(half, device=x.device) * -(math.log(10_000) / (half - 1)))
    angles = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None] * rates
    positions = torch.cat([angles.sin(), angles.cos()], 1)
    return math.sqrt(x.shape[-1]) * x + positions * (x[..., :1] != 0)


I3D_BRANCHES = {"branch_0": "b0", "branch_1.0": "b1a", "branch_1.1": "b1b", "branch_2.0": "b2a", "branch_2.1": "b2b",
                "branch_3.1": "b3b"}  # fmt: skip
"""Names of the Inception blocks' branches in PEAVS' copy of I3D, and in the layout of our port."""


def i3d_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of PEAVS' I3D under the names of the published rgb_imagenet.pt, which our port takes."""
    renamed = {}
    for key, tensor in state.items():
        name = key.replace("batch3d", "bn").replace("conv3d_0c_1x1.conv3d", "logits.conv3d")
        for theirs, ours in I3D_BRANCHES.items():
            name = name.replace(f".{theirs}.", f".{ours}.")
        first, _, rest = name.partition(".")
        renamed[f"{first[:1].upper()}{first[1:]}.{rest}" if first != "logits" else name] = tensor
    return renamed


class Peavs(nn.Module):
    """Audio tokens float [B, Ta, 128] and video tokens [B, Tv, 1024] -> prediction [B], about 0 … 1."""

    ignored: ClassVar[tuple[str, ...]] = tuple(
        f"{name}.{buffer}"
        for name in ("trans_a_mem", "trans_v_mem", "trans_v_with_a", "trans_a_with_v")
        for buffer in ("version", "embed_positions.")
    )

    def __init__(self, config: PeavsConfig | None = None) -> None:
        super().__init__()
        config = config or PeavsConfig()
        width = config.audio
        self.conv_1d_v = nn.Conv1d(config.video, width, 1, bias=False)
        self.trans_a_mem, self.trans_v_mem, self.trans_v_with_a, self.trans_a_with_v = (
            Encoder(width, config.heads, config.layers) for _ in range(4)
        )
        self.proj1, self.proj2 = nn.Linear(2 * width, width), nn.Linear(width, width // 2)
        self.proj3, self.out_layer = nn.Linear(width // 2, width // 2), nn.Linear(width // 2, 1)

    def forward(self, audio: Tensor, video: Tensor) -> Tensor:
        seen = self.conv_1d_v(video.mT).mT
        by_sound = self.trans_a_mem(self.trans_a_with_v(audio, seen)).mean(1)
        by_sight = self.trans_v_mem(self.trans_v_with_a(seen, audio)).sum(1) / audio.shape[1]
        x = torch.cat([by_sound, by_sight], 1)
        for layer in (self.proj1, self.proj2, self.proj3):
            x = F.relu(layer(x))
        return self.out_layer(x)[:, 0]

    def score(self, audio: Tensor, video: Tensor) -> Tensor:
        """Opinion [B] on the five-point scale: clamp(4p + 1, 1, 5)."""
        return (4 * self(audio, video) + 1).clamp(1, 5)
