"""Rotary positions in seconds and pixels (Su et al., 2104.09864; axes and frequencies as in LTX-2)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from phonofilm.model.rows import Rows


class Rotary(NamedTuple):
    """Tables that rotate queries or keys: cos and sin, each [N, H, R] for heads of 2·R channels."""

    cos: Tensor
    sin: Tensor

    def at(self, rows: Rows) -> Rotary:
        """Of these tokens."""
        return Rotary(rows.of_places(self.cos), rows.of_places(self.sin))


class Places(NamedTuple):
    """Where the tokens of a stream are, as its layers need it.

    Attributes:
        alone: tables of the self-attention.
        exchange: tables of the time axis alone, for the attention between the streams.
        space: [N, features] of the place in the picture; no features for sound.
        stems: numbers of the stems that the sound has; its N tokens are those of the first stem, then of the next.
        chunks: int64 [N], the chunk of each token where attention is block-causal, or None where all see each other.
        alone_bias: [N, N] to add to the scores of the self-attention, or None.
        exchange_bias: [N, M] or [H, N, M] of the attention to the M tokens of the other stream, or None.
        starts: whether its first tokens are the first of a film, whose first latent stands alone (see `patchify`).
    """

    alone: Rotary
    exchange: Rotary
    space: Tensor
    stems: tuple[int, ...] = (0,)
    chunks: Tensor | None = None
    alone_bias: Tensor | None = None
    exchange_bias: Tensor | None = None
    starts: bool = True


def rotary(
    bounds: np.ndarray,
    extent: tuple[float, ...],
    heads: int,
    head_width: int,
    base: float,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Rotary:
    """Rotation tables of tokens.

    A token lies at the midpoint of its bounds. Each axis has frequencies from pi/extent to base·pi/extent, in
    geometric steps; the frequencies of all axes, slowest first, fill the heads one after the other, and channels
    left over at the start do not turn.

    Args:
        bounds: [N, axes, 2] start and end of each token along each axis.
        extent: per axis, in the unit of the bounds.
        base: ratio of the fastest frequency to the slowest.
    """
    half, axes = heads * head_width // 2, bounds.shape[1]
    count = half // axes
    # float32 from here on is LTX-2's own arithmetic; its frequencies are so high that float64 would not match.
    start, end = torch.from_numpy(np.ascontiguousarray(bounds, dtype=np.float32)).to(device).unbind(-1)
    limits = torch.tensor(extent, dtype=torch.float32, device=device)
    place = (start + end) / 2 / limits * 2 - 1
    exponent = torch.linspace(0, 1, count, dtype=torch.float64)
    frequency = (base**exponent * (math.pi / 2)).to(device=device, dtype=torch.float32)
    angle = (place.unsqueeze(1) * frequency.unsqueeze(1)).flatten(1)
    angle = torch.nn.functional.pad(angle, (half - axes * count, 0)).unflatten(1, (heads, -1))
    return Rotary(angle.cos().to(dtype), angle.sin().to(dtype))


def fourier(bounds: np.ndarray, frequencies: int, device: torch.device | str = "cpu") -> Tensor:
    """Waves with a period of 4096, 2048, ... units at the midpoint of each token: [N, axes·2·frequencies]."""
    place = torch.from_numpy(bounds.mean(-1)).to(device=device, dtype=torch.float32)
    angle = place.unsqueeze(-1) * (2 * math.pi / 4096) * 2.0 ** torch.arange(frequencies, device=device)
    return torch.cat([angle.sin(), angle.cos()], -1).flatten(1)


def rotate(x: Tensor, tables: Rotary) -> Tensor:
    """Turn x [B, N, H, 2R] by its positions: channel r of a head pairs with channel r + R."""
    first, second = x.chunk(2, -1)
    turned = torch.addcmul(first * tables.cos, second, tables.sin, value=-1)
    return torch.cat([turned, torch.addcmul(second * tables.cos, first, tables.sin)], -1)


def rotate_(x: Tensor, tables: Rotary) -> Tensor:
    """The same in place, where x is not needed as it was."""
    cos, sin = tables.cos.to(x.dtype), tables.sin.to(x.dtype)
    first, second = x.chunk(2, -1)
    before = first.clone()
    first.mul_(cos).addcmul_(second, sin, value=-1)
    second.mul_(cos).addcmul_(before, sin)
    return x
