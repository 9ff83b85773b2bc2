"""What the modules that look at a film see of it: the picture's part of the sync network that ships."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from phonofilm.perception.audiovisual.syncnet import SyncNet, prepare_frames

WIDTH = 128
"""Channels of the features."""
MOMENTS = 8
"""Vectors by which a film is told as a whole."""


@torch.no_grad()
def by_moment(network: SyncNet, frames: np.ndarray | Tensor, fps: Fraction) -> Tensor:
    """Frames uint8 [T, H, W, 3] to float32 [1, t, 128] at 25 a second; as many unit vectors as the network has heads.

    Raises:
        ValueError: another network, whose features are wider or narrower.
    """
    if (width := network.config.heads * network.config.dim) != WIDTH:
        raise ValueError(f"the features have {width} channels, not {WIDTH}")
    device = next(network.parameters()).device
    seen = network.vision(prepare_frames(frames, float(fps), network.config.size)[None].to(device))
    units = F.normalize(seen.unflatten(2, (network.config.heads, -1)), dim=-1)
    return units.flatten(2).float() * network.config.dim**0.5


def as_a_whole(features: Tensor) -> Tensor:
    """[1, t, C] to [1, 8, C]: means over eighths of the film."""
    return F.adaptive_avg_pool1d(features.transpose(1, 2), MOMENTS).transpose(1, 2)
