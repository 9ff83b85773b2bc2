"""Time steps in groups, of which the first latent of a film fills one alone."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def filled_up(x: Tensor, step: int, starts: bool = True) -> Tensor:
    """x [B, C, T, H, W] with zeros before its first time step, so that this one fills a patch of `step` alone.

    What does not start a film is whole patches, and stays as it is.
    """
    return F.pad(x, (0, 0, 0, 0, step - 1, 0)) if starts and step > 1 else x
