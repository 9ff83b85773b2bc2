"""How much of what a device can do a run uses (MFU, Chowdhery et al., 2204.02311)."""

from __future__ import annotations

import torch

from phonofilm.training.planning.devices import of_torch
from phonofilm.training.planning.paper import flops_of_clip
from phonofilm.training.tasks.base import Task


class Usage:
    """Turns clips a second into operations a second, where it is known what a clip takes and what the device can do."""

    def __init__(self, task: Task, device: torch.device, processes: int) -> None:
        known = task.recipe.run.peak_tflops
        peak = known or (of_torch(device).tflops if device.type == "cuda" else None)
        flops = flops_of_clip(task, device) if peak else None
        self.flops, self.peak = flops, None if not peak else peak * 1e12 * processes

    def of(self, clips_per_second: float) -> dict[str, float]:
        """Operations in 1e12 a second over all processes, forward and backward, and the share of the peak."""
        if not self.flops or not self.peak:
            return {}
        done = self.flops * clips_per_second
        return {"tflops": done / 1e12, "mfu": done / self.peak}
