"""Small networks and their inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from phonofilm.model import PRESETS, AVTransformer, TransformerConfig
from phonofilm.types import Grid, Latents, Positions, Text


@dataclass
class Inputs:
    """One batch for a model of nano's geometry, on a grid of 1 s."""

    latents: Latents
    sigma: Latents
    text: Text
    positions: Positions

    def __iter__(self):
        return iter((self.latents, self.sigma, self.text, self.positions))


def shaken(module: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter moved off its initial value, so that no zero or one hides a mistake."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return module.eval()


@pytest.fixture
def tiny() -> TransformerConfig:
    """Nano's choices, four layers for picture and two for sound."""
    nano = PRESETS["nano"]
    return replace(
        nano,
        video=replace(nano.video, width=48, heads=2, text_heads=1, layers=4, text_width=24),
        audio=replace(nano.audio, width=32, heads=2, text_heads=1, layers=2, text_width=24),
        exchange_head_width=12,
    )


@pytest.fixture
def build() -> Callable[[TransformerConfig], AVTransformer]:
    return lambda config: shaken(AVTransformer(config))


@pytest.fixture
def shake() -> Callable[[nn.Module], nn.Module]:
    return shaken


@pytest.fixture
def draw() -> Callable[..., Inputs]:
    def one(batch: int = 2, text_width: int = 24, seed: int = 1) -> Inputs:
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator)

        grid = Grid.of(1)
        steps, audio = grid.video_shape[0], grid.audio_length
        latents = Latents(normal(batch, 8, *grid.video_shape), normal(batch, 1, 64, audio))
        sigma = Latents(
            torch.rand((batch, 1, steps, 1, 1), generator=generator),
            torch.rand((batch, 1, 1, audio), generator=generator),
        )
        mask = torch.ones(batch, 5, dtype=torch.bool)
        mask[-1, 3:] = False
        return Inputs(latents, sigma, Text(normal(batch, 5, text_width), mask), grid.positions())

    return one
