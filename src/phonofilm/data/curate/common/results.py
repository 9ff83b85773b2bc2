"""Results on disk: one small file a shot, whole or not there, and in it every result with the key it was made under."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonofilm.data.curate.common.records import Shot
from phonofilm.data.curate.common.step import Value
from phonofilm.files import write_bytes


@dataclass(frozen=True)
class Entry:
    """What a step found of a shot, the key that it was found under, and the seconds that it took."""

    key: str
    value: Value
    seconds: float


class Results:
    """Folder of results. Reading what is damaged gives nothing, so that it is worked out again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, shot: Shot) -> Path:
        return self.folder / shot.source / f"{shot.key}.json"

    def read(self, shot: Shot) -> dict[str, Entry]:
        """All entries of a shot, those of older keys too."""
        found = read_json(self._path(shot))
        try:
            return {name: Entry(**entry) for name, entry in found.items()} if isinstance(found, dict) else {}
        except TypeError:
            return {}

    def fresh(self, shot: Shot, keys: Mapping[str, str]) -> dict[str, Value]:
        """What steps found under just these keys."""
        entries = self.read(shot)
        return {name: entries[name].value for name, key in keys.items() if name in entries and entries[name].key == key}

    def add(self, shot: Shot, entries: Mapping[str, Entry]) -> None:
        """Keep entries beside those that are there."""
        kept = {name: vars(entry) for name, entry in {**self.read(shot), **entries}.items()}
        write_json(self._path(shot), kept)

    def remove(self, source: str) -> int:
        """Delete everything that was found of a source; returns how many shots that were."""
        folder = self.folder / source
        count = len(list(folder.glob("*.json"))) if folder.is_dir() else 0
        shutil.rmtree(folder, ignore_errors=True)
        return count


def read_json(path: Path) -> Any:
    """What a JSON file holds; None where there is none, or a damaged one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, the same bytes for the same value."""
    write_bytes(path, (json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True) + "\n").encode())
