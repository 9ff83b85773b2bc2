"""TensorFlow's SAME padding, which depends on the input's size and is not symmetric."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def pad_same(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Zero-pad [B, C, ...] so that a strided window gives ceil(size / stride); the odd zero goes to the end."""
    pads: list[int] = []
    for size, k, s in zip(x.shape[2:], kernel, stride, strict=True):
        total = max(k - (size % s or s), 0)
        pads = [total // 2, total - total // 2, *pads]
    return F.pad(x, pads)
