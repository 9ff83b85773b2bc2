"""DETR: which things of COCO's classes are in a picture, and where.

Carion et al., "End-to-end object detection with transformers" (2020), through transformers. Which checkpoint it is
changes every score: results name it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from phonofilm.perception.common.frames import IMAGENET_MEAN, IMAGENET_STD, normalise, to_tensor
from phonofilm.perception.common.transformers_checkpoints import load_pretrained

SHORT, LONG = 800, 1333
"""Pixels of the shorter side that it sees, and of the longer one at most."""


@dataclass(frozen=True, eq=False)
class Things:
    """What is seen in the frames of a film.

    Attributes:
        rows: float32 [n, 7], (frame, class, score, x0, y0, x1, y1), places in 0 … 1 of the picture.
        names: of the classes.
    """

    rows: np.ndarray
    names: tuple[str, ...]


class Detr:
    """Frames -> `Things`; each frame is looked at by itself."""

    def __init__(self, network: Any) -> None:
        self._network = network
        labels = network.config.id2label
        self.names = tuple(str(labels[index]) for index in sorted(labels))

    @staticmethod
    def load(folder: str | Path, device: str = "cpu") -> Detr:
        """Build it from a folder in transformers' layout.

        Raises:
            PhonofilmError: the folder does not hold a DETR.
        """
        from transformers import DetrForObjectDetection

        return Detr(load_pretrained(DetrForObjectDetection, folder, ("detr",), device))

    def __call__(self, frames: np.ndarray, threshold: float = 0.7) -> Things:
        """uint8 [T, H, W, 3]; a thing counts from a probability of `threshold` on, as in DETR's own examples."""
        found = [self._see(frame[None], index, threshold) for index, frame in enumerate(frames)]
        return Things(np.concatenate([np.zeros((0, 7), np.float32), *found]), self.names)

    def _see(self, frame: np.ndarray, index: int, threshold: float) -> np.ndarray:
        with torch.inference_mode():
            seen = self._network(pixel_values=prepare_frames(frame))
        shares = seen.logits[0].softmax(-1)[:, :-1]  # the last class stands for nothing
        score, label = shares.max(-1)
        middle, size = seen.pred_boxes[0, :, :2], seen.pred_boxes[0, :, 2:]
        corners = torch.cat([middle - size / 2, middle + size / 2], 1).clamp(0, 1)
        rows = torch.cat([torch.full_like(score, index)[:, None], label[:, None], score[:, None], corners], 1)
        return rows[score >= threshold].numpy()


def prepare_frames(frames: np.ndarray | Tensor) -> Tensor:
    """uint8 [T, H, W, 3] -> float32 [T, 3, h, w]: short side to 800 where the longer one stays within 1333."""
    x = to_tensor(frames)
    scale = min(SHORT / min(x.shape[-2:]), LONG / max(x.shape[-2:]))
    x = F.interpolate(x, [round(side * scale) for side in x.shape[-2:]], mode="bilinear", antialias=True)
    return normalise(x, IMAGENET_MEAN, IMAGENET_STD)
