"""Audio VAE: stereo log-mel to and from a few latents a second, causal in time.

Both channels are coded together as their mean and half their difference, so that what one channel
says about the other is not paid for twice and the difference, which is the pan, has terms of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from einops import rearrange
from torch import Tensor, nn

from phonofilm.codecs.common.causal import CausalConv1d
from phonofilm.codecs.common.convnext import CausalStack, ConvNeXtBlock, Pasts
from phonofilm.codecs.common.mel import MelConfig


@dataclass(frozen=True)
class AudioVAEConfig:
    """Shape of the audio VAE.

    Attributes:
        mel: the spectrogram it codes.
        latents: latent channels.
        time: mel frames per latent, after the first.
        head: mel frames of the first latent.
        width: channels inside.
        blocks: ConvNeXt blocks at each of the two rates, in the encoder and in the decoder.
    """

    mel: MelConfig = field(default_factory=MelConfig)
    latents: int = 64
    time: int = 4
    head: int = 1
    width: int = 192
    blocks: tuple[int, int] = (1, 1)
    kernel: int = 5
    expansion: int = 2


class Expand(nn.Module):
    """The mirror of a strided causal convolution: the first latent makes `head` frames, every later one `time`."""

    def __init__(self, channels: int, time: int, head: int = 1) -> None:
        super().__init__()
        self.time, self.head = time, head
        self.project = nn.Conv1d(channels, channels * time, 1)

    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y = rearrange(self.project(x), "b (s c) t -> b c (t s)", s=self.time)
        return (y[..., self.time - self.head :] if past is None else y), x[..., -1:]


class AudioVAE(nn.Module):
    """mel [B, 2, bins, head + time·n] <-> latents [B, latents, 1 + n] of about unit variance.

    `state=None` is the start of a clip; passing the returned state on continues it.
    """

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: AudioVAEConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or AudioVAEConfig()
        width, frames = config.width, config.mel.bins * 2

        def blocks(count: int) -> list[nn.Module]:
            return [ConvNeXtBlock(width, config.kernel, config.expansion) for _ in range(count)]

        fast, slow = config.blocks
        down = CausalConv1d(width, width, config.time, stride=config.time, head=config.head)
        begin, end = CausalConv1d(frames, width, 1), CausalConv1d(width, config.latents * 2, 1)
        self.encoder = CausalStack([begin, *blocks(fast), down, *blocks(slow), end])
        begin, end = CausalConv1d(config.latents, width, 3), CausalConv1d(width, frames, 3)
        self.decoder = CausalStack([begin, *blocks(slow), Expand(width, config.time, config.head), *blocks(fast), end])
        self.register_buffer("latent_mean", torch.zeros(config.latents, 1))
        self.register_buffer("latent_std", torch.ones(config.latents, 1))

    def encode(self, mel: Tensor, state: Pasts | None = None) -> tuple[Tensor, Pasts]:
        """Normalised latents, the mean of the posterior."""
        mean, _, state = self.posterior(mel, state)
        return (mean - self.latent_mean) / self.latent_std, state

    def decode(self, latents: Tensor, state: Pasts | None = None) -> tuple[Tensor, Pasts]:
        """Normalised latents -> mel."""
        return self.reconstruct(latents * self.latent_std + self.latent_mean, state)

    def posterior(self, mel: Tensor, state: Pasts | None = None) -> tuple[Tensor, Tensor, Pasts]:
        """Mean and log-variance of the latents before normalisation, both [B, latents, T']."""
        mean, difference = mel.mean(1), (mel[:, 0] - mel[:, 1]) / 2
        moments, state = self.encoder(torch.cat([mean, difference], dim=1), state)
        latent_mean, log_variance = moments.chunk(2, dim=1)
        return latent_mean, log_variance.clamp(-12.0, 4.0), state

    def reconstruct(self, latents: Tensor, state: Pasts | None = None) -> tuple[Tensor, Pasts]:
        """Latents before normalisation -> mel."""
        frames, state = self.decoder(latents, state)
        mean, difference = frames.chunk(2, dim=1)
        return torch.stack([mean + difference, mean - difference], dim=1), state

    @torch.no_grad()
    def calibrate(self, mels: Iterable[Tensor]) -> None:
        """Set `latent_mean` and `latent_std` so that the latents of these spectrograms have unit variance."""
        latents = torch.cat([rearrange(self.posterior(mel)[0], "b c t -> c (b t)") for mel in mels], dim=1)
        self.latent_mean.copy_(latents.mean(1, keepdim=True))
        self.latent_std.copy_(latents.std(1, keepdim=True).clamp_min(1e-3))
