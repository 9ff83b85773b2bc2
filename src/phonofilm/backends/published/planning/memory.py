"""How much memory there is, and where the components of a model may wait in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from phonofilm.choices import Offload

HEADROOM = 0.9
"""Of what is free, so much is planned with."""

DECODE_FACTOR = 1.15
"""Convolutions lay out their input anew, which no count of tensors sees."""


def available(device: torch.device) -> float:
    """Free bytes on a device; infinite where that cannot be known."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return float(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return _main_memory()


def _main_memory() -> float:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
        limit = Path("/sys/fs/cgroup/memory.max")
        if limit.is_file() and (text := limit.read_text(encoding="ascii").strip()).isdigit():
            used = float(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
            free = min(free, float(text) - used)
    except (OSError, StopIteration, ValueError):
        return math.inf
    return free


def pick_offload(sizes: Sequence[int], device: torch.device) -> Offload:
    """The first way of working whose weights fit (`sizes`: bytes of each component), leaving a quarter of the memory to
    the work itself.
    """
    room = 0.75 * available(device)
    if sum(sizes) <= room:
        return "none"
    if device.type == "cpu":
        return "disk"
    enough = sum(sizes) <= 0.9 * available(torch.device("cpu"))
    if max(sizes) <= room:
        return "model" if enough else "disk"
    return "sequential"
