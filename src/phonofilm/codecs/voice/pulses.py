"""A train of pulses at a pitch that glides: all overtones up to a limit, equally loud and in phase."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor


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
