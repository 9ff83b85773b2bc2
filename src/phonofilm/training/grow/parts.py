"""Weights in files of a limited size, for ways that carry no larger ones; `load_tensors` reads them as one."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor

from phonofilm.checkpoint import load_tensors, save_tensors
from phonofilm.errors import PhonofilmError

LIMIT = 16_000_000
"""Bytes to a file."""


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
            metadata,
        )
        for number, group in enumerate(groups, 1)
    ]
