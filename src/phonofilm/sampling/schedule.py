"""Which noise levels a sampler visits, and the noise it starts from."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor


def flow_sigmas(steps: int, shift: float = 1.0, terminal: float | None = None) -> Tensor:
    """Noise levels float64 [steps + 1] from 1 to 0, evenly spaced in flow time and then shifted.

    Args:
        shift: more than 1 spends more steps near pure noise, where structure is decided
            (Esser et al. 2024, eq. 23: s·sigma / (1 + (s - 1)·sigma)).
        terminal: stretch the levels so that the last one before 0 is this (LTX-Video).

    Raises:
        ValueError: no steps, or a shift that is not positive.
    """
    if steps < 1:
        raise ValueError(f"a sampler needs at least 1 step, not {steps}")
    if shift <= 0:
        raise ValueError(f"a schedule's shift must be positive, not {shift}")
    even = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    sigmas = shift * even / (1 + (shift - 1) * even)
    if terminal is not None and steps > 1:
        stretched = 1 - (1 - sigmas[:-1]) * ((1 - terminal) / (1 - sigmas[-2]))
        sigmas = torch.cat([stretched, sigmas[-1:]])
    return sigmas


def token_shift(
    tokens: int, low: tuple[int, float] = (1024, 0.95), high: tuple[int, float] = (4096, 2.05)
) -> float:  # fmt: skip
    """The shift for a number of tokens: its logarithm is linear between (tokens, log shift) points.

    More tokens hold more redundancy, and need more noise before they lose their structure. The
    defaults are LTX-Video's; Flux has (256, 0.5) and (4096, 1.15).
    """
    slope = (high[1] - low[1]) / (high[0] - low[0])
    return math.exp(low[1] + slope * (tokens - low[0]))


def draw_noise(shape: Sequence[int], seeds: Sequence[int], stream: str) -> Tensor:
    """Standard normal noise float32 [len(seeds), *shape] on the CPU: the same on every machine and device.

    Each clip of a batch has its own seed, so it does not depend on its neighbours. The name of the
    stream is part of the seed: picture and sound of one clip may share a number and still have
    independent noise.
    """
    return torch.stack([torch.randn(tuple(shape), generator=_generator(seed, stream)) for seed in seeds])


def _generator(seed: int, stream: str) -> torch.Generator:
    digest = hashlib.sha256(f"{stream}:{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
