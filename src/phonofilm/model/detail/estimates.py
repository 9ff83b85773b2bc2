"""Linear estimates of what is clean, from noisy latents alone."""

from __future__ import annotations

import torch
from torch import Tensor

MOVING = 0.3
"""Share of a latent's variance that changes within a clip of Foley World, whose pictures mostly stand still."""


def alone(noisy: Tensor, sigma: Tensor) -> Tensor:
    """The best linear estimate of latents of unit variance from (1 - sigma)·latent + sigma·noise, each by itself."""
    keep = 1 - sigma
    return keep / (sigma.square() + keep.square()) * noisy


def standing_still(noisy: Tensor, sigma: Tensor, chunks: Tensor | None = None) -> Tensor:
    """The best linear estimate of what is the same in all time steps of noisy latents [B, C, T, H, W].

    What moves is noise to it, and so is what the noise level adds: each time step counts by how little of both it has.

    Args:
        sigma: noise levels that broadcast to [B, 1, T, H, W].
        chunks: int64 [T], the chunk of each time step where none may see another's; None where all see all.
    """
    keep = (1 - sigma).expand(-1, -1, noisy.shape[2], -1, -1)
    weight = keep / (sigma.square() + MOVING * keep.square())
    found, precision = _summed(weight * noisy, chunks), _summed(weight * keep, chunks)
    return (found / (precision + 1 / (1 - MOVING))).expand_as(noisy)


def _summed(x: Tensor, chunks: Tensor | None) -> Tensor:
    """Sums over all time steps, or over those of each one's chunk."""
    if chunks is None:
        return x.sum(2, keepdim=True)
    _, number = chunks.unique(return_inverse=True)
    return torch.zeros_like(x).index_add_(2, number, x).index_select(2, number)
