"""What a lens and a film do to a picture in linear light: defocus, bloom, vignette and a soft shoulder."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, pad

SHOULDER = 0.75  # linear light above which highlights are compressed


@dataclass(frozen=True)
class Bloom:
    """How much of the light above 1 spreads, and how far, as a share of the shorter side."""

    amount: float = 0.35
    spread: float = 0.045
    vignette: float = 0.22


def defocus(canvas: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [T, H, W, 3]; sigma in pixels."""
    if sigma < 0.3:
        return canvas
    reach = math.ceil(2.5 * sigma)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=canvas.device) / sigma) ** 2)
    taps = taps / taps.sum()
    planes = canvas.permute(0, 3, 1, 2).reshape(-1, 1, *canvas.shape[1:3])
    planes = conv2d(pad(planes, (reach, reach, 0, 0), mode="replicate"), taps.view(1, 1, 1, -1))
    planes = conv2d(pad(planes, (0, 0, reach, reach), mode="replicate"), taps.view(1, 1, -1, 1))
    return planes.view(canvas.shape[0], 3, *canvas.shape[1:3]).permute(0, 2, 3, 1).contiguous()


def expose(canvas: Tensor, bloom: Bloom, frames: int) -> Tensor:
    """Linear light [T or 1, H, W, 3] -> uint8 sRGB [frames, H, W, 3]."""
    bright = (canvas - 1).clamp(min=0)
    shining = bright.amax((1, 2, 3)) > 0
    if bloom.amount and bool(shining.any()):
        canvas = canvas.clone()
        canvas[shining] += bloom.amount * _spread(bright[shining].clamp(max=6), bloom.spread)
    canvas = canvas * _vignette(canvas, bloom.vignette)
    over = (canvas - SHOULDER).clamp(min=0)
    room = 1 - SHOULDER
    canvas = canvas - over + over / (1 + over / room)
    picture = (canvas.clamp(0, 1).sqrt() * 255 + 0.5).to(torch.uint8)
    return picture.expand(frames, -1, -1, -1).contiguous()


def _spread(bright: Tensor, spread: float) -> Tensor:
    """Blurred at a quarter of the size."""
    height, width = bright.shape[1:3]
    step = max(1, min(height, width) // 32)
    small = avg_pool2d(bright.permute(0, 3, 1, 2), step, ceil_mode=True, count_include_pad=False)
    blurred = defocus(small.permute(0, 2, 3, 1), spread * min(height, width) / step).permute(0, 3, 1, 2)
    return interpolate(blurred, (height, width), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)


def _vignette(canvas: Tensor, strength: float) -> Tensor:
    height, width = canvas.shape[1:3]
    x = torch.linspace(-1, 1, width, device=canvas.device)[None, :]
    y = torch.linspace(-1, 1, height, device=canvas.device)[:, None]
    return (1 - strength * ((x * x + y * y) / 2) ** 1.5)[..., None]
