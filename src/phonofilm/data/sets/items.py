"""What every layout gives: items, each a stretch of one file with what the set says of it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from phonofilm.errors import PhonofilmError
from phonofilm.types import Event

FILMS = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".mpg", ".mpeg", ".m4v")
SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")


@dataclass(frozen=True)
class Item:
    """One example of a set.

    Attributes:
        name: unique in the set. file: where its media lies, or would lie; `missing` tells which.
        start, stop: seconds of the file; None for all of it.
        labels: classes. captions: texts. events: with times from `start` on. split: as the set names it.
    """

    name: str
    file: Path
    start: float | None = None
    stop: float | None = None
    labels: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    split: str = ""

    @property
    def missing(self) -> bool:
        return not self.file.is_file()


@dataclass(frozen=True)
class Layout:
    """How a data set is published.

    Attributes:
        name: for `--layout`. holds: what it is, for people. marks: patterns of files by which it is known.
        read: the items of a folder.
    """

    name: str
    holds: str
    marks: tuple[str, ...]
    read: Callable[[Path], Iterator[Item]]


class Media:
    """Finds media by their stem, wherever they lie in a folder."""

    def __init__(self, folder: Path, suffixes: Iterable[str] = (*FILMS, *SOUNDS)) -> None:
        self._folder, self._suffixes = folder, tuple(suffixes)
        self._found = {path.stem: path for path in sorted(folder.rglob("*")) if path.suffix.lower() in self._suffixes}

    def find(self, *stems: str) -> Path:
        """The first of these stems that is there; where it would lie if none is."""
        known = next((self._found[stem] for stem in stems if stem in self._found), None)
        return known or self._folder / f"{stems[0]}{self._suffixes[0]}"


def table(path: Path, separator: str = ",", columns: tuple[str, ...] | None = None) -> Iterator[Mapping[str, str]]:
    """Rows of a text table by column; lines that begin with # are remarks.

    Args:
        columns: names where the file has no header.

    Raises:
        PhonofilmError: a file that cannot be read, or a line that has another number of columns.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PhonofilmError(f"{path} cannot be read as text: {error}") from error
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip() and line[0] != "#"]
    rows = csv.reader((line.rstrip("\r") for _, line in lines), delimiter=separator, skipinitialspace=True)
    head = columns
    for (number, _), row in zip(lines, rows, strict=False):
        if head is None:
            head = tuple(cell.strip() for cell in row)
        elif len(row) != len(head):
            raise PhonofilmError(f"{path} line {number} has {len(row)} columns where there should be {len(head)}")
        else:
            yield dict(zip(head, (cell.strip() for cell in row), strict=True))


def number(row: Mapping[str, str], name: str, path: Path) -> float:
    """A number of a table.

    Raises:
        PhonofilmError: it is none, or the table has no such column.
    """
    try:
        return float(row[name])
    except KeyError as error:
        raise PhonofilmError(f"{path} has no column {name!r}; it has {', '.join(row)}") from error
    except ValueError as error:
        raise PhonofilmError(f"{path}: {name} = {row[name]!r} is no number") from error


def text(row: Mapping[str, str], name: str, path: Path) -> str:
    """A text of a table.

    Raises:
        PhonofilmError: the table has no such column.
    """
    if name not in row:
        raise PhonofilmError(f"{path} has no column {name!r}; it has {', '.join(row)}")
    return row[name]


def one(folder: Path, *patterns: str) -> Path:
    """The first file of a folder that fits one of the patterns.

    Raises:
        PhonofilmError: none does.
    """
    for pattern in patterns:
        if found := sorted(folder.rglob(pattern)):
            return found[0]
    raise PhonofilmError(f"{folder} has no {' or '.join(patterns)}")
