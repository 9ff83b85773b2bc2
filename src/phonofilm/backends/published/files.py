"""A published model on disk in diffusers' layout: what its folders say, and whether their files are whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from phonofilm.backends.published.scaled import FLOAT8, IGNORED
from phonofilm.backends.published.variants import weight_set
from phonofilm.checkpoint import read_metadata
from phonofilm.config import parse_json
from phonofilm.errors import PhonofilmError
from phonofilm.weights import PublicModel, fetched

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "I8": torch.int8,
}
"""What weights may be stored in, by the names of safetensors."""
WIDTHS = {name: dtype.itemsize for name, dtype in DTYPES.items()} | {"U8": 1, "BOOL": 1, "I16": 2, "I32": 4, "I64": 8}


def public_folder(model: PublicModel) -> Path:
    """Where a model of the catalogue was fetched to.

    Raises:
        PhonofilmError: it was not.
    """
    here = fetched(model)
    if here is None:
        raise PhonofilmError(
            f"{model.name} is not here (about {model.gigabytes:.0f} GB); "
            f"fetch it with: phonofilm weights get {model.name}"
        )
    return here


def read_index(path: Path) -> dict[str, Any]:
    """model_index.json, which says what a folder holds.

    Raises:
        PhonofilmError: there is none.
    """
    if not (path / "model_index.json").is_file():
        raise PhonofilmError(f"{path} holds no model_index.json, so it is no folder of a published model")
    return read_config(path / "model_index.json")


def read_config(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        PhonofilmError: the file is missing or damaged.
    """
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PhonofilmError(f"{path} is missing; fetch or copy the model again") from error
    except ValueError as error:
        raise PhonofilmError(f"{path} is not JSON; fetch or copy the model again") from error
    if not isinstance(found, dict):
        raise PhonofilmError(f"{path} is not a JSON object; fetch or copy the model again")
    return found


def read_components(path: Path, classes: dict[str, tuple[str, ...]]) -> dict[str, dict[str, Any]]:
    """config.json of each component; one without classes may be anything.

    Raises:
        PhonofilmError: a component that is missing or of another kind.
    """
    for name in (*classes, "tokenizer"):
        if not (path / name).is_dir():
            raise PhonofilmError(f"{path} lacks the folder {name}; fetch or copy the model again")
    configs = {name: read_config(path / name / "config.json") for name in classes}
    for name, known in classes.items():
        found = configs[name].get("_class_name", "something else")
        if known and found not in known:
            raise PhonofilmError(f"{path / name} is a {found}, where {' or '.join(known)} is needed")
    return configs


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The .safetensors files that are a component's weights (see `variants`); their headers are whole.

    Raises:
        PhonofilmError: files that are missing, cut off, or of which it cannot be told which ones are meant.
    """
    found = weight_set(folder, read_config).files
    for path in found:
        read_metadata(path)
    return found


def variant_of(folder: Path) -> str | None:
    """The variant that a component's weights are, as diffusers and transformers want it, or None for the plain ones."""
    return weight_set(folder, read_config).variant or None


def read_header(path: Path) -> dict[str, Any]:
    """Names, dtypes and shapes of a .safetensors file; safetensors itself would map the whole file into memory.

    Raises:
        PhonofilmError: a file that is cut off, or of another format.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = parse_json(opened.read(length)) if length < size else None
    except OSError as error:
        raise PhonofilmError(f"weights {path} cannot be read: {error.strerror or error}") from error
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise PhonofilmError(f"weights {path} are corrupt: no header of safetensors; fetch or copy them again")
    header.pop("__metadata__", None)
    for name, entry in header.items():
        if not _is_entry(entry, size - 8 - length):
            raise PhonofilmError(f"weights {path} are corrupt: {name} is no tensor of it; fetch or copy them again")
    return header


def _is_entry(entry: Any, size: int) -> bool:
    """Whether it describes a tensor within so many bytes."""
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if not (isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2):
        return False
    if not all(type(number) is int and number >= 0 for number in (*shape, *offsets)):
        return False
    start, end = offsets
    width = WIDTHS.get(entry["dtype"])
    return start <= end <= size and (width is None or end - start == width * math.prod(shape))


def stored_dtype(paths: Sequence[Path], ending: str = "weight") -> torch.dtype:
    """What the tensors of such names are stored in; bfloat16 stands for 8-bit ones and for mixtures."""
    kinds = {"F32": torch.float32, "F16": torch.float16}
    found = {entry["dtype"] for path in paths for name, entry in read_header(path).items() if name.endswith(ending)}
    return kinds.get(found.pop(), torch.bfloat16) if len(found) == 1 else torch.bfloat16


def eight_bit(paths: Sequence[Path]) -> bool:
    """Whether matrices are stored in 8 bits.

    Raises:
        PhonofilmError: some are stored in what nothing here can read.
    """
    found = False
    for path in paths:
        for name, entry in read_header(path).items():
            if entry["dtype"] not in DTYPES and not name.endswith(IGNORED):
                raise PhonofilmError(
                    f"{path}: {name} is stored in {entry['dtype']}, which is not supported; "
                    f"use bf16, fp16, fp8 or int8 weights"
                )
            found = found or DTYPES.get(entry["dtype"]) in (*FLOAT8, torch.int8)
    return found


def parameters(paths: Sequence[Path]) -> int:
    """How many numbers the files hold."""
    return sum(math.prod(entry["shape"]) for path in paths for entry in read_header(path).values())
