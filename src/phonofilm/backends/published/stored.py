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

from phonofilm.backends.published.files import read_header
from phonofilm.errors import PhonofilmError
from phonofilm.model.quantized import ROWS

_DTYPES = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


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
    """All tensors of a network's files, by name."""
    found = {}
    for path in paths:
        with path.open("rb") as opened:
            begin = 8 + int.from_bytes(opened.read(8), "little")
        for name, entry in read_header(path).items():
            start, end = entry["data_offsets"]
            if entry["dtype"] in _DTYPES:
                shape = tuple(entry["shape"])
                found[name] = Stored(path, _DTYPES[entry["dtype"]], shape, begin + start, end - start)
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
