"""A causal video autoencoder: 8×8 pixels and 2 frames to a latent, the first frame alone.

Pixels are folded into channels first (`patch`×`patch` pixels, 2 frames), so that every convolution
runs on a coarse grid with many channels, where it is cheapest for what it can express. Normalisation
is per position, over channels: nothing is averaged over time or space, so the codec is causal and
works in chunks and in tiles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional as F

from phonofilm.codecs.common.causal import CausalConv3d

Past = tuple[Tensor, ...]
"""What the causal layers of a network remember, in the order in which they run."""


@dataclass(frozen=True)
class VideoVAEConfig:
    """What a video autoencoder is.

    Attributes:
        channels: channels of the latents.
        widths: channels at each resolution, finest first; each next one halves height and width.
        encoder_depths: residual blocks of the encoder at each resolution.
        decoder_depths: residual blocks of the decoder at each resolution.
        patch: pixels folded into channels per side; height and width shrink by patch · 2^(len(widths) - 1).
        noise: standard deviation of the Gaussian posterior, in units of the latents' own.
    """

    channels: int = 8
    widths: tuple[int, ...] = (64, 128)
    encoder_depths: tuple[int, ...] = (1, 2)
    decoder_depths: tuple[int, ...] = (2, 2)
    patch: int = 4
    noise: float = 0.1

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.encoder_depths) == len(self.decoder_depths) > 0:
            raise ValueError("widths, encoder_depths and decoder_depths need one number for each resolution")

    @property
    def space(self) -> int:
        """Pixels to a latent, per side."""
        return self.patch * 2 ** (len(self.widths) - 1)

    @property
    def time(self) -> int:
        """Frames to a latent, after the first."""
        return 2


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of x [B, C, T, H, W], each position by itself."""

    def forward(self, x: Tensor) -> Tensor:
        return rearrange(super().forward(rearrange(x, "b c t h w -> b t h w c")), "b t h w c -> b c t h w")


class ResidualBlock(nn.Module):
    """x + conv(silu(conv(norm(x)))), the first convolution in time and space, the second in space."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.mix = CausalConv3d(width, width, (3, 3, 3))
        self.out = CausalConv3d(width, width, (1, 3, 3))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, past: Iterator[Tensor] | None) -> tuple[Tensor, Past]:
        hidden, kept = self.mix(self.norm(x), next(past) if past else None)
        return x + self.out(F.silu(hidden))[0], (kept,)


class Fold(nn.Module):
    """Halve height and width: 2×2 positions into channels, then mixed to the next width."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.mix = nn.Conv3d(4 * width_in, width_out, 1)

    def forward(self, x: Tensor, past: Iterator[Tensor] | None) -> tuple[Tensor, Past]:
        return self.mix(rearrange(x, "b c t (h q) (w p) -> b (q p c) t h w", q=2, p=2)), ()


