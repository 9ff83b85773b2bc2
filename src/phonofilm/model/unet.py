"""What the transformer is compared with: a U-Net for picture and one for sound, each of which adds to the other.

Video diffusion models (2204.03458) and make-an-audio models of their day were built so. Here it has the interface of
`AVTransformer`, so that one recipe trains both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor, nn

from phonofilm.model.attention import attend
from phonofilm.model.layers import NoiseEmbedder
from phonofilm.types import Latents, Positions, Text


@dataclass(frozen=True)
class TowerConfig:
    """The U-Net of one stream.

    Attributes:
        channels: of its latents.
        widths: channels of each level, from the finest to the coarsest.
        patch: side of the squares of video latents that enter as channels; 1 for sound.
        depth: residual blocks at each level, on the way down and again on the way up.
    """

    channels: int
    widths: tuple[int, ...]
    patch: int
    depth: int


@dataclass(frozen=True)
class UNetConfig:
    """Both towers, which must have as many levels; video is halved in space from level to level, sound in time."""

    video: TowerConfig
    audio: TowerConfig
    text_width: int = 384
    embedding: int = 256
    heads: int = 4

    def __post_init__(self) -> None:
        if len(self.video.widths) != len(self.audio.widths):
            raise ValueError("the towers of a U-Net must have the same number of levels")


UNET_PRESETS: dict[str, UNetConfig] = {
    "nano": UNetConfig(TowerConfig(8, (128, 288), patch=2, depth=2), TowerConfig(64, (144, 256), patch=1, depth=2)),
}


def convolution(inputs: int, outputs: int, axes: int) -> nn.Module:
    """A convolution over three axes as one over space and one over time (2204.03458), or one over time alone."""
    if axes == 1:
        return nn.Conv1d(inputs, outputs, 3, padding=1)
    space = nn.Conv3d(inputs, outputs, (1, 3, 3), padding=(0, 1, 1))
    return nn.Sequential(space, nn.Conv3d(outputs, outputs, (3, 1, 1), padding=(1, 0, 0)))


class Residual(nn.Module):
    """Two convolutions around a modulation by noise level and text."""

    def __init__(self, inputs: int, outputs: int, axes: int, embedding: int) -> None:
        super().__init__()
        self.norm_1, self.conv_1 = nn.GroupNorm(16, inputs), convolution(inputs, outputs, axes)
        self.norm_2, self.conv_2 = nn.GroupNorm(16, outputs), convolution(outputs, outputs, axes)
        self.modulation = nn.Linear(embedding, 2 * outputs)
        self.skip = nn.Identity() if inputs == outputs else nn.Linear(inputs, outputs)

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        """x [B, C, T] or [B, C, T, H, W], embedded [B, T or 1, E]."""
        scale, shift = rearrange(self.modulation(embedded), "b t (n c) -> n b c t", n=2)
        scale, shift = (t.view(t.shape + (1,) * (x.ndim - 3)) for t in (scale, shift))
        h = self.conv_1(F.silu(self.norm_1(x)))
        h = self.conv_2(F.silu(torch.addcmul(shift, self.norm_2(h), 1 + scale)))
        return self.skip(x.movedim(1, -1)).movedim(-1, 1) + h


class Stage(nn.ModuleList):
    """Residual blocks in a row, all told the same."""

    def __init__(self, inputs: int, outputs: int, depth: int, axes: int, embedding: int) -> None:
        widths = [inputs] + [outputs] * depth
        super().__init__([Residual(*pair, axes, embedding) for pair in pairwise(widths)])

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        for block in self:
            x = block(x, embedded)
        return x


class TextAttention(nn.Module):
    """Attention of a feature map to the text."""

    def __init__(self, width: int, text_width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(width)
        self.to_q, self.to_out = nn.Linear(width, width), nn.Linear(width, width)
        self.to_kv = nn.Linear(text_width, 2 * width)

    def forward(self, x: Tensor, text: Text) -> Tensor:
        flat = x.flatten(2).mT
        k, v = rearrange(self.to_kv(text.states.to(x.dtype)), "b l (n h d) -> n b l h d", n=2, h=self.heads)
        q = self.to_q(self.norm(flat)).unflatten(-1, (self.heads, -1))
        bias = torch.where(text.mask, 0.0, -1e4).to(q.dtype)[:, None, None]
        return x + self.to_out(attend(q, k, v, bias)).mT.view_as(x)


class Tower(nn.Module):
    """The U-Net of one stream, as a sequence of stages: down the levels and up again."""

    def __init__(self, config: UNetConfig, tower: TowerConfig, other: TowerConfig, axes: int) -> None:
        super().__init__()
        self.config, self.axes = tower, axes
        widths, levels = tower.widths, len(tower.widths)
        self.levels = [*range(levels), *reversed(range(levels - 1))]
        size, embedding = tower.channels * tower.patch ** (axes - 1), config.embedding
        self.timestep = NoiseEmbedder(embedding)
        self.text = nn.Linear(config.text_width, embedding)
        # One more channel says how noisy each latent is.
        self.stem = nn.Linear(size + 1, widths[0])
        self.stages, self.resample, self.receive = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for stage, level in enumerate(self.levels):
            width, rising = widths[level], stage >= levels
            entering = 2 * width if rising else width
            self.stages.append(Stage(entering, width, tower.depth, axes, embedding))
            self.receive.append(nn.Linear(other.widths[level], width))
            if stage + 1 < len(self.levels):
                self.resample.append(nn.Linear(width, widths[self.levels[stage + 1]]))
        self.attention = TextAttention(widths[-1], config.text_width, config.heads)
        self.norm, self.out = nn.GroupNorm(16, widths[0]), nn.Linear(widths[0], size)

    def embed(self, latents: Tensor, sigma: Tensor, text: Text) -> tuple[Tensor, Tensor]:
        """Features [B, C, T, ...] and what modulates them [B, T or 1, E]."""
        dtype = self.stem.weight.dtype
        noise = sigma.expand(-1, 1, *latents.shape[2:])
        x, noise = self._fold(latents), self._fold(noise).amax(-1, keepdim=True)
        levels = sigma[:, 0].flatten(2).amax(-1) if sigma.ndim > 3 else sigma[:, 0]
        mask = text.mask.unsqueeze(-1).to(dtype)
        pooled = (text.states.to(dtype) * mask).sum(1) / mask.sum(1).clamp(min=1)
        embedded = self.timestep(levels) + self.text(pooled).unsqueeze(1)
        return self.stem(torch.cat([x, noise], -1).to(dtype)).movedim(-1, 1), embedded

    def stage(self, index: int, x: Tensor, embedded: Tensor, text: Text, skips: list[Tensor]) -> Tensor:
        """The residual blocks of one stage; those on the way up see what the way down left in `skips`."""
        turn = len(self.config.widths) - 1
        if index > turn:
            x = torch.cat([x, skips.pop()], 1)
        if embedded.shape[1] != 1:
            embedded = F.interpolate(embedded.mT, x.shape[2]).mT
        x = self.stages[index](x, embedded)
        if index == turn:
            x = self.attention(x, text)
        if index < turn:
            skips.append(x)
        return x

    def move(self, index: int, x: Tensor, skips: list[Tensor]) -> Tensor:
        """To the resolution and width of the next stage."""
        if index + 1 == len(self.levels):
            return x
        x = self.resample[index](x.movedim(1, -1)).movedim(-1, 1)
        if self.levels[index + 1] < self.levels[index]:
            return F.interpolate(x, skips[-1].shape[2:])
        if self.axes == 3:
            return reduce(x, "b c t (h 2) (w 2) -> b c t h w", "mean")
        return F.interpolate(x, (x.shape[-1] + 1) // 2, mode="linear", align_corners=True)

    def unembed(self, x: Tensor, like: Tensor) -> Tensor:
        x = self.out(F.silu(self.norm(x)).movedim(1, -1))
        if self.axes == 1:
            return x.mT.to(like.dtype)
        p = self.config.patch
        return rearrange(x, "b t h w (c i j) -> b c t (h i) (w j)", i=p, j=p).to(like.dtype)

    def _fold(self, latents: Tensor) -> Tensor:
        if self.axes == 1:
            return latents.mT
        p = self.config.patch
        return rearrange(latents, "b c t (h i) (w j) -> b t h w (c i j)", i=p, j=p)


class UNet3D(nn.Module):
    """Two U-Nets, joined at every stage: each adds a projection of the other's features, resampled along time."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.video = Tower(config, config.video, config.audio, axes=3)
        self.audio = Tower(config, config.audio, config.video, axes=1)
        for tower in (self.video, self.audio):
            nn.init.zeros_(tower.out.weight)
            nn.init.zeros_(tower.out.bias)

    def forward(
        self,
        latents: Latents,
        sigma: Latents,
        text: Text,
        positions: Positions,
        *,
        exchange: Tensor | None = None,
        conditions: Mapping[str, Tensor] | None = None,
    ) -> Latents:
        """As `AVTransformer.forward`. A U-Net knows positions by its convolutions, and takes no conditions.

        Raises:
            ValueError: any condition, or no stream at all.
        """
        if conditions:
            raise ValueError(f"the U-Net has no input for condition {sorted(conditions)}")
        towers = {"video": self.video, "audio": self.audio}
        given = {name: getattr(latents, name) for name in towers}
        given = {name: _mixed(value) for name, value in given.items() if value is not None}
        if not given:
            raise ValueError("both streams are absent: give video latents, audio latents or both")
        levels = {name: _mixed(getattr(sigma, name)) for name in given}
        entered = {name: towers[name].embed(value, levels[name], text) for name, value in given.items()}
        x = {name: features for name, (features, _) in entered.items()}
        skips: dict[str, list[Tensor]] = {name: [] for name in x}
        for index in range(len(self.video.levels)):
            x = {name: towers[name].stage(index, x[name], entered[name][1], text, skips[name]) for name in x}
            if len(x) == 2:
                x = self._exchange(index, x["video"], x["audio"], exchange)
            x = {name: towers[name].move(index, x[name], skips[name]) for name in x}
        made = {name: towers[name].unembed(x[name], given[name]) for name in x}
        audio = made.get("audio")
        return Latents(made.get("video"), None if audio is None else audio[:, None])

    def _exchange(self, index: int, video: Tensor, audio: Tensor, exchange: Tensor | None) -> dict[str, Tensor]:
        """Both from a snapshot, as in the transformer."""
        on = 1.0 if exchange is None else exchange.to(video.dtype)[:, None, None]
        seen = F.interpolate(video.mean((3, 4)), audio.shape[2], mode="linear", align_corners=True)
        heard = F.interpolate(audio, video.shape[2], mode="linear", align_corners=True)
        to_audio = on * self.audio.receive[index](seen.mT).mT
        to_video = on * self.video.receive[index](heard.mT).mT
        return {"video": video + to_video[..., None, None], "audio": audio + to_audio}


def _mixed(values: Tensor) -> Tensor:
    """A picture's as they are; a sound's [B, 1, C, T] without its one stem.

    Raises:
        ValueError: more than one stem.
    """
    if values.ndim == 5:
        return values
    if values.ndim != 4 or values.shape[1] != 1:
        raise ValueError(f"the U-Net knows sound as one mix [B, 1, C, T], not {tuple(values.shape)}")
    return values[:, 0]
