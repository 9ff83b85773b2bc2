"""Noise levels by chunks of time, for block-causal attention: any mixture, or a clean past and a chunk on its way.

A level for each chunk as in diffusion forcing (Chen et al. 2024, 2407.01392); what a live model sees is the second.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from phonofilm.model.chunks import chunk_numbers
from phonofilm.training.mixture.noise import NoiseConfig, latent_times
from phonofilm.training.mixture.stem_noise import StemDraw
from phonofilm.types import Grid, Latents


@dataclass(frozen=True)
class ChunkMixture:
    """How often attention is block-causal, and how noise lies then.

    Attributes:
        share: of batches.
        seconds: length of a chunk.
        live: share of clips with a clean past, one chunk at a level and noise after it; the others have any levels.
        independent: share of clips whose streams have levels of their own.
        given: share of clips of which one stream is given.
    """

    share: float = 0.0
    seconds: float = 0.5
    live: float = 0.5
    independent: float = 0.2
    given: float = 0.3


def draw_chunk_levels(
    config: NoiseConfig, chunks: ChunkMixture, grid: Grid, batch: int, stems: StemDraw, generator: torch.Generator
) -> Latents:
    """Noise levels of a batch: video float32 [B, 1, Tv, 1, 1], audio [B, S, 1, Ta]."""
    of_video, of_audio = (chunk_numbers(times, chunks.seconds) for times in latent_times(grid))
    count = int(max(of_video.max(), of_audio.max())) + 1
    base = config.level(torch.randn(2, batch, count, generator=generator))
    at = torch.randint(count, (batch, 1), generator=generator)
    choice = torch.rand(3, batch, generator=generator)
    order = torch.arange(count)
    live = torch.where(order < at, 0.0, torch.where(order > at, 1.0, base))
    levels = torch.where(choice[0, None, :, None] < chunks.live, live, base)
    video, sound = levels[0], torch.where(choice[1, :, None] < chunks.independent, levels[1], levels[0])
    video = torch.where(choice[2, :, None] < chunks.given / 2, 0.0, video)
    sound = torch.where(choice[2, :, None] > 1 - chunks.given / 2, 0.0, sound)
    audio = sound.expand(len(stems.kept), -1, -1)
    audio = torch.where(stems.kept[..., None], torch.zeros(()), audio)
    return Latents(
        _spread(video, of_video)[:, None, :, None, None], _spread(audio, of_audio).transpose(0, 1)[:, :, None]
    )


def _spread(levels: Tensor, chunks: Tensor) -> Tensor:
    return levels[..., chunks]
