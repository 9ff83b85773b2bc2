"""Frames into the sizes and ranges that published networks were trained on."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def to_tensor(frames: np.ndarray | Tensor) -> Tensor:
    """uint8 [T, H, W, 3] -> float32 [T, 3, H, W] in [0, 255].

    Raises:
        ValueError: the frames have another type or shape.
    """
    # Decoded frames may be read-only, which torch does not share.
    x = torch.from_numpy(np.require(frames, requirements="W")) if isinstance(frames, np.ndarray) else frames
    if x.dtype != torch.uint8 or x.ndim != 4 or x.shape[-1] != 3:
        raise ValueError(f"frames must be uint8 [T, H, W, 3], not {x.dtype} {tuple(x.shape)}")
    return rearrange(x, "t h w c -> t c h w").float()


def short_side(x: Tensor, size: int, mode: str = "bicubic", *, antialias: bool = True) -> Tensor:
    """Scale [T, 3, H, W] in [0, 255] until its shorter side is `size`.

    The longer side is rounded down and values to whole levels, as 8-bit image libraries do.

    Args:
        mode: "bicubic" or "bilinear". antialias: whether what is made smaller is smoothed first.
    """
    height, width = x.shape[-2:]
    target = (size, int(size * width / height)) if height <= width else (int(size * height / width), size)
    if (height, width) == target:
        return x
    resized = F.interpolate(x, target, mode=mode, align_corners=False, antialias=antialias)
    return resized.round().clamp(0.0, 255.0)


def centre_crop(x: Tensor, size: int) -> Tensor:
    """[..., H, W] -> [..., size, size] from the middle, halves rounded to even as torchvision does."""
    top, left = (round((side - size) / 2) for side in x.shape[-2:])
    return x[..., top : top + size, left : left + size]


def three_crops(x: Tensor, size: int) -> Tensor:
    """[..., H, W] -> [3, ..., size, size]: start, middle and end of the longer side (SlowFast's uniform crops)."""
    height, width = x.shape[-2:]
    middle_y, middle_x = math.ceil((height - size) / 2), math.ceil((width - size) / 2)
    corners = (
        [(0, middle_x), (middle_y, middle_x), (height - size, middle_x)]
        if height > width
        else [(middle_y, 0), (middle_y, middle_x), (middle_y, width - size)]
    )
    return torch.stack([x[..., top : top + size, left : left + size] for top, left in corners])


def normalise(x: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """[..., 3, H, W] in [0, 255] -> (x / 255 - mean) / std per channel."""
    centre, scale = (torch.tensor(values, device=x.device)[:, None, None] for values in (mean, std))
    return (x / 255.0 - centre) / scale