class Unfold(nn.Module):
    """Double height and width: the inverse of `Fold`."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.mix = nn.Conv3d(width_in, 4 * width_out, 1)

    def forward(self, x: Tensor, past: Iterator[Tensor] | None) -> tuple[Tensor, Past]:
        return rearrange(self.mix(x), "b (q p c) t h w -> b c t (h q) (w p)", q=2, p=2), ()


class CausalStack(nn.Module):
    """A convolution in, layers that may remember, a norm and a convolution out: (x, past) -> (y, past)."""

    def __init__(self, channels_in: int, widths: tuple[int, int], channels_out: int, layers: list[nn.Module]) -> None:
        super().__init__()
        self.into = CausalConv3d(channels_in, widths[0], (3, 3, 3))
        self.layers = nn.ModuleList(layers)
        self.norm = ChannelNorm(widths[1])
        self.out = CausalConv3d(widths[1], channels_out, (3, 3, 3))

    def forward(self, x: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        remembered = None if past is None else iter(past)
        x = x.contiguous(memory_format=torch.channels_last_3d)  # three times faster on a CPU
        x, kept = self.into(x, next(remembered) if remembered else None)
        new = [kept]
        for layer in self.layers:
            x, more = layer(x, remembered)
            new.extend(more)
        x, kept = self.out(F.silu(self.norm(x)), next(remembered) if remembered else None)
        return x, (*new, kept)


def encoder(config: VideoVAEConfig) -> CausalStack:
    """Folded pixels [B, 3·2·patch², T', h, w] -> latents, not yet normalised."""
    layers: list[nn.Module] = []
    for level, width in enumerate(config.widths):
        if level:
            layers.append(Fold(config.widths[level - 1], width))
        layers += [ResidualBlock(width) for _ in range(config.encoder_depths[level])]
    pixels = 3 * config.time * config.patch**2
    return CausalStack(pixels, (config.widths[0], config.widths[-1]), config.channels, layers)


def decoder(config: VideoVAEConfig) -> CausalStack:
    """Latents, not normalised -> folded pixels."""
    layers: list[nn.Module] = []
    for level in reversed(range(len(config.widths))):
        layers += [ResidualBlock(config.widths[level]) for _ in range(config.decoder_depths[level])]
        if level:
            layers.append(Unfold(config.widths[level], config.widths[level - 1]))
    pixels = 3 * config.time * config.patch**2
    return CausalStack(config.channels, (config.widths[-1], config.widths[0]), pixels, layers)


class VideoVAE(nn.Module):
    """Frames [B, 3, 1 + 2·n, H, W] in [-1, 1] <-> latents [B, C, 1 + n, H/8, W/8] of about unit variance.

    Latent 0 stands for frame 0 and latent i for frames 2i - 1 and 2i. Both directions are causal and
    take their memory as an argument: None means "start of clip", and the state that a call returns
    continues it. Chunked equals whole, wherever it is cut into legal chunks: to encode, 1 + 2·n frames
    first and 2·n afterwards; to decode, any number of latents.
    """

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: VideoVAEConfig = VideoVAEConfig()) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder(config)
        self.decoder = decoder(config)
        self.register_buffer("latent_mean", torch.zeros(config.channels))
        self.register_buffer("latent_std", torch.ones(config.channels))

    def encode(self, frames: Tensor, state: Past | None = None) -> tuple[Tensor, Past]:
        """Normalised latents: the posterior's mean, so the same frames always give the same latents.

        Raises:
            ValueError: a number or size of frames that no whole number of latents stands for.
        """
        raw, state = self.encode_raw(frames, state)
        return (raw - self._spread(self.latent_mean)) / self._spread(self.latent_std), state

    def decode(self, latents: Tensor, state: Past | None = None) -> tuple[Tensor, Past]:
        """Frames from normalised latents, in [-1, 1].

        Raises:
            ValueError: latents that are not this codec's.
        """
        if latents.ndim != 5 or latents.shape[1] != self.config.channels:
            shape = tuple(latents.shape)
            raise ValueError(f"latents of shape {shape} given to a codec of {self.config.channels} channels")
        raw = latents * self._spread(self.latent_std) + self._spread(self.latent_mean)
        frames, state = self.decode_raw(raw, state)
        return frames.clamp(-1, 1), state

    def encode_raw(self, frames: Tensor, state: Past | None = None) -> tuple[Tensor, Past]:
        """The posterior's mean before normalisation, as the training loss sees it."""
        self._check(frames, begins=state is None)
        if state is None:  # the first frame is a pair with itself, so every latent sees two frames
            frames = torch.cat([frames[:, :, :1], frames], dim=2)
        patch = self.config.patch
        folded = rearrange(frames, "b c (t s) (h q) (w p) -> b (s q p c) t h w", s=2, q=patch, p=patch)
        return self.encoder(folded, state)

    def decode_raw(self, raw: Tensor, state: Past | None = None) -> tuple[Tensor, Past]:
        """Frames, not clamped, from latents before normalisation."""
        folded, new = self.decoder(raw, state)
        patch = self.config.patch
        frames = rearrange(folded, "b (s q p c) t h w -> b c (t s) (h q) (w p)", s=2, q=patch, p=patch)
        return (frames[:, :, 1:] if state is None else frames), new

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Tensor], limit: int | None = None) -> None:
        """Set `latent_mean` and `latent_std`, per channel, from batches of whole clips in [-1, 1]."""
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        for frames in islice(batches, limit):
            raw = rearrange(self.encode_raw(frames)[0], "b c t h w -> c (b t h w)").double()
            count += raw.shape[1]
            total = total.to(raw) + raw.sum(1)
            squares = squares.to(raw) + raw.square().sum(1)
        if not count:
            raise ValueError("calibration needs at least one batch of frames")
        mean = total / count
        self.latent_mean.copy_(mean)
        self.latent_std.copy_((squares / count - mean.square()).clamp_min(1e-6).sqrt())

    def _check(self, frames: Tensor, begins: bool) -> None:
        if frames.ndim != 5 or frames.shape[1] != 3:
            raise ValueError(f"frames of shape {tuple(frames.shape)} given, where [B, 3, T, H, W] is needed")
        count, height, width = frames.shape[2:]
        if count < 1 or (count - begins) % 2:
            legal = "1 + 2·n at the start of a clip" if begins else "2·n after the start of a clip"
            raise ValueError(f"{count} frames given, where the video codec takes {legal}: repeat the last frame")
        if height % self.config.space or width % self.config.space:
            raise ValueError(f"frames of {width}x{height} given, where sides must be multiples of {self.config.space}")

    def _spread(self, values: Tensor) -> Tensor:
        return repeat(values, "c -> 1 c 1 1 1")
