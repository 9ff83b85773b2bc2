"""CLIP: pictures and English text in one space, the backbone of CLIPScore and of VBench's background consistency.

Radford et al., "Learning transferable visual models from natural language supervision" (2021), through transformers.
Which checkpoint it is changes every score: results name it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phonofilm.errors import PhonofilmError
from phonofilm.perception.common import ported_checkpoints
from phonofilm.perception.common.frames import CLIP_MEAN, CLIP_STD, centre_crop, normalise, short_side, to_tensor
from phonofilm.perception.common.transformers_checkpoints import Words, load_pretrained

BATCH = 16
HEAD = "sa_0_4_vit_l_14_linear.pth"
"""LAION's linear head over CLIP ViT-L/14."""


class Clip:
    """Pictures and text to unit vectors.

    Attributes:
        size: pixels of a side of what it sees. limit: tokens of a text that it reads, 77 as published.
    """

    def __init__(self, network: Any, words: Words | None) -> None:
        self._network, self._words = network, words
        self.size = int(network.config.vision_config.image_size)
        self.limit = int(network.config.text_config.max_position_embeddings)

    @staticmethod
    def load(folder: str | Path, text: bool = True, device: str = "cpu") -> Clip:
        """Build it from a folder in transformers' layout.

        Args:
            text: with its tokenizer.

        Raises:
            PhonofilmError: the folder does not hold a CLIP.
        """
        from transformers import CLIPModel

        network = load_pretrained(CLIPModel, folder, ("clip",), device)
        return Clip(network, Words(folder, network.config.text_config.max_position_embeddings) if text else None)

    def pictures(self, frames: np.ndarray) -> Tensor:
        """uint8 [T, H, W, 3] -> float32 [T, D]."""
        with torch.inference_mode():
            return torch.cat([self._see(frames[i : i + BATCH]) for i in range(0, len(frames), BATCH)])

    def _see(self, frames: np.ndarray) -> Tensor:
        return self.unit_vectors(prepare_frames(frames, self.size))

    def unit_vectors(self, pixels: Tensor) -> Tensor:
        """Pictures as its network takes them, float32 [T, 3, S, S] -> float32 [T, D]."""
        with torch.inference_mode():
            seen = self._network.vision_model(pixel_values=pixels).pooler_output
            return F.normalize(self._network.visual_projection(seen), dim=-1)

    def states(self, prompt: str) -> Tensor:
        """float32 [1, limit, D]: what it knows at each token after its last norm; zeros are read after the text."""
        if self._words is None:
            raise ValueError("this CLIP was loaded without its tokenizer")
        ids, _ = self._words(prompt)
        with torch.inference_mode():
            padded = F.pad(ids, (0, self.limit - ids.shape[1]))
            found: Tensor = self._network.text_model(input_ids=padded).last_hidden_state
            return found

    def text(self, prompt: str) -> tuple[Tensor, int]:
        """float32 [D], and the tokens that did not fit and were left out before the closing one."""
        if self._words is None:
            raise ValueError("this CLIP was loaded without its tokenizer")
        ids, cut = self._words(prompt)
        with torch.inference_mode():
            read = self._network.text_model(input_ids=ids).pooler_output
            return F.normalize(self._network.text_projection(read), dim=-1)[0], cut


class Aesthetic:
    """LAION's aesthetic predictor: a linear head over CLIP ViT-L/14's unit vectors, about 1 … 10."""

    def __init__(self, clip: Clip, head: nn.Linear) -> None:
        self._clip, self._head = clip, head

    @staticmethod
    def load(folder: str | Path, device: str = "cpu") -> Aesthetic:
        """Build it from a folder of CLIP with the head beside it.

        Raises:
            PhonofilmError: one of them is missing, or they are of different widths.
        """
        clip = Clip.load(folder, text=False, device=device)
        state = ported_checkpoints.read_state(Path(folder) / HEAD)
        width = clip._network.config.projection_dim
        if {name: tuple(tensor.shape) for name, tensor in state.items()} != {"weight": (1, width), "bias": (1,)}:
            raise PhonofilmError(f"{Path(folder) / HEAD} is not a linear head over the {width}-d CLIP beside it")
        head = nn.Linear(width, 1)
        head.load_state_dict(state)
        return Aesthetic(clip, head.eval().requires_grad_(False))

    def __call__(self, frames: np.ndarray) -> Tensor:
        """uint8 [T, H, W, 3] -> float32 [T], each picture's rating."""
        with torch.inference_mode():
            return self._head(self._clip.pictures(frames))[:, 0]


def prepare_frames(frames: np.ndarray | Tensor, size: int = 224) -> Tensor:
    """uint8 [T, H, W, 3] -> float32 [T, 3, size, size]: short side to size (bicubic), middle kept, CLIP's mean."""
    return normalise(centre_crop(short_side(to_tensor(frames), size), size), CLIP_MEAN, CLIP_STD)
