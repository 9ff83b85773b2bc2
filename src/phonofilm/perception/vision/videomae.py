"""VideoMAE: a film as one vector, the backbone of FVD[videomae].

Tong et al., "VideoMAE" (2022), through transformers. Features of masked autoencoders attend more to motion than I3D's
do (Ge et al., "On the content bias in Frechet video distance", 2024, who use VideoMAE v2).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonofilm.perception.common.frames import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    centre_crop,
    normalise,
    short_side,
    to_tensor,
)
from phonofilm.perception.common.transformers_checkpoints import load_pretrained


class VideoMAE:
    """Film to the vector before the classifier: the mean over all tubes, normalised.

    Attributes:
        frames: how many pictures it takes. size: pixels of a side.
        names: of the classes that it was fine-tuned on.
    """

    def __init__(self, network: Any) -> None:
        self._network = network
        self.frames, self.size = int(network.config.num_frames), int(network.config.image_size)
        labels = network.config.id2label
        self.names = tuple(str(labels[index]) for index in sorted(labels))

    @staticmethod
    def load(folder: str | Path, device: str = "cpu") -> VideoMAE:
        """Build it from a folder of a fine-tuned VideoMAE in transformers' layout.

        Raises:
            PhonofilmError: the folder does not hold one.
        """
        from transformers import VideoMAEForVideoClassification

        return VideoMAE(load_pretrained(VideoMAEForVideoClassification, folder, ("videomae",), device))

    def logits(self, frames: np.ndarray) -> Tensor:
        """uint8 [`frames`, H, W, 3] -> float32 [classes], what happens in it by `names`."""
        with torch.inference_mode():
            return self._network(pixel_values=prepare_frames(frames, self.size)[None]).logits[0]

    def __call__(self, frames: np.ndarray) -> Tensor:
        """uint8 [`frames`, H, W, 3] -> float32 [D].

        Raises:
            ValueError: another number of frames.
        """
        if len(frames) != self.frames:
            raise ValueError(f"VideoMAE takes {self.frames} frames, not {len(frames)}")
        with torch.inference_mode():
            tubes = self._network.videomae(pixel_values=prepare_frames(frames, self.size)[None]).last_hidden_state
            norm = self._network.fc_norm
            return norm(tubes.mean(1))[0] if norm is not None else tubes[0, 0]


def prepare_frames(frames: np.ndarray | Tensor, size: int = 224) -> Tensor:
    """uint8 [T, H, W, 3] -> float32 [T, 3, size, size]: short side to size (bilinear), middle kept, ImageNet's mean."""
    x = centre_crop(short_side(to_tensor(frames), size, "bilinear"), size)
    return normalise(x, IMAGENET_MEAN, IMAGENET_STD)
