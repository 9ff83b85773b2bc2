"""Shards: safetensors files that share their first axis, read row by row from the memory map."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from phonofilm.errors import PhonofilmError


class Shards:
    """Rows of all `{prefix}-*.safetensors` files of a folder, and then of `more` folders, as if they were one.

    Raises:
        PhonofilmError: a folder without shards, or a shard that is cut short.
    """

    def __init__(self, folder: str | Path, prefix: str, more: Sequence[str | Path] = ()) -> None:
        from safetensors import SafetensorError, safe_open

        self.paths: list[Path] = []
        for place in (folder, *more):
            if not (found := sorted(Path(place).glob(f"{prefix}-*.safetensors"))):
                raise PhonofilmError(f"no {prefix}-*.safetensors in {place}; see python -m phonofilm.data.precompute")
            self.paths += found
        self._files: list[Any] = []
        counts: list[int] = []
        for path in self.paths:
            try:
                file = safe_open(path, framework="pt")
                names = sorted(file.keys())
                counts.append(file.get_slice(names[0]).get_shape()[0])
            except (SafetensorError, OSError, IndexError) as error:
                raise PhonofilmError(f"shard {path} is corrupt ({error}); delete it and write it again") from error
            self._files.append(file)
        self.names = tuple(names)
        self._ends = list(accumulate(counts))

    def __len__(self) -> int:
        return self._ends[-1]

    def row(self, name: str, index: int, start: int | None = None, stop: int | None = None) -> Tensor:
        """Row `index` of a tensor (its steps `start` to `stop` only, where given); only that is read."""
        shard = bisect_right(self._ends, index)
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        offset = index - (self._ends[shard - 1] if shard else 0)
        sliced = self._files[shard].get_slice(name)
        if start is None and stop is None:
            return sliced[offset : offset + 1][0]
        return sliced[offset : offset + 1, start:stop][0]

    def last(self, name: str, index: int, start: int, stop: int | None) -> Tensor:
        """Row `index` of a tensor, steps `start` to `stop` of its last axis only; only that is read."""
        shard = bisect_right(self._ends, index)
        offset = index - (self._ends[shard - 1] if shard else 0)
        sliced = self._files[shard].get_slice(name)
        between = (slice(None),) * (len(sliced.get_shape()) - 2)
        return sliced[(slice(offset, offset + 1), *between, slice(start, stop))][0]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one row of a tensor."""
        return tuple(self._files[0].get_slice(name).get_shape()[1:])

    def rows(self, name: str, indices: Sequence[int]) -> Tensor:
        """Rows stacked to [len(indices), ...]."""
        first = self.row(name, indices[0])
        stacked = torch.empty((len(indices), *first.shape), dtype=first.dtype)
        for place, index in enumerate(indices):  # not torch.stack, which float16 must not reach under CPU autocast
            stacked[place] = self.row(name, index)
        return stacked

    def digest(self) -> str:
        """SHA-256 over the shards' names and bytes: names the data a network was trained on."""
        total = hashlib.sha256()
        for path in self.paths:
            total.update(path.name.encode())
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        return total.hexdigest()
