"""What a decoder gives becomes 8 bits, and never a black film from values that are not finite."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phonofilm.codecs.pixels import to_frames
from phonofilm.errors import PhonofilmError


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_levels(dtype: torch.dtype) -> None:
    levels = torch.tensor([-2.0, -1.0, 0.0, 1.0, 3.0], dtype=dtype)
    frames = to_frames(levels.view(1, 5, 1, 1).expand(3, 5, 2, 4))
    assert (frames.shape, frames.dtype) == ((5, 2, 4, 3), np.uint8)
    assert frames[:, 0, 0, 0].tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused(value: float) -> None:
    pixels = torch.zeros(3, 2, 4, 4)
    pixels[1, 1, 2, 3] = value
    with pytest.raises(PhonofilmError, match="picture holds values that are not finite"):
        to_frames(pixels)
