"""A public set as WebDataset shards, without encoding: parts are copied from the keyframe before, files as they are."""

from __future__ import annotations

import io
import itertools
import json
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from phonofilm.data.sets.hub import HubSet, Row
from phonofilm.data.sets.items import Item
from phonofilm.errors import PhonofilmError
from phonofilm.files import atomic, printable
from phonofilm.media import probe
from phonofilm.media.shots.cutting import copy_part
from phonofilm.media.shots.scan import outline
from phonofilm.types import Progress

PER_SHARD = 1000
ROWS = "PHONOFILM.rows"
"""Header of a shard of `convert_rows`: how many rows of the set it stands for."""


def convert(items: Sequence[Item], output: Path, progress: Progress) -> tuple[int, dict[str, str]]:
    """Write shards `SPLIT-00000.tar`; returns how many items they hold, and why others are left out.

    A sample is the media and a `.json` with labels, captions, events and, of a part, its exact times in the file.

    Raises:
        PhonofilmError: a set of shards, which needs no conversion, or a folder that cannot be written.
    """
    if any(item.file.suffix == ".tar" for item in items):
        raise PhonofilmError("these are shards already; train on them as they are")
    left_out: dict[str, str] = {}
    written = 0
    for split in dict.fromkeys(item.split for item in items):
        part = [item for item in items if item.split == split]
        for shard, first in enumerate(range(0, len(part), PER_SHARD)):
            path = output / f"{_plain(split) or 'all'}-{shard:05d}.tar"
            with atomic(path) as temporary, tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
                for item in part[first : first + PER_SHARD]:
                    progress("converting", written + len(left_out), len(items))
                    try:
                        content, suffix, times = _media(item)
                    except PhonofilmError as error:
                        left_out[item.name] = str(error)
                        continue
                    name = f"{written:09d}"
                    _add(tar, name + suffix, content)
                    _add(tar, name + ".json", json.dumps(_beside(item) | times, ensure_ascii=False).encode())
                    written += 1
    progress("converting", len(items), len(items))
    return written, left_out


def convert_rows(
    found: HubSet, output: Path, progress: Progress, limit: int | None = None
) -> tuple[int, dict[str, str]]:
    """The same for a set that is read row by row, `PER_SHARD` rows to a shard.

    Shards of so many rows that are there already are not read again.

    Returns:
        how many samples this call has written, and why rows are left out.

    Raises:
        PhonofilmError: the connection broke (the shards before are whole), or a folder that cannot be written.
    """
    left_out: dict[str, str] = {}
    written, done, most = 0, 0, sys.maxsize if limit is None else limit
    while done + PER_SHARD <= most and _rows_in(_shard_of(found, output, done)) == PER_SHARD:
        done += PER_SHARD
    rows = found.rows(done)
    while some := list(itertools.islice(rows, min(PER_SHARD, most - done))):
        samples = []
        for number, row in enumerate(some, done):
            progress("converting", number, limit or number + 1)
            if fault := _unreadable(row, found.media):
                left_out[row if isinstance(row, str) else row.name] = fault
            elif isinstance(row, Row):
                samples.append((number, row))
        _write_rows(_shard_of(found, output, done), samples, len(some), found.split)
        written, done = written + len(samples), done + len(some)
    progress("converting", done, done)
    return written, left_out


def _write_rows(path: Path, samples: Sequence[tuple[int, Row]], rows: int, split: str) -> None:
    with atomic(path) as temporary:
        said = {ROWS: str(rows)}
        with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT, pax_headers=said) as tar:
            for number, row in samples:
                item = Item(row.name, Path(row.name), labels=row.labels, captions=row.captions, split=split)
                _add(tar, f"{number:09d}{row.suffix}", row.content)
                _add(tar, f"{number:09d}.json", json.dumps(_beside(item), ensure_ascii=False).encode())


def _rows_in(path: Path) -> int:
    """How many rows of its set a shard stands for, those that were left out too; 0 where it is not there."""
    if not path.is_file():
        return 0
    try:
        with tarfile.open(path) as tar:
            tar.next()
            return int(tar.pax_headers.get(ROWS, 0))
    except (tarfile.TarError, ValueError):
        return 0


def _shard_of(found: HubSet, output: Path, row: int) -> Path:
    return output / f"{_plain(found.split) or 'all'}-{row // PER_SHARD:05d}.tar"


def _unreadable(row: Row | str, column: str) -> str:
    """What is wrong with a row's media, or nothing."""
    if isinstance(row, str):
        return f"it has no media in column {column}"
    with tempfile.NamedTemporaryFile(suffix=row.suffix) as file:
        file.write(row.content)
        file.flush()
        try:
            probe(Path(file.name))
        except PhonofilmError as error:
            return str(error).replace(file.name, row.name)
    return ""


def _media(item: Item) -> tuple[bytes, str, dict[str, str]]:
    """Bytes and suffix of an item's media, and where in it the item lies if not all of it."""
    if item.missing:
        raise PhonofilmError(f"{item.file.name} is not there")
    if item.start is None or item.stop is None:
        probe(item.file)
        return item.file.read_bytes(), item.file.suffix.lower(), {}
    begin = outline(item.file).start
    start, stop = (begin + Fraction(time).limit_denominator(1000) for time in (item.start, item.stop))
    part = copy_part(item.file, start, stop)
    return part.content, part.suffix, {"clip_in_exact": str(part.start), "clip_out_exact": str(part.stop)}


def _beside(item: Item) -> dict[str, Any]:
    events = [{key: value for key, value in asdict(event).items() if value is not None} for event in item.events]
    return {
        "name": printable(item.name), "split": item.split, "labels": list(item.labels),
        "caption": item.captions[0] if item.captions else "", "captions": list(item.captions), "events": events,
    }  # fmt: skip


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
