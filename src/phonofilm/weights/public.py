"""Public models on this machine: their home, whether one is whole, and what names its weights."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from phonofilm.config import LARGEST, parse_json
from phonofilm.errors import PhonofilmError
from phonofilm.files import write_bytes
from phonofilm.weights.catalog import Published, find

MANIFEST = "phonofilm.json"
"""Beside fetched weights: repository, commit, terms accepted, and size and SHA-256 of every file, whole or not yet."""

SAMPLES, SAMPLE_BYTES = 16, 65_536
_FAMILIES = {"LTX2": "ltx2", "Wan": "wan"}
"""By how the class in model_index.json begins."""


def models_home() -> Path:
    """Where fetched models live: $PHONOFILM_MODELS, or a folder in the user's cache."""
    chosen = os.environ.get("PHONOFILM_MODELS")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(chosen) if chosen else cache / "phonofilm" / "models"


def fetched(model: Published, home: Path | None = None) -> Path | None:
    """Folder of a model that is here with all its files in full size, or None."""
    folder = (home or models_home()) / model.name
    manifest = read_manifest(folder)
    files = manifest.get("files", {})
    whole = bool(files) and manifest.get("complete") is True
    return folder if whole and all(_has(folder / name, facts["size"]) for name, facts in files.items()) else None


def family(model: str | Path) -> str | None:
    """Which public family a name, a folder or a single file is of: "ltx2", "wan", "mmaudio", or None for our own.

    Raises:
        PhonofilmError: a published model that none of our backends runs.
    """
    public = find(str(model))
    if public is not None:
        return public.family
    index = Path(model) / "model_index.json"
    if Path(model).name.startswith("mmaudio_") or any(Path(model).glob("mmaudio_*")):
        return "mmaudio"
    if Path(model).suffix == ".safetensors":
        return "ltx2"
    if not index.is_file():
        return None
    try:
        kind = str(parse_json(index.read_text(encoding="utf-8"))["_class_name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PhonofilmError(f"{index} does not say what it describes; fetch or copy the model again") from error
    for start, name in _FAMILIES.items():
        if kind.startswith(start):
            return name
    raise PhonofilmError(f"{model} holds a {kind}, which Phonofilm does not run; see phonofilm models")


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a fetch noted about a folder; empty where nothing was.

    Raises:
        PhonofilmError: the note is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PhonofilmError(f"{path} is damaged; delete it and run `phonofilm weights get` again") from error
    if not isinstance(found, dict) or not _are_files(found.get("files", {})):
        raise PhonofilmError(f"{path} is damaged; delete it and run `phonofilm weights get` again")
    return found


def _are_files(files: Any) -> bool:
    """Whether each is a name inside the folder, with its size and the hashes it was checked by."""
    if not isinstance(files, dict):
        return False
    for name, facts in files.items():
        if Path(name).is_absolute() or ".." in Path(name).parts or not isinstance(facts, dict):
            return False
        if type(facts.get("size")) is not int or not 0 <= facts["size"] < LARGEST:
            return False
        if not all(isinstance(facts.get(key), str | None) for key in ("sha256", "blob")):
            return False
    return True


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Note what is in a folder."""
    write_bytes(folder / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())


def quick_digest(paths: Iterable[Path], extra: str = "") -> str:
    """A hash that names weights too large to read whole each time: sizes, headers and samples of every file.

    64 hex digits. A file changed in its header or its length, or replaced by another, changes it; a single flipped
    bit between two samples does not, which the SHA-256 check of a fetch is for.

    Raises:
        PhonofilmError: a file that cannot be read.
    """
    whole = hashlib.sha256(extra.encode())
    for path in sorted(paths):
        try:
            size = path.stat().st_size
            whole.update(f"{path.name} {size}\n".encode())
            with path.open("rb") as opened:
                for number in range(SAMPLES):
                    opened.seek(number * max(size - SAMPLE_BYTES, 0) // (SAMPLES - 1))
                    whole.update(opened.read(SAMPLE_BYTES))
        except OSError as error:
            raise PhonofilmError(f"{path} cannot be read: {error.strerror or error}") from error
    return whole.hexdigest()


def _has(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
