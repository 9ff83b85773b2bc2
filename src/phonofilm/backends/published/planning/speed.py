"""How fast this machine is, from a second of work like the real one, and how large this process is already."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from phonofilm.backends.published.planning.footprint import Cost

BUDGET = 0.25
"""Seconds for each of the two probes."""


class Speed:
    """Floating-point operations a second in linear layers and in convolutions, each in its stored dtype."""

    def __init__(self, linear: torch.dtype, convolution: torch.dtype, device: torch.device) -> None:
        self.linear = _rate(_linear(linear, device), device)
        self.convolution = _rate(_convolution(convolution, device), device)

    def seconds(self, cost: Cost, convolved: bool = False) -> float:
        """Expected time of some work."""
        return cost.flops / (self.convolution if convolved else self.linear)


def resident() -> int:
    """Bytes of main memory that this process holds now; 0 where that cannot be known."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _rate(work: tuple[Callable[[], Any], int], device: torch.device) -> float:
    run, flops = work
    run()  # the first time also chooses kernels
    started, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - started) < BUDGET:
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        done += 1
    return done * flops / spent


def _linear(dtype: torch.dtype, device: torch.device, tokens: int = 512, width: int = 1024) -> Any:
    """A feed-forward layer with what surrounds it in a block."""
    x = torch.randn(tokens, width, device=device, dtype=dtype)
    up = torch.randn(width, 4 * width, device=device, dtype=dtype) / width**0.5
    down = torch.randn(4 * width, width, device=device, dtype=dtype) / (2 * width**0.5)

    def run() -> torch.Tensor:
        normed = torch.nn.functional.rms_norm(x, (width,))
        return x + torch.nn.functional.gelu(normed @ up, approximate="tanh") @ down

    return run, 2 * 2 * tokens * width * 4 * width


def _convolution(dtype: torch.dtype, device: torch.device, channels: int = 64, side: int = 24, frames: int = 6) -> Any:
    x = torch.randn(1, channels, frames, side, side, device=device, dtype=dtype)
    weight = torch.randn(channels, channels, 3, 3, 3, device=device, dtype=dtype) / 40

    def run() -> torch.Tensor:
        return torch.nn.functional.silu(torch.nn.functional.conv3d(x, weight, padding=1))

    return run, 2 * 27 * channels * channels * frames * side * side
