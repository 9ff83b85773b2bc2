"""What writing any store needs: shards that are kept when whole, facts that must agree, a line of progress."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from torch import Tensor

from phonofilm.checkpoint import save_tensors
from phonofilm.config import LARGEST, from_dict, parse_json
from phonofilm.data.manifest import ClipRecord, read_manifest, write_manifest
from phonofilm.errors import PhonofilmError
from phonofilm.files import write_bytes
from phonofilm.types import Progress

Rows = Sequence[int]
FACTS = "store.json"
LINE_SECONDS = 5
"""A line is printed no more often."""


def open_folder(folder: Path, facts: Mapping[str, Any]) -> None:
    """Make a store's folder, or check that what is in it was made from the same things.

    Raises:
        PhonofilmError: its shards were made from something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = json.loads(json.dumps(dict(facts)))
    if (folder / FACTS).exists() and {**read_facts(folder), "count": 0} != {**wanted, "count": 0}:
        raise PhonofilmError(f"{folder} holds shards made from something else; choose another folder, or delete it")
    write_bytes(folder / FACTS, json.dumps(wanted, indent=1).encode())


def sets_of(source: object) -> dict[str, Any]:
    """What says which curated sets clips are of, as facts of a store: licences by digest; nothing for other clips."""
    sets = getattr(source, "sets", None)
    return {"sets": {digest: list(licenses) for digest, licenses in sets.items()}} if sets else {}


def sets_text(source: object) -> dict[str, str]:
    """`sets_of` as the metadata of weights, by which `phonofilm data remove` finds who has seen a set."""
    return {name: json.dumps(value, sort_keys=True) for name, value in sets_of(source).items()}


def merged_sets(many: Iterable[Mapping[str, Sequence[str]]]) -> dict[str, list[str]]:
    """Sets of several stores as one."""
    found: dict[str, set[str]] = {}
    for sets in many:
        for digest, licenses in sets.items():
            found.setdefault(digest, set()).update(licenses)
    return {digest: sorted(licenses) for digest, licenses in found.items()}


def close_folder(folder: Path, prefix: str, count: int, size: int) -> None:
    """Put the shards' manifests together and write down how many clips there are."""
    parts = [_manifest(folder, prefix, number) for number, _ in shards(count, size)]
    write_manifest(folder / "manifest.jsonl", (record for part in parts for record in read_manifest(part)))
    write_bytes(folder / FACTS, json.dumps({**read_facts(folder), "count": count}, indent=1).encode())


def read_facts(folder: Path) -> dict[str, Any]:
    """What a store was made from.

    Raises:
        PhonofilmError: there is no store, or its facts are damaged.
    """
    try:
        facts = parse_json((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        what = "is not a store of clips" if folder.exists() else "is not there"
        how = f"python -m phonofilm.data.precompute latents --world bounce,strike -n 12000 -o {folder}"
        others = "other recipes say at their head what they need"
        raise PhonofilmError(f"{folder} {what}; write one first, for nano: {how}; {others}") from error
    if not isinstance(facts, dict):
        raise PhonofilmError(f"{folder / FACTS} is damaged: it is no JSON object; write the store again")
    count = facts.get("count", 0)
    if type(count) is not int or not 0 <= count < LARGEST:
        raise PhonofilmError(f"{folder / FACTS} is damaged: count = {count!r}; write the store again")
    return facts


def read_rates(folder: Path) -> tuple[Fraction, int]:
    """Frames and samples a second of a store of raw clips.

    Raises:
        PhonofilmError: there is no store, or its facts are damaged.
    """
    facts = read_facts(folder)
    rates = from_dict(
        Rates, {name: facts[name] for name in ("fps", "sample_rate") if name in facts}, f"{folder / FACTS} "
    )
    return rates.fps, rates.sample_rate


@dataclass(frozen=True)
class Rates:
    """Frames and samples a second."""

    fps: Fraction
    sample_rate: int

    def __post_init__(self) -> None:
        if not 0 < self.fps <= 1000 or not 0 < self.sample_rate <= 768_000:
            raise ValueError(f"{self.fps} frames and {self.sample_rate} samples a second are not possible")


def shards(count: int, size: int) -> Iterator[tuple[int, Rows]]:
    """(number, rows) of each shard."""
    for number, start in enumerate(range(0, count, size)):
        yield number, range(start, min(start + size, count))


def missing(folder: Path, prefix: str, count: int, size: int) -> list[tuple[int, Rows]]:
    """Shards still to be written; they are written atomically, so one that is there is whole.

    A last shard that an earlier, smaller store cut short is written again.
    """
    todo = []
    for number, rows in shards(count, size):
        part = _manifest(folder, prefix, number)
        whole = _shard(folder, prefix, number).exists() and part.exists() and len(read_manifest(part)) == len(rows)
        if not whole:
            todo.append((number, rows))
    return todo


def write_shard(
    folder: Path, prefix: str, number: int, tensors: Mapping[str, Tensor], records: Iterable[ClipRecord]
) -> None:
    """Write a shard's manifest, then its tensors: where tensors are, all is there."""
    name = _shard(folder, prefix, number).name
    placed = [replace(record, shard=name, row=row) for row, record in enumerate(records)]
    write_manifest(_manifest(folder, prefix, number), placed)
    save_tensors(folder / name, tensors)


def batches(rows: Rows, size: int) -> Iterator[Rows]:
    """Rows in runs of `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


class Meter:
    """How many clips of a store there are: a line now and then that says how fast and how long still, or `progress`.

    Args:
        progress: told of the stage "clips" in place of lines.
    """

    def __init__(self, total: int, done: int = 0, progress: Progress | None = None) -> None:
        self.total, self.done, self.begun, self.progress = total, done, done, progress
        self.since = self.told = time.monotonic()

    def add(self, count: int) -> None:
        """So many more are done."""
        self.done += count
        if self.progress is not None:
            self.progress("clips", self.done, self.total)
            return
        now = time.monotonic()
        if now - self.told < LINE_SECONDS and self.done < self.total:
            return
        self.told = now
        speed = (self.done - self.begun) / max(time.monotonic() - self.since, 1e-9)
        left = (self.total - self.done) / max(speed, 1e-9) / 60
        print(f"{self.done}/{self.total} clips  {speed:.1f}/s  {left:.0f} min left", file=sys.stderr, flush=True)


def _shard(folder: Path, prefix: str, number: int) -> Path:
    return folder / f"{prefix}-{number:05d}.safetensors"


def _manifest(folder: Path, prefix: str, number: int) -> Path:
    return folder / f"{prefix}-{number:05d}.jsonl"
