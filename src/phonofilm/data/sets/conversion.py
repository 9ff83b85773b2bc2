"""A public set as WebDataset shards, without encoding: parts are copied from the keyframe before, files as they are."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from phonofilm.data.sets.items import Item
from phonofilm.errors import PhonofilmError
from phonofilm.files import atomic, printable
from phonofilm.media import probe
from phonofilm.media.shots.cutting import copy_part
from phonofilm.media.shots.scan import outline
from phonofilm.types import Progress

PER_SHARD = 1000


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
