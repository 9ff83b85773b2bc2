"""From the world, or from raw clips, to shards that training reads.

    python -m phonofilm.data.precompute raw --families bounce,strike -n 4000 -o data/raw
    python -m phonofilm.data.precompute latents --raw data/raw --codecs weights/ -o data/latents

Both are resumable: a shard that is whole is kept, and each one depends on its own rows alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from phonofilm.checkpoint import save_tensors
from phonofilm.data.clips import ClipSource, RawStore, WorldSource
from phonofilm.data.latents import Encoder, LatentStore
from phonofilm.data.manifest import ClipRecord, read_manifest, write_manifest
from phonofilm.errors import PhonofilmError
from phonofilm.files import write_bytes

Rows = Sequence[int]


def write_raw(
    source: ClipSource, count: int, folder: Path, *, shard: int = 250, batch: int = 8, workers: int = 1
) -> Path:
    """Write rows 0 to `count` of a source as a raw store; whole shards that are there already are kept.

    Raises:
        PhonofilmError: the folder holds a store of something else.
    """
    _same_store(folder, {"source": source.digest(), "shard": shard, "kind": "raw"})
    jobs = [(source, folder, number, rows, batch) for number, rows in _shards(count, shard) if not _whole(folder, number)]
    progress = _Progress("clips", count, count - sum(len(job[3]) for job in jobs))
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            for done in pool.map(_raw_shard, jobs):
                progress.add(done)
    else:
        for job in jobs:
            progress.add(_raw_shard(job))
    parts = [_part(folder, number) for number, _ in _shards(count, shard)]
    write_manifest(folder / "manifest.jsonl", (record for part in parts for record in read_manifest(part)))
    return folder


def _raw_shard(job: tuple[ClipSource, Path, int, Rows, int]) -> int:
    """One shard: its manifest first, its tensors last, so that tensors mean it is whole."""
    source, folder, number, rows, batch = job
    name = f"clips-{number:05d}.safetensors"
    frames: list[Tensor] = []
    waveforms: list[Tensor] = []
    records: list[ClipRecord] = []
    for some in _batches(rows, batch):
        clips = source.read(some)
        frames.append(clips.frames)
        waveforms.append(clips.waveform.half())
        records += [replace(record, index=row, shard=name) for record, row in zip(clips.records, some, strict=True)]
    write_manifest(_part(folder, number), (replace(record, row=i) for i, record in enumerate(records)))
    save_tensors(folder / name, {"frames": torch.cat(frames), "waveform": torch.cat(waveforms)})
    return len(rows)


def write_latents(
    source: ClipSource, count: int, encoder: Encoder, folder: Path, *, shard: int = 500, batch: int = 16
) -> LatentStore:
    """Encode rows 0 to `count` of a source into a latent store; whole shards are kept.

    Raises:
        PhonofilmError: the folder holds latents of another source or of other codecs.
    """
    facts = {"source": source.digest(), "shard": shard, "kind": "latents", **encoder.digests()}
    _same_store(folder, facts)
    progress = _Progress("clips", count, 0)
    for number, rows in _shards(count, shard):
        if not _whole(folder, number, "latents"):
            encoded = [encoder.encode(source.read(some)) for some in _batches(rows, batch)]
            save_tensors(folder / f"latents-{number:05d}.safetensors", _join(encoded))
        progress.add(len(rows))
    save_tensors(folder / "null.safetensors", encoder.null_text())
    write_bytes(folder / "store.json", json.dumps({**facts, "count": count, **encoder.facts}, indent=1).encode())
    return LatentStore(folder)


def _join(encoded: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Batches into one shard; token states are padded to the shard's longest prompt."""
    longest = max(part["text"].shape[1] for part in encoded)
    for part in encoded:
        part["text"] = torch.nn.functional.pad(part["text"], (0, 0, 0, longest - part["text"].shape[1]))
    return {name: torch.cat([part[name] for part in encoded]) for name in encoded[0]}


def _same_store(folder: Path, facts: dict[str, Any]) -> None:
    """Refuse to mix data of two kinds in one folder; `facts.json` says what its shards were made from."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "facts.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != facts:
        raise PhonofilmError(f"{folder} holds shards made from something else; choose another folder, or delete it")
    write_bytes(path, json.dumps(facts, indent=1).encode())


def _shards(count: int, size: int) -> Iterator[tuple[int, Rows]]:
    for number, start in enumerate(range(0, count, size)):
        yield number, range(start, min(start + size, count))


def _batches(rows: Rows, size: int) -> Iterator[Rows]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _whole(folder: Path, number: int, prefix: str = "clips") -> bool:
    # shards are written atomically, so one that is there is whole
    return (folder / f"{prefix}-{number:05d}.safetensors").exists()


def _part(folder: Path, number: int) -> Path:
    return folder / f"manifest-{number:05d}.part"
