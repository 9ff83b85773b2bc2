"""BigVGAN (Lee et al., 2206.04658): mel spectrograms to sound, with periodic activations that do not alias."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phonofilm.errors import PhonofilmError

TAPS = 12
"""Of the filters around an activation."""
_LISTS = {"rates": "upsample_rates", "kernels": "upsample_kernel_sizes", "blocks": "resblock_kernel_sizes"}


@dataclass(frozen=True)
class BigVGANConfig:
    """Sizes, with the defaults of MMAudio's vocoder at 16 kHz; see config.json of published ones.

    Attributes:
        bands: mel bands. width: channels before the first upsampling, halved by each.
        rates, kernels: of the upsamplings. blocks: kernels of the residual blocks after each, with `dilations`.
        bias, bounded: whether the last convolution has a bias, and whether tanh bounds the sound (else it is cut).
    """

    bands: int = 80
    width: int = 1536
    rates: tuple[int, ...] = (4, 4, 2, 2, 2, 2)
    kernels: tuple[int, ...] = (8, 8, 4, 4, 4, 4)
    blocks: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[int, ...] = (1, 3, 5)
    bias: bool = True
    bounded: bool = True

    @staticmethod
    def of(values: Mapping[str, Any]) -> BigVGANConfig:
        """From a published config.json.

        Raises:
            PhonofilmError: a vocoder that is built otherwise.
        """
        try:
            dilations = {tuple(one) for one in values["resblock_dilation_sizes"]}
            known = (values["resblock"], values["activation"], values["snake_logscale"], len(dilations))
            if known != ("1", "snakebeta", True, 1):
                raise PhonofilmError("this BigVGAN is built otherwise than those of MMAudio; take bigvgan_v2_44khz")
            sizes: dict[str, Any] = {name: tuple(values[theirs]) for name, theirs in _LISTS.items()}
            return BigVGANConfig(
                bands=int(values["num_mels"]),
                width=int(values["upsample_initial_channel"]),
                dilations=dilations.pop(),
                bias=bool(values.get("use_bias_at_final", True)),
                bounded=bool(values.get("use_tanh_at_final", True)),
                **sizes,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise PhonofilmError(f"config.json of the vocoder lacks {error}; copy it again") from error


def low_pass() -> Tensor:
    """[12] a Kaiser-windowed sinc that halves a rate: cut-off 1/4, transition .3 of the rate."""
    attenuation = 2.285 * (TAPS // 2 - 1) * math.pi * (4 * 0.3) + 7.95
    beta = (
        0.1102 * (attenuation - 8.7)
        if attenuation > 50
        else 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    )
    window = torch.kaiser_window(TAPS, periodic=False, beta=beta)
    time = torch.arange(-TAPS // 2, TAPS // 2) + 0.5
    taps = 0.5 * window * torch.sinc(0.5 * time)
    return taps / taps.sum()


class Snake(nn.Module):
    """x + sin²(a·x) / b by channel, at twice the rate: up, through it, and down again."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha, self.beta = nn.Parameter(torch.zeros(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        taps = low_pass().to(x).expand(channels, 1, -1)
        around = TAPS // 2 - 1
        wide = F.pad(x, (around, around), mode="replicate")
        edge = 2 * around + (TAPS - 2) // 2
        fast = 2 * F.conv_transpose1d(wide, taps, stride=2, groups=channels)[..., edge:-edge]
        alpha, beta = (part.exp()[:, None] for part in (self.alpha, self.beta))
        fast = fast + torch.sin(fast * alpha).square() / (beta + 1e-9)
        return F.conv1d(F.pad(fast, (around, TAPS // 2), mode="replicate"), taps, stride=2, groups=channels)


class Residual(nn.Module):
    """Pairs of a dilated and a plain convolution, each after an activation, each pair added."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()

        def conv(dilation: int) -> nn.Conv1d:
            return nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2)

        self.convs1 = nn.ModuleList([conv(dilation) for dilation in dilations])
        self.convs2 = nn.ModuleList([conv(1) for _ in dilations])
        self.activations = nn.ModuleList([Snake(channels) for _ in range(2 * len(dilations))])

    def forward(self, x: Tensor) -> Tensor:
        for place, (dilated, plain) in enumerate(zip(self.convs1, self.convs2, strict=True)):
            first, second = self.activations[2 * place], self.activations[2 * place + 1]
            x = x + plain(second(dilated(first(x))))
        return x


class BigVGAN(nn.Module):
    """Log-mel spectrograms [B, bands, T] to sound [B, 1, T · product of rates]."""

    def __init__(self, config: BigVGANConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or BigVGANConfig()
        self.conv_pre = nn.Conv1d(config.bands, config.width, 7, padding=3)
        widths = [config.width // 2**i for i in range(len(config.rates) + 1)]
        self.ups = nn.ModuleList(
            [
                nn.ModuleList([nn.ConvTranspose1d(a, b, kernel, rate, padding=(kernel - rate) // 2)])
                for a, b, kernel, rate in zip(widths[:-1], widths[1:], config.kernels, config.rates, strict=True)
            ]
        )
        self.resblocks = nn.ModuleList(
            [Residual(width, kernel, config.dilations) for width in widths[1:] for kernel in config.blocks]
        )
        self.activation_post = Snake(widths[-1])
        self.conv_post = nn.Conv1d(widths[-1], 1, 7, padding=3, bias=config.bias)

    def forward(self, mel: Tensor) -> Tensor:
        x, count = self.conv_pre(mel), len(self.config.blocks)
        for stage, up in enumerate(self.ups):
            x = up[0](x)  # type: ignore[index]
            x = torch.stack([block(x) for block in self.resblocks[stage * count : (stage + 1) * count]]).mean(0)
        x = self.conv_post(self.activation_post(x))
        return torch.tanh(x) if self.config.bounded else x.clamp(-1, 1)


def folded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict with its weight norm folded in, in our names: either spelling of it, filters left out."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.endswith((".filter", "lowpass.filter")):
            continue
        for length, value in ((".weight_g", ".weight_v"), _PARAMETRIZED):
            if name.endswith(value):
                norm = tensors[name.removesuffix(value) + length]
                axes = tuple(range(1, tensor.ndim))
                found[name.removesuffix(value) + ".weight"] = norm * tensor / tensor.norm(dim=axes, keepdim=True)
                break
        else:
            if not name.endswith((".weight_g", _PARAMETRIZED[0])):
                found[name.replace(".act.", ".")] = tensor
    return found


_PARAMETRIZED = (".parametrizations.weight.original0", ".parametrizations.weight.original1")
