"""What describes a local denoiser."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LocalConfig:
    """A local denoiser.

    Attributes:
        steps: time steps to a token. channels: of the latents. width: of the convolutions. blocks: how many follow.
        told: channels of each latent's place that a network tells it besides; they say nothing at first.
    """

    steps: int
    channels: int
    width: int
    blocks: int
    told: int = 0
