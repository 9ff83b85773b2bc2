"""What is in a store of clips: one JSON line a clip, in the order of the clips."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from phonofilm.config import from_dict, parse_json
from phonofilm.errors import PhonofilmError
from phonofilm.events import read_event
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
        return json.dumps(asdict(self), separators=(",", ":"), default=_plain, allow_nan=False)

    @staticmethod
    def from_json(line: str) -> ClipRecord:
        """Read a line of a manifest.

        Raises:
            PhonofilmError: it is no record, or a number is out of its range.
        """
        try:
            values = parse_json(line)
        except ValueError as error:
            raise PhonofilmError(f"not JSON: {error}") from error
        if not isinstance(values, dict):
            raise PhonofilmError("a record is a JSON object")
        events = values.pop("events", [])
        if not isinstance(events, list):
            raise PhonofilmError("events must be a list")
        record = from_dict(ClipRecord, values)
        for name in ("index", "row"):
            if getattr(record, name) < 0:
                raise PhonofilmError(f"{name} = {getattr(record, name)} is negative")
        if Path(record.shard).name != record.shard:
            raise PhonofilmError(f"shard {record.shard!r} is no file beside the manifest")
        return replace(record, events=tuple(read_event(e, f"event {n}") for n, e in enumerate(events, 1)))


def write_manifest(path: Path, records: Iterable[ClipRecord]) -> None:
    """Write a manifest atomically."""
    write_bytes(path, "".join(record.to_json() + "\n" for record in records).encode())


def read_manifest(path: Path) -> list[ClipRecord]:
    """All records of a manifest.

    Raises:
        PhonofilmError: no manifest there, or a line that is not a record.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines would part a caption with a line separator
    except OSError as error:
        raise PhonofilmError(f"{path} cannot be read; write clips first: phonofilm world") from error
    except UnicodeDecodeError as error:
        raise PhonofilmError(f"{path} is not a manifest of clips (it is not UTF-8); write it again") from error
    records: list[ClipRecord] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            records.append(ClipRecord.from_json(line))
        except PhonofilmError as error:
            raise PhonofilmError(f"{path} line {number} is not a record of a clip ({error}); write it again") from error
    return records


def _plain(value: Any) -> Any:
    """Numbers of numpy and torch as Python's own."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
