"""What tokens of many latents cannot hold: convolutions at the latents' own resolution."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F


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

    def forward(self, noisy: Tensor, coarse: Tensor) -> Tensor:
        """noisy [B, C, T, H, W] and coarse [B, C + F, T, H, W] to the prediction [B, C, T, H, W]."""
        channels = noisy.shape[1]
        x = torch.cat([noisy.to(coarse.dtype), coarse], 1)
        x = self.enter(rearrange(x, "b c t h w -> (b t) c h w"))
        x = x + self.middle(F.gelu(x))
        x = rearrange(self.leave(F.gelu(x)), "(b t) c h w -> b c t h w", b=len(noisy))
        return coarse[:, :channels] + x
