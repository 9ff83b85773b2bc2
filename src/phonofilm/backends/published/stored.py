"""Tensors in .safetensors files one by one, for networks that are quantised while they are read."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import torch
from torch import Tensor

from phonofilm.backends.published.files import DTYPES, read_header
from phonofilm.backends.published.scaled import IGNORED
from phonofilm.errors import PhonofilmError
from phonofilm.model.quantized import ROWS


@dataclass(frozen=True)
class Stored:
    """A tensor in a file."""

    path: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    size: int

    def read(self) -> Tensor:
        """It alone; a mapped file would keep all that was read in memory.

        Raises:
            PhonofilmError: the file is shorter than its header says.
        """
        data = bytearray(self.size)
        with self.path.open("rb") as opened:
            opened.seek(self.start)
            if opened.readinto(data) != self.size:
                raise PhonofilmError(f"weights {self.path} are cut off; fetch or copy them again")
        return torch.frombuffer(data, dtype=self.dtype).view(self.shape)


def stored_tensors(paths: Sequence[Path]) -> dict[str, Stored]:
    """All tensors of a network's files, by name.

    Raises:
        PhonofilmError: a file that is corrupt, or numbers of a kind that weights cannot have.
    """
    found: dict[str, Stored] = {}
    for path in paths:
        header = read_header(path)
        with path.open("rb") as opened:
            begin = 8 + int.from_bytes(opened.read(8), "little")
        for name, entry in header.items():
            start, end = entry["data_offsets"]
            if name in found:
                raise PhonofilmError(f"weights {path} hold {name} once more, which {found[name].path} has already")
            if entry["dtype"] in DTYPES:
                found[name] = Stored(path, DTYPES[entry["dtype"]], tuple(entry["shape"]), begin + start, end - start)
            elif not name.endswith(IGNORED):
                raise PhonofilmError(
                    f"{path}: {name} is stored in {entry['dtype']}, which is not supported; "
                    f"use bf16, fp16, fp8 or int8 weights"
                )
    return found


def reading_bytes(paths: Sequence[Path]) -> int:
    """What is in memory beside the codes while the largest matrix is quantised: it, and some rows of it in float32."""
    matrices = [found for found in stored_tensors(paths).values() if len(found.shape) == 2]
    largest = max(matrices, key=attrgetter("size"))
    return largest.size + 3 * 4 * ROWS * largest.shape[1]


def give_back() -> None:
    """Return freed memory to the system. glibc keeps what lies between the codes, as much as a quarter of them."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
