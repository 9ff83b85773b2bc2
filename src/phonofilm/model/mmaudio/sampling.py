"""MMAudio's sampler: Euler's steps along the flow from noise to data, with classifier-free guidance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from phonofilm.model.mmaudio.network import MMAudio, Told

STEPS, GUIDANCE = 25, 4.5
"""What it was published with."""


def sample(
    network: MMAudio,
    noise: Tensor,
    told: Told,
    away: Told,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
    step: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Noise [B, N, C] to normalised latents.

    Args:
        away: what to steer away from, for one clip or for each; a guidance of 1 is none, as below it.
        step: told of each step before it is done, and of the end.
    """
    both = guidance > 1
    batch = len(noise)
    conditions = _joined(told, away, batch) if both else told
    times = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    x = noise
    for number in range(steps):
        if step is not None:
            step(number, steps)
        time = times[number].to(x).expand(2 * batch if both else batch)
        flow = network(x.repeat(2, 1, 1) if both else x, time, conditions)
        if both:
            flow = guidance * flow[:batch] + (1 - guidance) * flow[batch:]
        x = x + float(times[number + 1] - times[number]) * flow
    if step is not None:
        step(steps, steps)
    return x


def _joined(told: Told, away: Told, batch: int) -> Told:
    """Both as one batch."""
    pairs = zip(told, away, strict=True)
    return Told(*(torch.cat([one, other.expand(batch, *other.shape[1:])]) for one, other in pairs))
