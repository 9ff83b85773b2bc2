"""Weights in files of a limited size, for ways that carry no larger ones, and back in one."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor

from phonofilm.checkpoint import load_tensors, save_tensors
from phonofilm.errors import PhonofilmError

LIMIT = 16_000_000
"""Bytes to a file."""
MARK = "parts"


def split(weights: Path, folder: Path, limit: int = LIMIT) -> list[Path]:
    """Write weights into a folder, in one file where they fit and else in several, "NAME-1of2.safetensors" and on.

    Raises:
        PhonofilmError: a single tensor is larger than the limit.
    """
    tensors, metadata = load_tensors(weights)
    groups: list[dict[str, Tensor]] = [{}]
    filled = 0
    room = limit - 100_000 - len(json.dumps(metadata))  # for the header
    for name, tensor in sorted(tensors.items()):
        size = tensor.numel() * tensor.element_size()
        if size > room:
            raise PhonofilmError(f"{name} of {weights} has {size:,} bytes, more than fit into a file of {limit:,}")
        if filled + size > room:
            groups.append({})
            filled = 0
        groups[-1][name] = tensor
        filled += size
    if len(groups) == 1:
        return [save_tensors(folder / weights.name, tensors, metadata)]
    return [
        save_tensors(
            folder / f"{weights.stem}-{number}of{len(groups)}.safetensors",
            group,
            {**metadata, MARK: f"{number}/{len(groups)}"},
        )
        for number, group in enumerate(groups, 1)
    ]


def find(folder: Path, name: str, scratch: Path) -> Path | None:
    """The weights `name` of a folder: their file, or their parts joined in `scratch`; None where there are none.

    Raises:
        PhonofilmError: a part is missing.
    """
    whole = folder / f"{name}.safetensors"
    if whole.is_file():
        return whole
    files = sorted(folder.glob(f"{name}-*of*.safetensors"))
    if not files:
        return None
    scratch.mkdir(parents=True, exist_ok=True)
    return join(files, scratch / whole.name)


def join(files: list[Path], output: Path) -> Path:
    """Put parts that `split` wrote together again.

    Raises:
        PhonofilmError: a part is missing, or there are parts of different weights.
    """
    tensors: dict[str, Tensor] = {}
    facts: dict[str, str] = {}
    numbers = set()
    for file in files:
        part, metadata = load_tensors(file)
        numbers.add(metadata.pop(MARK, ""))
        if facts and metadata != facts:
            raise PhonofilmError(f"{file} belongs to other weights than {files[0]}")
        tensors, facts = {**tensors, **part}, metadata
    if numbers != {f"{number}/{len(files)}" for number in range(1, len(files) + 1)}:
        raise PhonofilmError(f"parts of {output.name} are missing: there are {', '.join(sorted(numbers))}")
    return save_tensors(output, tensors, facts)
