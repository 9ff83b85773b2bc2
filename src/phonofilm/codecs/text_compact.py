"""The text encoder's weights in a quarter of their bytes: matrices in 8 bits, with a scale for each row.

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
ROWS, SCALE = ".rows", ".scale"


def save_compact(weights: Mapping[str, Tensor], tokenizer: Path, folder: Path) -> Path:
    """Write the weights of an encoder and its tokenizer's file into a folder."""
    tensors: dict[str, Tensor] = {}
    for name, value in weights.items():
        if value.ndim < 2:
            tensors[name] = value.half()
            continue
        scale = value.abs().amax(1, keepdim=True).clamp_min(1e-8) / 127
        tensors[name + ROWS] = (value / scale).round().to(torch.int8)
        tensors[name + SCALE] = scale
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(tokenizer, folder / "tokenizer.json")
    return save_tensors(folder / NAME, tensors)


def load_compact(folder: Path = FOLDER) -> dict[str, Tensor]:
    """Read the weights that `save_compact` wrote, in float32.

    An encoder's states differ from those of the whole weights by some three hundredths.
    """
    tensors = {name: value.float() for name, value in load_tensors(folder / NAME)[0].items()}
    for name in [name.removesuffix(ROWS) for name in tensors if name.endswith(ROWS)]:
        tensors[name] = tensors.pop(name + ROWS) * tensors.pop(name + SCALE)
    return tensors
