"""What tokens of many latents cannot hold: convolutions at the latents' own resolution, on the way in and out."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from phonofilm.model.tokens import filled_up


class DetailEntry(nn.Module):
    """Adds to the tokens what small things do, wherever in the patch they are (Xiao et al., 2106.14881).

    A linear layer would need weights of its own for each place of a patch at which a spark may fly. The latents of one
    token's time are channels here and nothing looks ahead. Adds nothing until it is trained.

    Args:
        channels: of the latents. patch: latents to a token along (time, y, x); y and x in fours.
        widths: of the three convolutions. width: of the tokens.
    """

    def __init__(self, channels: int, patch: tuple[int, ...], widths: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.patch = patch
        first, second, third = widths
        self.fine = nn.Conv2d(channels * patch[0], first, 3, padding=1)
        self.middle = nn.Conv2d(first, second, 3, stride=2, padding=1)
        self.coarse = nn.Conv2d(second, third, 3, stride=2, padding=1)
        self.leave = nn.Linear(third * (patch[1] // 4) * (patch[2] // 4), width)

    def forward(self, latents: Tensor, starts: bool = True) -> Tensor:
        """[B, C, T, H, W] to [B, N, D], ordered time, row, column, as `patchify` orders tokens."""
        steps, high, wide = self.patch
        x = rearrange(filled_up(latents, steps, starts), "b c (t p) h w -> (b t) (p c) h w", p=steps)
        for layer in (self.fine, self.middle, self.coarse):
            x = F.gelu(layer(x))
        x = rearrange(x, "(b t) c (h p) (w q) -> b (t h w) (c p q)", b=len(latents), p=high // 4, q=wide // 4)
        return self.leave(x)


class DetailHead(nn.Module):
    """Refines what the tokens predict by looking at the noisy latents beside it.

    A token of width D spans D dimensions of its patch at most. At high noise the estimate of what is clean needs
    fewer; at low noise the rest can be read off the noisy latents themselves, next to their neighbours. Each time
    step is worked on by itself, so nothing here looks ahead.

    Args:
        channels: of the latents. features: further channels that the tokens predict for this head alone.
        width: of the convolutions.
    """

    def __init__(self, channels: int, features: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(2 * channels + features, width, 3, padding=1)
        self.middle = nn.Conv2d(width, width, 3, padding=1)
        self.leave = nn.Conv2d(width, channels, 3, padding=1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # half the time of a step on a CPU

    def forward(self, noisy: Tensor, coarse: Tensor) -> Tensor:
        """noisy [B, C, T, H, W] and coarse [B, C + F, T, H, W] to the prediction [B, C, T, H, W]."""
        channels = noisy.shape[1]
        x = torch.cat([noisy.to(coarse.dtype), coarse], 1)
        x = rearrange(x, "b c t h w -> (b t) c h w").contiguous(memory_format=torch.channels_last)
        x = self.enter(x)
        x = x + self.middle(F.gelu(x))
        x = rearrange(self.leave(F.gelu(x)), "(b t) c h w -> b c t h w", b=len(noisy))
        return coarse[:, :channels] + x
