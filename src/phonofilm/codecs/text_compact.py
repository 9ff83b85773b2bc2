"""The text encoder in a third of its bytes, for machines that cannot fetch it: words in 8 bits, the rest in 16."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from phonofilm.checkpoint import file_sha256, load_tensors, save_tensors

if TYPE_CHECKING:
    from phonofilm.codecs.text import TextEncoder

FOLDER = Path(__file__).parents[1] / "assets" / "text"
"""Where it lies in a package that was made for such a machine (`phonofilm.training.grow.bundle`)."""
NAME = "compact.safetensors"


def save_compact(encoder: TextEncoder, tokenizer: Path, folder: Path) -> Path:
    """Write an encoder and its tokenizer's file into a folder."""
    tensors = {name: value.half() for name, value in encoder.network.state_dict().items()}
    words = tensors.pop("words.weight").float()
    scale = words.abs().amax(1, keepdim=True) / 127
    tensors["words.rows"] = (words / scale).round().to(torch.int8)
    tensors["words.scale"] = scale
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(tokenizer, folder / "tokenizer.json")
    return save_tensors(folder / NAME, tensors)


def load_compact(folder: Path = FOLDER, device: str | torch.device = "cpu") -> TextEncoder:
    """Read what `save_compact` wrote; states differ from the whole encoder's by less than a hundredth."""
    from tokenizers import Tokenizer

    from phonofilm.codecs.text import Bert, TextEncoder

    tensors = {name: value.float() for name, value in load_tensors(folder / NAME)[0].items()}
    tensors["words.weight"] = tensors.pop("words.rows") * tensors.pop("words.scale")
    network = Bert()
    network.load_state_dict(tensors, assign=True)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return TextEncoder(network.to(device), tokenizer, file_sha256(folder / NAME))
