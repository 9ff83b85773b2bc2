"""Optical flow by dense inverse search: where each pixel goes. No weights; needs OpenCV.

Kroeger et al., "Fast optical flow using dense inverse search" (2016).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np

from phonofilm.perception.common.optional_imports import require

Preset = Literal["ultrafast", "fast", "medium"]


def optical_flow(frames: np.ndarray, preset: Preset = "fast") -> np.ndarray:
    """Flow between successive frames.

    Args:
        frames: uint8 [T, H, W, 3].

    Returns:
        float32 [T - 1, H, W, 2], (x, y) in pixels per frame, from each frame to the next.

    Raises:
        PhonofilmError: OpenCV is not installed.
        ValueError: the frames have another type or shape, or are smaller than 16x16.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or min(frames.shape[1:3]) < 16:
        raise ValueError(f"frames must be uint8 [T, H, W, 3] of 16x16 or more, not {frames.dtype} {frames.shape}")
    cv2 = require("cv2", "optical flow")
    search = cv2.DISOpticalFlow_create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{preset.upper()}"))
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    pairs = [search.calc(before, after, None) for before, after in pairwise(grey)]
    return np.stack(pairs) if pairs else np.zeros((0, *frames.shape[1:3], 2), np.float32)


def flow_magnitude(flow: np.ndarray) -> np.ndarray:
    """float [..., 2] -> [...], pixels per frame."""
    return np.hypot(flow[..., 0], flow[..., 1])
