"""What this installation made: a line for each file with its hash, its fingerprint and its recipe, kept here alone."""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from phonofilm.checkpoint import file_sha256
from phonofilm.provenance.kept.fingerprint import Fingerprint, fingerprint, is_match
from phonofilm.provenance.kept.home import home

NAME = "made.jsonl"


@dataclass(frozen=True)
class Remembered:
    """A line of the log that a file agrees with.

    Attributes:
        exact: the file is the same to the bit.
        shares: how much of picture and sound agree.
    """

    line: Mapping[str, Any]
    exact: bool
    shares: Mapping[str, float]


def remember(
    path: Path,
    recipe: Mapping[str, Any],
    streams: Collection[str],
    spans: Mapping[str, tuple[float, float]] = MappingProxyType({}),
) -> None:
    """Append a line for a written file.

    Args:
        streams: "sound" and "picture", as far as they were made: what was given is not known again by them.
        spans: seconds of those streams of which only a part was made.

    Raises:
        PhonofilmError: the file cannot be read again.
        OSError: the log cannot be written.
    """
    folder = home()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    bits = fingerprint(path, streams).within(spans).to_json()
    line = {"made": when, "name": path.name, "sha256": file_sha256(path), **bits}
    # one short write in append mode: lines of two processes do not mix
    with (folder / NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line | {"recipe": dict(recipe)}, ensure_ascii=False, default=str) + "\n")


def recall(path: Path, found: Fingerprint) -> Remembered | None:
    """The line of the log that agrees best with a file, if one does."""
    digest, best = file_sha256(path), None
    for line in _lines():
        if line.get("sha256") == digest:
            return Remembered(line, True, {})
        try:
            shares = found.alike(Fingerprint.from_json({"picture": line["picture"], "sound": line["sound"]}))
        except (KeyError, ValueError, TypeError):
            continue
        if is_match(shares) and (best is None or max(shares.values()) > max(best.shares.values())):
            best = Remembered(line, False, shares)
    return best


def is_there() -> bool:
    """Whether anything was logged here."""
    return (home() / NAME).is_file()


def _lines() -> Iterator[dict[str, Any]]:
    try:
        with (home() / NAME).open(encoding="utf-8") as file:
            for text in file:
                try:
                    line = json.loads(text)
                except ValueError:  # a line cut off as the disk was full
                    continue
                if isinstance(line, dict):
                    yield line
    except OSError:
        return
