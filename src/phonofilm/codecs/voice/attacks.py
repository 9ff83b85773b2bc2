"""When sounds begin: a window of the mel is six hops long, and what is made in it would begin as much too early."""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

HELD = 0.026
"""s for which an envelope stays up after a peak: it shapes attacks, and not what follows."""
SHAPE = 0.75
"""Power of the loudness in an envelope: with all of it speech is rough."""
QUIET = 1e-6
MOST = 2.0
"""A sound may be so many times as loud as the bank."""


def envelope(loudness: Tensor, step: int, sample_rate: int, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """How pulses rise with the sound, [B, T·step], from the loudness [B, T] of every `step` samples; and its memory."""
    count = round(HELD * sample_rate / step)
    if past is None:
        past = loudness.new_zeros(len(loudness), count)
    joined = torch.cat([past, loudness], dim=1)
    held = F.max_pool1d(joined[:, None], count, 1)[:, 0]
    return (_ramps(held, step) + QUIET) ** SHAPE, joined[:, -count:].clone()


class LimitState(NamedTuple):
    """Loudness of what is still to come, from one update before it, and the last gain [B, 1]."""

    due: Tensor
    gain: Tensor


def limited(sound: Tensor, loudness: Tensor, step: int, state: LimitState | None = None) -> tuple[Tensor, LimitState]:
    """Turn down [B, C, S·step] where it is much louder than it should be: before an attack.

    Args:
        loudness: of further updates of `step` samples, [B, T]; it must be known one update after the end of `sound`.
    """
    if state is None:
        state = LimitState(loudness.new_zeros(len(loudness), 1), loudness.new_ones(len(loudness), 1))
    due, updates = torch.cat([state.due, loudness], dim=1), sound.shape[-1] // step
    if not updates:
        return sound, LimitState(due, state.gain)
    level = rearrange(sound, "b c (t n) -> b t c n", n=step).square().mean(dim=(2, 3)).sqrt()
    allowed = F.max_pool1d(due[:, None, : updates + 2], 3, 1)[:, 0]
    gains = torch.cat([state.gain, (MOST * allowed / (level + QUIET)).clamp_max(1.0)], dim=1)
    return sound * _ramps(gains, step)[:, None], LimitState(due[:, updates:].clone(), gains[:, -1:].clone())


def _ramps(values: Tensor, step: int) -> Tensor:
    """[B, T + 1] -> [B, T·step]: from each value to the next in a straight line."""
    before, after = values[:, :-1, None], values[:, 1:, None]
    way = torch.arange(1, step + 1, device=values.device, dtype=values.dtype) / step
    return rearrange(before + (after - before) * way, "b t n -> b (t n)")
