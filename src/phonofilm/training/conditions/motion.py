"""How much the picture changes: 0 is a still."""

from __future__ import annotations

from torch import Tensor

from phonofilm.model.config import ConditionInput
from phonofilm.training.conditions.condition import Condition
from phonofilm.types import Latents


def measure(clean: Latents) -> Tensor | None:
    """[B, 1, 1]: mean absolute difference of a video latent to the one before."""
    if clean.video is None or clean.video.shape[2] < 2:
        return None
    return clean.video.float().diff(dim=2).abs().mean((1, 2, 3, 4))[:, None, None]


MOTION = Condition(ConditionInput("motion", "video", 1, at="modulation"), measure)
