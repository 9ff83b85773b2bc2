"""MMAudio's VAE of mel spectrograms: convolutions along time that keep magnitudes (EDM2, Karras et al., 2312.02696).

Weights are normalised once, when they are read, as equation 66 there has it for inference; sums and activations keep
the magnitude of what they join (equations 81 and 88).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from phonofilm.errors import PhonofilmError

EPS = 1e-4
SHARE = 0.3
"""Of a branch in the sum with what it branched from."""
BOUND = 256.0
"""Activations are kept within this."""
SILU = 0.596
"""The magnitude that SiLU leaves of unit noise."""
STEPS = (1, 2, 4)
"""Widths of the levels over the first's; time is halved after the first."""


@dataclass(frozen=True)
class MelVAEConfig:
    """Sizes: mel bands, channels of a latent, width of the first level; 80, 20, 384 at 16 kHz, 128, 40, 512 at 44."""

    bands: int = 80
    latents: int = 20
    width: int = 384

    @staticmethod
    def of(tensors: Mapping[str, Tensor]) -> MelVAEConfig:
        """Read off published weights.

        Raises:
            PhonofilmError: they are not this network's.
        """
        try:
            width, bands = tensors["encoder.conv_in.weight"].shape[:2]
            return MelVAEConfig(bands, tensors["decoder.conv_in.weight"].shape[1], width)
        except (KeyError, ValueError) as error:
            raise PhonofilmError("these are not the weights of MMAudio's VAE") from error


def unit(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Of mean square one along these axes, all but exactly."""
    size = math.prod(x.shape[axis] for axis in axes)
    length = torch.linalg.vector_norm(x, dim=axes, keepdim=True)
    return x / (EPS + length / math.sqrt(size))


def silu(x: Tensor) -> Tensor:
    return F.silu(x) / SILU


def joined(x: Tensor, branch: Tensor) -> Tensor:
    return ((1 - SHARE) * x + SHARE * branch) / math.sqrt((1 - SHARE) ** 2 + SHARE**2)


class Conv(nn.Module):
    """A convolution without bias, whose stored weights are already normalised (see `prepared`)."""

    def __init__(self, width: int, out: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, width, kernel))
        nn.init.normal_(self.weight)

    def forward(self, x: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        return F.conv1d(x, self.weight * gain, padding=self.weight.shape[-1] // 2)


class Residual(nn.Module):
    """Two convolutions beside a path that is straight, or one convolution where the width changes."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = Conv(width, out, 3), Conv(out, out, 3)
        self.nin_shortcut = Conv(width, out, 1) if width != out else None

    def forward(self, x: Tensor) -> Tensor:
        x = unit(x, (1,))
        branch = self.conv2(silu(self.conv1(silu(x))))
        return joined(x if self.nin_shortcut is None else self.nin_shortcut(x), branch)


class SelfAttention(nn.Module):
    """One head over all moments."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.proj_out = Conv(width, 3 * width, 1), Conv(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        parts = rearrange(self.qkv(x), "b (c j) t -> b c j t", j=3)
        query, key, value = (part.mT for part in unit(parts, (1,)).unbind(2))
        attended = F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0]
        return joined(x, self.proj_out(attended.mT))


class Middle(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.block_1, self.attn_1, self.block_2 = Residual(width, width), SelfAttention(width), Residual(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x))).clamp(-BOUND, BOUND)


class Half(nn.Module):
    """Half as many moments: a convolution, means of two, a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = Conv(width, width, 1), Conv(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv2(F.avg_pool1d(self.conv1(x), 2))
        return made


class Double(nn.Module):
    """Twice as many moments: each repeated, then a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = Conv(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv(x.repeat_interleave(2, -1))
        return made


class Level(nn.Module):
    """Residual blocks of one width, and what changes the rate after them."""

    def __init__(self, width: int, out: int, blocks: int, rate: str | None = None) -> None:
        super().__init__()
        self.block = nn.ModuleList([Residual(width if i == 0 else out, out) for i in range(blocks)])
        if rate == "half":
            self.downsample = Half(out)
        elif rate == "double":
            self.upsample = Double(out)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x).clamp(-BOUND, BOUND)
        for name in ("downsample", "upsample"):
            x = getattr(self, name)(x) if hasattr(self, name) else x
        return x


class Encoder(nn.Module):
    def __init__(self, config: MelVAEConfig) -> None:
        super().__init__()
        widths = [config.width * step for step in (1, *STEPS)]
        self.conv_in = Conv(config.bands, config.width, 3)
        rates = ("half", None, None)
        self.down = nn.ModuleList(
            [Level(a, b, 2, rate) for a, b, rate in zip(widths[:-1], widths[1:], rates, strict=True)]
        )
        self.mid = Middle(widths[-1])
        self.conv_out = Conv(widths[-1], 2 * config.latents, 3)
        self.learnable_gain = nn.Parameter(torch.zeros([]))

    def forward(self, mel: Tensor) -> Tensor:
        x = self.conv_in(mel)
        for level in self.down:
            x = level(x)
        made: Tensor = self.conv_out(silu(self.mid(x)), self.learnable_gain + 1)
        return made


class Decoder(nn.Module):
    def __init__(self, config: MelVAEConfig) -> None:
        super().__init__()
        widths = [config.width * step for step in STEPS]
        self.conv_in = Conv(config.latents, widths[-1], 3)
        self.mid = Middle(widths[-1])
        before = [*widths[1:], widths[-1]]
        rates = (None, "double", None)
        self.up = nn.ModuleList([Level(a, b, 3, rate) for a, b, rate in zip(before, widths, rates, strict=True)])
        self.conv_out = Conv(widths[0], config.bands, 3)
        self.learnable_gain = nn.Parameter(torch.zeros([]))

    def forward(self, latents: Tensor) -> Tensor:
        x = self.mid(self.conv_in(latents))
        for level in reversed(self.up):
            x = level(x)
        made: Tensor = self.conv_out(silu(x), self.learnable_gain + 1)
        return made


class MelVAE(nn.Module):
    """Log-mel spectrograms [B, bands, 2·N] to latents [B, C, N] and back."""

    def __init__(self, config: MelVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.register_buffer("data_mean", torch.zeros(1, config.bands, 1))
        self.register_buffer("data_std", torch.ones(1, config.bands, 1))

    data_mean: Tensor
    data_std: Tensor

    def encode(self, mel: Tensor) -> Tensor:
        """The mean of the latents."""
        made: Tensor = self.encoder((mel - self.data_mean) / self.data_std).chunk(2, 1)[0]
        return made

    def decode(self, latents: Tensor) -> Tensor:
        return self.decoder(latents) * self.data_std + self.data_mean


def prepared(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published weights with those of all convolutions normalised, which is done once."""

    def one(weight: Tensor) -> Tensor:
        axes = tuple(range(1, weight.ndim))
        return unit(weight, axes) / math.sqrt(math.prod(weight.shape[1:]))

    return {name: one(tensor) if name.endswith(".weight") else tensor for name, tensor in tensors.items()}
