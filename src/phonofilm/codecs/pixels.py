"""Between pictures as codecs take them, in [-1, 1], and as clips hold them, in 8 bits."""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from phonofilm.errors import PhonofilmError


def from_frames(
    frames: np.ndarray, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Tensor:  # fmt: skip
    """uint8 [T, H, W, 3] to [1, 3, T, H, W] in [-1, 1], computed in `dtype`."""
    return rearrange(torch.from_numpy(frames).to(device), "t h w c -> 1 c t h w").to(dtype) / 127.5 - 1


def all_finite(values: Tensor) -> bool:
    """Whether no value is infinite or not a number; the extremes tell, without a tensor as large as the values."""
    if not values.numel():
        return True
    low, high = values.aminmax()
    return bool(low.isfinite() & high.isfinite())


def to_frames(pixels: Tensor) -> np.ndarray:
    """uint8 [T, H, W, 3] of a decoder's float [3, T, H, W] in [-1, 1]; what lies beyond is cut.

    Raises:
        PhonofilmError: values that are not finite, of which 8 bits would make black.
    """
    if not all_finite(pixels):
        raise PhonofilmError(
            "the picture holds values that are not finite; nothing was written: try another precision (--device cpu), "
            "or check the weights"
        )
    scaled = pixels.float().add(1).mul_(127.5).round_().clamp_(0, 255)
    return scaled.to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()
