"""An exponential moving average of the weights: what is validated and what ships."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn


class EMA:
    """A float32 twin of a module whose weights follow it slowly."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = deepcopy(module).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move towards `module` after optimiser step `step` (from 0); early steps are forgotten faster."""
        decay = min(self.decay, (1 + step) / (10 + step))
        mine, theirs = ([p.detach() for p in part.parameters()] for part in (self.module, module))
        torch._foreach_lerp_(mine, theirs, 1 - decay)
        for buffer, source in zip(self.module.buffers(), module.buffers(), strict=True):
            buffer.copy_(source)
