"""Shards: WebDataset tar files of shots that were copied out of their films without encoding, and a Parquet index.

The same shots give the same bytes. A shard is whole or not there, and one that is there already is not written again.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonofilm.data.curate.common.records import Shot, Skipped, Source
from phonofilm.data.curate.common.results import read_json, write_json
from phonofilm.data.curate.common.work import run_all
from phonofilm.errors import PhonofilmError
from phonofilm.extras import optional
from phonofilm.files import atomic, printable
from phonofilm.media.shots.cutting import copy_part

VERSION = 1
PER_SHARD = 1800.0
"""Seconds of film in a shard: about half a gigabyte at 720p."""


@dataclass(frozen=True)
class Clip:
    """A shot that goes into the set, and what is written beside it."""

    source: Source
    shot: Shot
    split: str
    record: Mapping[str, Any]


@dataclass(frozen=True)
class ShardTask:
    path: Path
    clips: tuple[Clip, ...]


def write_shards(
    clips: Sequence[Clip], output: Path, memory: Path, workers: int, progress: Callable[[int, int], None]
) -> tuple[list[dict[str, Any]], list[Skipped]]:
    """Write all shards, and take away those of before; returns the rows of the index and the clips left out.

    Args:
        memory: a file that says what each shard holds.
    """
    folder = output / "shards"
    planned = plan_shards(clips)
    held = read_json(memory)
    held = held if isinstance(held, dict) else {}
    todo = [ShardTask(folder / name, tuple(part)) for name, part in planned.items()]
    todo = [task for task in todo if not _there(task, held)]
    errors: list[Skipped] = []
    progress(0, len(todo))
    for done, (number, outcome) in enumerate(run_all(_write, todo, workers), 1):
        if outcome.error is not None:
            raise PhonofilmError(f"shard {todo[number].path.name} was not written: {outcome.error}")
        held[todo[number].path.name] = outcome.value
        write_json(memory, held)
        progress(done, len(todo))
    rows: list[dict[str, Any]] = []
    for name, part in planned.items():
        found = held[name]
        errors += [Skipped(**left) for left in found["skipped"]]
        rows += [{**clip.record, **found["rows"][clip.shot.key]} for clip in part if clip.shot.key in found["rows"]]
    for path in folder.glob("*.tar") if folder.is_dir() else ():
        if path.name not in planned:
            path.unlink()
    if set(held) - set(planned):
        write_json(memory, {name: found for name, found in held.items() if name in planned})
    return rows, errors


def plan_shards(clips: Iterable[Clip]) -> dict[str, list[Clip]]:
    """Which clips go into which file, in order."""
    planned: dict[str, list[Clip]] = {}
    full: dict[str, float] = {}
    count: dict[str, int] = {}
    for clip in clips:
        if clip.split not in full or full[clip.split] + clip.shot.seconds > PER_SHARD:
            count[clip.split] = count.get(clip.split, -1) + 1
            full[clip.split] = 0.0
        full[clip.split] += clip.shot.seconds
        planned.setdefault(f"{clip.split}-{count[clip.split]:05d}.tar", []).append(clip)
    return planned


def _there(task: ShardTask, held: Mapping[str, Any]) -> bool:
    found = held.get(task.path.name, {})
    return bool(
        found.get("holds") == _holds(task.clips)
        and task.path.is_file()
        and task.path.stat().st_size == found.get("bytes")
    )


def _holds(clips: Iterable[Clip]) -> str:
    whole = json.dumps([VERSION, *(clip.record for clip in clips)], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


def _write(task: ShardTask) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    skipped: list[dict[str, str]] = []
    with atomic(task.path) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
        for clip in task.clips:
            shot = clip.shot
            try:
                cutting = copy_part(clip.source.path, shot.start, shot.stop)
            except PhonofilmError as error:
                skipped.append({"name": f"{clip.source.name} at {float(shot.start):.2f} s", "reason": str(error)})
                continue
            name = shot.key + cutting.suffix
            row = {
                "shard": task.path.name,
                "file": name,
                "clip_in": float(cutting.start), "clip_out": float(cutting.stop),
                "clip_in_exact": str(cutting.start), "clip_out_exact": str(cutting.stop),
            }  # fmt: skip
            rows[shot.key] = row
            _add(tar, name, cutting.content)
            beside = json.dumps({**clip.record, **row}, ensure_ascii=False, sort_keys=True)
            _add(tar, shot.key + ".json", beside.encode())
            if clip.record.get("vtt"):
                _add(tar, shot.key + ".vtt", str(clip.record["vtt"]).encode())
    size = task.path.stat().st_size
    return {"holds": _holds(task.clips), "bytes": size, "rows": rows, "skipped": skipped}


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(printable(name))
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))


def write_index(path: Path, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """A Parquet table of all clips; lists and mappings are columns of JSON text.

    Args:
        columns: kind ("string", "float64", "int64" or "bool") of each column.
    """
    with optional("writing an index"):
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
        schema = arrow.schema(
            [(name, getattr(arrow, kind.replace("bool", "bool_"))()) for name, kind in columns.items()]
        )
        plain = [{name: _cell(row.get(name)) for name in columns} for row in rows]
        table = arrow.Table.from_pylist(plain, schema=schema)
        with atomic(path) as temporary:
            parquet.write_table(table, temporary)


def read_index(path: Path) -> list[dict[str, Any]]:
    """The rows of an index.

    Raises:
        PhonofilmError: there is none, or it is damaged.
    """
    with optional("reading an index"):
        parquet = importlib.import_module("pyarrow.parquet")
        try:
            rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
        except (OSError, ValueError) as error:
            raise PhonofilmError(f"{path} is not the index of a set; make one with phonofilm data curate") from error
        return rows
    raise PhonofilmError("pyarrow is not installed")


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if isinstance(value, list | dict) else value
