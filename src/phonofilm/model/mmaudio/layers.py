"""The parts of MMAudio's network, named as its published weights name them. Tokens are [B, N, D] throughout."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

MULTIPLE = 256
"""Hidden widths of gated feed-forwards are rounded up to this."""


class TimeConv(nn.Conv1d):
    """A convolution along the tokens that keeps their number."""

    def __init__(self, width: int, out: int, kernel: int, bias: bool = True) -> None:
        super().__init__(width, out, kernel, padding=kernel // 2, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mT).mT


class Gated(nn.Module):
    """w2(silu(w1 x) · w3 x), with linear layers, or convolutions along the tokens (SwiGLU, 2002.05202)."""

    def __init__(self, width: int, hidden: int, kernel: int = 1) -> None:
        super().__init__()
        inner = MULTIPLE * -(-(2 * hidden // 3) // MULTIPLE)

        def layer(a: int, b: int) -> nn.Module:
            return nn.Linear(a, b, bias=False) if kernel == 1 else TimeConv(a, b, kernel, bias=False)

        self.w1, self.w2, self.w3 = layer(width, inner), layer(inner, width), layer(width, inner)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.w2(F.silu(self.w1(x)) * self.w3(x))
        return made


class TimeEmbedding(nn.Module):
    """Times [B] in [0, 1] to vectors [B, D]: waves, then two linear layers.

    Args:
        features: how many waves, twice. period: the published `max_period`, 10,000 over which scales their frequency.
    """

    def __init__(self, width: int, features: int, period: float) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))
        self.features, self.period = features, period

    def forward(self, time: Tensor) -> Tensor:
        exponent = torch.arange(0, self.features, 2, dtype=torch.float32, device=time.device) / self.features
        frequencies = 10_000 / self.period * (1.0 / 10_000**exponent)
        exact = torch.promote_types(time.dtype, torch.float32)
        angle = time[:, None].to(exact) * frequencies.to(exact)
        waves = torch.cat([angle.cos(), angle.sin()], -1)
        made: Tensor = self.mlp(waves.to(time.dtype))
        return made


def turns(length: int, width: int, scale: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines [N, width / 2] of rotary positions 0 to N - 1; `scale` brings another rate to the sound's."""
    frequencies = 1.0 / 10_000 ** (torch.arange(0, width, 2, dtype=torch.float32, device=like.device) / width)
    angle = torch.arange(length, dtype=torch.float32, device=like.device)[:, None] * (frequencies * scale)
    return angle.cos().to(like.dtype), angle.sin().to(like.dtype)


def turned(x: Tensor, by: tuple[Tensor, Tensor] | None) -> Tensor:
    """Neighbouring channels of [B, H, N, d], two by two, turned by their position."""
    if by is None:
        return x
    cosine, sine = by
    even, odd = x[..., ::2], x[..., 1::2]
    return torch.stack([cosine * even - sine * odd, sine * even + cosine * odd], -1).flatten(-2)


class SelfAttention(nn.Module):
    """Queries, keys and values [B, H, N, d] of tokens, normalised by head; who attends to whom is decided outside."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm, self.k_norm = nn.RMSNorm(width // heads), nn.RMSNorm(width // heads)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = rearrange(self.qkv(x), "b n (h d j) -> j b h n d", h=self.heads, j=3)
        return turned(self.q_norm(query), rotation), turned(self.k_norm(key), rotation), value


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """[B, H, N, d] to [B, N, H·d]."""
    return rearrange(F.scaled_dot_product_attention(query, key, value), "b h n d -> b n (h d)")


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale) + shift


class Prepared(NamedTuple):
    """What a block has ready before attention: queries, keys, values, and what modulates what comes after."""

    query: Tensor
    key: Tensor
    value: Tensor
    rest: tuple[Tensor, ...]


class StreamBlock(nn.Module):
    """One stream's part of a block: before attention, and after it.

    Args:
        kernel: of the convolutions after attention; 1 is linear layers.
        last: it only gives keys and values to others, and its stream ends here.
    """

    def __init__(self, width: int, heads: int, kernel: int, last: bool = False) -> None:
        super().__init__()
        self.last = last
        self.attn = SelfAttention(width, heads)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, (2 if last else 6) * width))
        if not last:
            self.linear1 = nn.Linear(width, width) if kernel == 1 else TimeConv(width, width, kernel)
            self.ffn = Gated(width, 4 * width, kernel)

    def prepare(self, x: Tensor, condition: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Prepared:
        """Args: condition: [B, N or 1, D]."""
        shift, scale, *rest = self.adaLN_modulation(condition).chunk(2 if self.last else 6, -1)
        normed = modulated(F.layer_norm(x, x.shape[-1:]), shift, scale)
        query, key, value = self.attn(normed, rotation)
        return Prepared(query, key, value, tuple(rest))

    def finish(self, x: Tensor, attended: Tensor, rest: tuple[Tensor, ...]) -> Tensor:
        if self.last:
            return x
        gate, shift, scale, gate_after = rest
        x = x + self.linear1(attended) * gate
        made: Tensor = x + self.ffn(modulated(F.layer_norm(x, x.shape[-1:]), shift, scale)) * gate_after
        return made

    def forward(self, x: Tensor, condition: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
        """The stream alone."""
        ready = self.prepare(x, condition, rotation)
        return self.finish(x, attend(ready.query, ready.key, ready.value), ready.rest)


class JointBlock(nn.Module):
    """Sound, pictures and text attend to one another as one sequence, each with weights of its own (MM-DiT)."""

    def __init__(self, width: int, heads: int, last: bool) -> None:
        super().__init__()
        self.latent_block = StreamBlock(width, heads, 3)
        self.clip_block = StreamBlock(width, heads, 3, last)
        self.text_block = StreamBlock(width, heads, 1, last)

    def forward(
        self, streams: tuple[Tensor, Tensor, Tensor], conditions: tuple[Tensor, Tensor, Tensor],
        rotations: tuple[tuple[Tensor, Tensor] | None, ...],
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """Sound, pictures and text, each with what modulates it and its rotation, to the same."""
        blocks = (self.latent_block, self.clip_block, self.text_block)
        ready = [b.prepare(x, c, r) for b, x, c, r in zip(blocks, streams, conditions, rotations, strict=True)]
        query, key, value = (torch.cat([one[part] for one in ready], 2) for part in range(3))  # type: ignore[misc]
        parts = attend(query, key, value).split([x.shape[1] for x in streams], 1)
        made = [b.finish(x, p, r.rest) for b, x, p, r in zip(blocks, streams, parts, ready, strict=True)]
        return made[0], made[1], made[2]


class FinalBlock(nn.Module):
    """Tokens to latents."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.conv = TimeConv(width, out, 7)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(condition).chunk(2, -1)
        made: Tensor = self.conv(modulated(F.layer_norm(x, x.shape[-1:]), shift, scale))
        return made
