"""The text encoder's weights in a third of their bytes: words in 8 bits, the rest in 16.

A machine that cannot fetch the encoder brings them along.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from phonofilm.checkpoint import load_tensors, save_tensors

FOLDER = Path(__file__).parents[1] / "assets" / "text"
"""Where it lies in a package that was made for such a machine (`phonofilm.training.grow.bundle`)."""
NAME = "compact.safetensors"


def save_compact(weights: Mapping[str, Tensor], tokenizer: Path, folder: Path) -> Path:
    """Write the weights of an encoder and its tokenizer's file into a folder."""
    tensors = {name: value.half() for name, value in weights.items()}
    words = tensors.pop("words.weight").float()
    scale = words.abs().amax(1, keepdim=True) / 127
    tensors["words.rows"] = (words / scale).round().to(torch.int8)
    tensors["words.scale"] = scale
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(tokenizer, folder / "tokenizer.json")
    return save_tensors(folder / NAME, tensors)


def load_compact(folder: Path = FOLDER) -> dict[str, Tensor]:
    """Read the weights that `save_compact` wrote, in float32.

    An encoder's states differ from those of the whole weights by less than a hundredth.
    """
    tensors = {name: value.float() for name, value in load_tensors(folder / NAME)[0].items()}
    tensors["words.weight"] = tensors.pop("words.rows") * tensors.pop("words.scale")
    return tensors
