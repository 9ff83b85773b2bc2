"""Which positions carry how much noise in training: the mixture of tasks that one set of weights learns.

Every sample draws twice: how the levels of its two streams relate (joint, independent, one given, one
absent), and how they lie along time (whole, first frame given, past given, a gap, a block on its way).
Each task of the sampler is one cell of that table, and the cells in between come for free.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from phonofilm.errors import PhonofilmError
from phonofilm.training.mixture.stem_noise import StemDraw, StemMixture
from phonofilm.types import Grid, Latents


@dataclass(frozen=True)
class StreamMixture:
    """Weights of how the two streams' noise levels relate; given means level 0, absent means pure noise."""

    joint: float = 0.4
    independent: float = 0.15
    video_given: float = 0.2
    audio_given: float = 0.15
    video_absent: float = 0.05
    audio_absent: float = 0.05


@dataclass(frozen=True)
class TimeMixture:
    """Weights of how noise lies along time.

    Attributes:
        whole: everywhere (but in streams that are given).
        first_frame: the first video latent is clean (picture to film).
        past: all is clean up to a moment (extend).
        gap: only what lies between two moments is noisy (retake).
        block: clean past, a noisy block, and a future that is pure noise (streaming).
    """

    whole: float = 0.6
    first_frame: float = 0.14
    past: float = 0.1
    gap: float = 0.08
    block: float = 0.08


@dataclass(frozen=True)
class NoiseConfig:
    """Levels are sigmoid(N(mean, std)): high ones, where it is decided what happens and when.

    Attributes:
        levels: between which noise levels samples are drawn: an expert by noise level learns its own alone. The
            streams and times whose noise is pure, or of many levels, do not fit an expert for low noise.
        drop_text: share of samples whose prompt is replaced by the empty one, for guidance.
        isolate: share of samples whose streams do not see each other, for modality guidance.
        block: shortest and longest block in seconds.
        stems: of a sound that has some.
        without_video, without_audio: shares of batches in which a stream has no tokens.
    """

    mean: float = 1.0
    std: float = 1.2
    streams: StreamMixture = StreamMixture()
    times: TimeMixture = TimeMixture()
    drop_text: float = 0.1
    isolate: float = 0.05
    block: tuple[float, float] = (0.3, 1.2)
    stems: StemMixture = field(default_factory=StemMixture)
    without_video: float = 0.0
    without_audio: float = 0.0
    levels: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if not 0 <= self.levels[0] < self.levels[1] <= 1:
            raise PhonofilmError(f"noise.levels = {list(self.levels)} is not possible; they rise from 0 to 1")
        if self.levels[1] < 1 and (wrong := self._beyond()):
            raise PhonofilmError(
                f"an expert for noise levels up to {self.levels[1]:g} sees no pure noise; set {wrong[0]} = 0"
            )

    def _beyond(self) -> list[str]:
        """What is pure noise, by the settings that draw it."""
        absent = [f"noise.streams.{name}" for name in ("video_absent", "audio_absent") if getattr(self.streams, name)]
        return absent + ["noise.times.block"] * bool(self.times.block)

    def level(self, normal: Tensor) -> Tensor:
        """Noise levels of standard normal numbers."""
        if self.levels == (0.0, 1.0):
            return torch.sigmoid(self.mean + self.std * normal)
        ends = [
            (math.log(at / (1 - at)) - self.mean) / self.std if 0 < at < 1 else math.inf * (2 * at - 1)
            for at in self.levels
        ]
        low, high = (float(torch.special.ndtr(torch.tensor(end, dtype=torch.float64))) for end in ends)
        share = torch.special.ndtr(normal.double())
        drawn = torch.sigmoid(self.mean + self.std * torch.special.ndtri(low + (high - low) * share)).float()
        return drawn.clamp(*self.levels)


STREAMS = ("joint", "independent", "video_given", "audio_given", "video_absent", "audio_absent")
TIMES = ("whole", "first_frame", "past", "gap", "block")


def latent_times(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Start and end in seconds of each video latent [Tv, 2] (those of its row of tokens) and audio latent [Ta, 2]."""
    patch = grid.geometry.patch[0]
    return np.repeat(grid.video_times(), patch, axis=0)[patch - 1 :], grid.audio_times()


def draw_levels(
    config: NoiseConfig, grid: Grid, batch: int, generator: torch.Generator, stems: StemDraw | None = None
) -> Latents:
    """Noise levels of a batch: video float32 [B, 1, Tv, 1, 1], audio [B, S, 1, Ta]; each sample has some above 0."""
    mode = _choose([getattr(config.streams, name) for name in STREAMS], batch, generator)
    way = _choose([getattr(config.times, name) for name in TIMES], batch, generator)
    base = config.level(torch.randn(2, batch, generator=generator))
    video, audio = base[0], torch.where(mode == STREAMS.index("joint"), base[0], base[1])
    video, audio = _set(video, mode, "video_given", 0.0), _set(audio, mode, "audio_given", 0.0)
    video, audio = _set(video, mode, "video_absent", 1.0), _set(audio, mode, "audio_absent", 1.0)

    start, end = _span(config, way, float(grid.seconds), generator)
    times_video, times_audio = (torch.from_numpy(times).float() for times in latent_times(grid))
    over_video = _along(video, way, start, end, times_video)
    sounds = audio[None] if stems is None else stems.levels(audio)
    over_audio = torch.stack([_along(sound, way, start, end, times_audio) for sound in sounds], 1)
    pictured = (way == TIMES.index("first_frame")) & (mode != STREAMS.index("video_absent"))
    over_video[pictured, 0] = 0.0
    return Latents(over_video[:, None, :, None, None], over_audio[:, :, None])


def draw_switches(share: float, batch: int, generator: torch.Generator) -> Tensor:
    """bool [B], True for about `share` of the samples."""
    return torch.rand(batch, generator=generator) < share


def _choose(weights: list[float], batch: int, generator: torch.Generator) -> Tensor:
    return torch.multinomial(torch.tensor(weights), batch, replacement=True, generator=generator)


def _set(levels: Tensor, mode: Tensor, name: str, value: float) -> Tensor:
    return torch.where(mode == STREAMS.index(name), value, levels)


def _span(config: NoiseConfig, way: Tensor, seconds: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """[B] seconds between which noise has the drawn level; it always holds a tenth of the clip at least."""
    draws = torch.rand(3, len(way), generator=generator)
    cut = draws[0] * 0.9 * seconds
    shortest, longest = config.block
    to_end = torch.full_like(cut, torch.inf)
    end = torch.where(way == TIMES.index("gap"), cut + (0.1 + 0.9 * draws[1]) * (seconds - cut), to_end)
    end = torch.where(way == TIMES.index("block"), cut + shortest + (longest - shortest) * draws[2], end)
    begins = way >= TIMES.index("past")
    return torch.where(begins, cut, -torch.inf), end


def _along(level: Tensor, way: Tensor, start: Tensor, end: Tensor, times: Tensor) -> Tensor:
    """[B, T]: 0 for what is over by `start`, the level up to `end`, then 0 after a gap and 1 after a block.

    A stream that is given stays at 0 throughout, an absent one at 1.
    """
    over, ahead = times[:, 1] <= start[:, None], times[:, 0] >= end[:, None]
    after = torch.where(way == TIMES.index("gap"), 0.0, 1.0)[:, None]
    levels = torch.where(over, 0.0, torch.where(ahead, after, level[:, None]))
    fixed = ((level == 0) | (level == 1))[:, None]
    return torch.where(fixed, level[:, None], levels)
