"""A published model on disk in diffusers' layout: what its folders say, and whether their files are whole."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from phonofilm.checkpoint import read_metadata
from phonofilm.errors import PhonofilmError
from phonofilm.weights import PublicModel, fetched


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
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PhonofilmError(f"{path} is missing; fetch or copy the model again") from error
    except ValueError as error:
        raise PhonofilmError(f"{path} is not JSON; fetch or copy the model again") from error
    return dict(found)


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
    """The .safetensors files of a component, those its index names, or all there are; their headers are whole.

    Raises:
        PhonofilmError: files that are missing or cut off.
    """
    found = _indexed(folder) or tuple(sorted(folder.glob("*.safetensors")))
    if not found:
        raise PhonofilmError(f"{folder} holds no .safetensors weights; fetch or copy them again")
    for path in found:
        read_metadata(path)
    return found


def _indexed(folder: Path) -> tuple[Path, ...]:
    for path in sorted(folder.glob("*.safetensors.index.json")):
        names = sorted(set(read_config(path).get("weight_map", {}).values()))
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise PhonofilmError(
                f"{folder} lacks {len(missing)} of {len(names)} files of weights, first {missing[0]}; fetch them again"
            )
        return tuple(folder / name for name in names)
    return ()


def read_header(path: Path) -> dict[str, Any]:
    """Names, dtypes and shapes of a .safetensors file; safetensors itself would map the whole file into memory.

    Raises:
        PhonofilmError: a file that is cut off, or of another format.
    """
    size = path.stat().st_size
    with path.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        try:
            header = json.loads(opened.read(length)) if length < size else None
        except ValueError:
            header = None
    if not isinstance(header, dict):
        raise PhonofilmError(f"weights {path} are corrupt: no header of safetensors; fetch or copy them again")
    header.pop("__metadata__", None)
    return header


def stored_dtype(paths: Sequence[Path], ending: str = "weight") -> torch.dtype:
    """What the tensors of such names are stored in; bfloat16 stands for 8-bit ones and for mixtures."""
    kinds = {"F32": torch.float32, "F16": torch.float16}
    found = {entry["dtype"] for name, entry in read_header(paths[0]).items() if name.endswith(ending)}
    return kinds.get(found.pop(), torch.bfloat16) if len(found) == 1 else torch.bfloat16


def parameters(paths: Sequence[Path]) -> int:
    """How many numbers the files hold."""
    return sum(math.prod(entry["shape"]) for path in paths for entry in read_header(path).values())
