"""Which versions of a set there were, what was in each, and who was trained on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from phonofilm.data.curate.common.results import read_json, write_json

VERSIONS, REMOVED = "versions.json", "removed.json"


def set_digest(rows: Iterable[Mapping[str, Any]]) -> str:
    """Names a set by the clips that it has: what a run that trains on it writes into its weights."""
    return hashlib.sha256("\n".join(sorted(row["key"] for row in rows)).encode()).hexdigest()


def note_version(folder: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    """Remember which sources are in the set as it is now; returns its digest."""
    digest = set_digest(rows)
    held = read_json(folder / VERSIONS)
    held = held if isinstance(held, dict) else {}
    sources = sorted({row["source"] for row in rows})
    if held.get(digest) != sources:
        write_json(folder / VERSIONS, {**held, digest: sources})
    return digest


def versions_with(folder: Path, source: str) -> tuple[str, ...]:
    """Digests of all versions of a set that had a source in it."""
    held = read_json(folder / VERSIONS)
    return tuple(digest for digest, sources in held.items() if source in sources) if isinstance(held, dict) else ()


def removed_sources(folder: Path) -> frozenset[str]:
    """Digests of sources that were taken out and stay out."""
    held = read_json(folder / REMOVED)
    return frozenset(held) if isinstance(held, list) else frozenset()


def weights_that_saw(folders: Iterable[Path], digests: Sequence[str]) -> tuple[str, ...]:
    """Safetensors files whose header names one of these digests."""
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*.safetensors")) if folder.is_dir() else [folder]:
            said = _metadata(path)
            if any(digest in said for digest in digests):
                found.append(str(path))
    return tuple(found)


def _metadata(path: Path) -> str:
    """What the header of a safetensors file says besides its tensors; nothing where there is none."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if 0 < length < 2**26 else {}
    except (OSError, ValueError):
        return ""
    return json.dumps(header.get("__metadata__", {})) if isinstance(header, dict) else ""
