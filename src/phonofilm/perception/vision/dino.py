"""DINO: pictures as self-supervised vectors, the backbone of VBench's subject consistency.

Caron et al., "Emerging properties in self-supervised vision transformers" (2021), through transformers; DINOv2's
folders work too, and give other numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonofilm.perception.common.frames import IMAGENET_MEAN, IMAGENET_STD, normalise, short_side, to_tensor
from phonofilm.perception.common.transformers_checkpoints import load_pretrained, read_config

BATCH = 16


class Dino:
    """Pictures to the vector of the class token."""

    def __init__(self, network: Any) -> None:
        self._network = network

    @staticmethod
    def load(folder: str | Path, device: str = "cpu") -> Dino:
        """Build it from a folder in transformers' layout.

        Raises:
            PhonofilmError: the folder holds neither a DINO nor a DINOv2.
        """
        from transformers import Dinov2Model, ViTModel

        if read_config(folder).get("model_type") == "dinov2":
            return Dino(load_pretrained(Dinov2Model, folder, ("dinov2",), device))
        # DINO has no pooler, which ViTModel would ask for
        return Dino(load_pretrained(ViTModel, folder, ("vit",), device, add_pooling_layer=False))

    def __call__(self, frames: np.ndarray) -> Tensor:
        """uint8 [T, H, W, 3] -> float32 [T, D]."""
        with torch.inference_mode():
            parts = [self._see(prepare_frames(frames[i : i + BATCH])) for i in range(0, len(frames), BATCH)]
            return torch.cat(parts)

    def _see(self, x: Tensor) -> Tensor:
        more = {"interpolate_pos_encoding": True} if self._network.config.model_type == "vit" else {}
        return self._network(pixel_values=x, **more).last_hidden_state[:, 0]


def prepare_frames(frames: np.ndarray | Tensor, size: int = 224) -> Tensor:
    """uint8 [T, H, W, 3] -> float32 [T, 3, h, w]: short side to size as VBench does it, bilinear without antialias.

    Nothing is cropped: the network sees the whole picture, its positions interpolated.
    """
    return normalise(short_side(to_tensor(frames), size, "bilinear", antialias=False), IMAGENET_MEAN, IMAGENET_STD)
