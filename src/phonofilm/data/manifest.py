"""What is in a store of clips: one JSON line a clip, in the order of the clips."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from phonofilm.errors import PhonofilmError
from phonofilm.files import write_bytes
from phonofilm.types import Event


@dataclass(frozen=True)
class ClipRecord:
    """One clip: where it lies (shard and row), what it is, and what happens in it."""

    index: int
    shard: str
    row: int
    family: str
    seed: int
    caption: str
    events: tuple[Event, ...] = ()
    params: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"), default=_plain)

    @staticmethod
    def from_json(line: str) -> ClipRecord:
        values = json.loads(line)
        events = tuple(Event(**{**e, "box": tuple(e["box"]) if e["box"] else None}) for e in values.pop("events"))
        return ClipRecord(events=events, **values)


def write_manifest(path: Path, records: Iterable[ClipRecord]) -> None:
    """Write a manifest atomically."""
    write_bytes(path, "".join(record.to_json() + "\n" for record in records).encode())


def read_manifest(path: Path) -> list[ClipRecord]:
    """All records of a manifest.

    Raises:
        PhonofilmError: no manifest there, or a line that is not a record.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise PhonofilmError(f"{path} cannot be read; write clips first: phonofilm world") from error
    try:
        return [ClipRecord.from_json(line) for line in lines if line]
    except (ValueError, TypeError, KeyError) as error:
        raise PhonofilmError(f"{path} is not a manifest of clips ({error}); write it again") from error


def _plain(value: Any) -> Any:
    """Numbers of numpy and torch as Python's own."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
