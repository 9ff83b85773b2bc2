"""A published transformer in 8 or 4 bits: each matrix is read, given its LoRA, quantised, and forgotten as it was."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from pathlib import Path

import torch
from torch import Tensor, nn

from phonofilm.backends.ltx2.config import network_config
from phonofilm.backends.ltx2.folder import Folder
from phonofilm.backends.ltx2.lora import Lora, additions
from phonofilm.backends.ltx2.network import BESIDE, SCALES, stored_dtype
from phonofilm.backends.published.files import read_header
from phonofilm.errors import PhonofilmError
from phonofilm.model.config import TransformerConfig
from phonofilm.model.names import PREFIX, from_published
from phonofilm.model.quantized import (
    ROWS,
    Quantization,
    QuantizedLinear,
    bytes_of,
    quantizable,
    quantize_blocks,
)
from phonofilm.model.transformer import AVTransformer

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


def load_quantized(folder: Folder, kind: Quantization, loras: Sequence[Lora] = ()) -> nn.Module:
    """The transformer on the CPU with its blocks in `kind`. Matrices stored as float8 stay as they are for "fp8".

    Raises:
        PhonofilmError: weights that are corrupt, incomplete, or of another network.
    """
    with torch.device("meta"):
        module = AVTransformer(network_config(folder.configs["transformer"], str(folder.path / "transformer")))
    matrices, dtype = dict(quantizable(module)), stored_dtype(folder.transformer)
    rest: dict[str, Tensor] = {}
    for source in _sources(folder, module, loras):
        layer = source.name.removesuffix(".weight")
        if layer in matrices:
            module.set_submodule(layer, source.quantized(kind, matrices[layer].bias))
            give_back()
        else:
            rest[source.name] = source.whole().to(dtype)
    module.load_state_dict(rest, assign=True)
    return module.eval().requires_grad_(False)


@dataclass(frozen=True)
class Source:
    """What one of our tensors is made of.

    Attributes:
        scale: what an 8-bit matrix in the file is multiplied by.
        changes: what LoRA files add to it.
    """

    name: str
    stored: Stored
    scale: Stored | None
    changes: tuple[Callable[[], Tensor], ...]

    def whole(self) -> Tensor:
        """It as stored, or in float32 where something is done to it."""
        tensor = self.stored.read()
        if self.scale is not None:
            tensor = tensor.float() * self.scale.read().float()
        for change in self.changes:
            tensor = tensor.float() + change()
        return tensor

    def quantized(self, kind: Quantization, bias: nn.Parameter | None) -> QuantizedLinear:
        if kind == "fp8" and self.stored.dtype == torch.float8_e4m3fn and not self.changes:
            scale = torch.ones(1, 1) if self.scale is None else self.scale.read().float().reshape(-1, 1)
            return QuantizedLinear(kind, self.stored.read(), scale, bias)
        return QuantizedLinear.of(self.whole(), kind, bias)


def _sources(folder: Folder, module: nn.Module, loras: Sequence[Lora]) -> Iterator[Source]:
    """In the order of the files."""
    stored = _stored(folder.transformer)
    scales = {name.removeprefix(PREFIX): found for name, found in stored.items() if name.endswith(BESIDE)}
    published = {name: name for name in stored if not name.endswith(BESIDE)}
    expected = module.state_dict()
    names = from_published(published, expected)
    added = [additions(module, lora) for lora in loras]
    for ours, theirs in sorted(names.items(), key=lambda pair: stored[pair[1]].start):
        found, needed = stored[theirs], tuple(expected[ours].shape)
        if found.shape != needed:
            raise PhonofilmError(f"{found.path}: {ours} does not fit ({found.shape} for {needed})")
        stem = theirs.removeprefix(PREFIX).removesuffix(".weight")
        scale = next((scales[stem + ending] for ending in SCALES if stem + ending in scales), None)
        yield Source(ours, found, scale, tuple(part[ours] for part in added if ours in part))


def network_bytes(folder: Folder, kind: Quantization | None) -> int:
    """What the transformer takes in memory."""
    return _network_bytes(network_config(folder.configs["transformer"]), stored_dtype(folder.transformer), kind)


@lru_cache(maxsize=16)
def _network_bytes(config: TransformerConfig, dtype: torch.dtype, kind: Quantization | None) -> int:
    with torch.device("meta"):
        module = AVTransformer(config).to(dtype)
        return bytes_of(module if kind is None else quantize_blocks(module, kind))


def reading_bytes(folder: Folder) -> int:
    """What is in memory beside the codes while the largest matrix is quantised: it, and some rows of it in float32."""
    matrices = [found for found in _stored(folder.transformer).values() if len(found.shape) == 2]
    largest = max(matrices, key=attrgetter("size"))
    return largest.size + 3 * 4 * ROWS * largest.shape[1]


def give_back() -> None:
    """Return freed memory to the system. glibc keeps what lies between the codes, as much as a quarter of them."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def _stored(paths: Sequence[Path]) -> dict[str, Stored]:
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
