"""A train of pulses at a pitch that glides, all overtones equally loud and in phase; and how it begins."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

HELD = 0.0625
"""s for which an envelope stays up after a peak: it shapes attacks, and not what follows."""
QUIET = 1e-6


class PulseState(NamedTuple):
    """Where a train has arrived: phase in cycles and pitch in Hz, both [B]."""

    phase: Tensor
    hertz: Tensor


def pulse_train(
    hertz: Tensor, hop: int, sample_rate: int, top: float, state: PulseState | None = None
) -> tuple[Tensor, PulseState]:
    """Pulses of power 1/2 [B, T·hop] whose pitch at the end of each hop is `hertz` [B, T].

    The phase is accumulated in the dtype of `hertz`, and overtones are summed in closed form (the Dirichlet kernel);
    the one that passes `top` fades in and out.
    """
    before = hertz[:, :1] if state is None else state.hertz[:, None]
    before = torch.cat([before, hertz[:, :-1]], dim=1)
    way = torch.arange(1, hop + 1, device=hertz.device, dtype=hertz.dtype) / hop
    along = rearrange(before[..., None] + (hertz - before)[..., None] * way, "b t n -> b (t n)")
    start = torch.zeros_like(along[:, :1]) if state is None else state.phase[:, None]
    phase = (start + (along / sample_rate).cumsum(1)) % 1.0
    count = (top / along).clamp_min(1.0)
    whole = count.floor()
    half = math.pi * phase
    sine = half.sin()
    inside = torch.where(sine.abs() < 1e-6, whole, ((2 * whole + 1) * half).sin() / (2 * sine + 1e-12) - 0.5)
    inside = inside + (count - whole) * (2 * (whole + 1) * half).cos()
    return (inside / count.sqrt()).float(), PulseState(phase[:, -1], hertz[:, -1])


def envelope(loudness: Tensor, step: int, sample_rate: int, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """How a train rises with the sound, [B, T·step], from the loudness [B, T] of every `step` samples; and its memory.

    The square root, and held for a while: with all of the loudness in it speech is rough, with none of it words begin
    as much too early as the mel's window is long.
    """
    count = round(HELD * sample_rate / step)
    if past is None:
        past = loudness.new_zeros(len(loudness), count)
    joined = torch.cat([past, loudness], dim=1)
    held = F.max_pool1d(joined[:, None], count, 1)[:, 0]
    before, after = held[:, :-1, None], held[:, 1:, None]
    way = torch.arange(1, step + 1, device=held.device, dtype=held.dtype) / step
    return rearrange((before + (after - before) * way + QUIET).sqrt(), "b t n -> b (t n)"), joined[:, -count:].clone()
