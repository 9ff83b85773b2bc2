"""Raw stores: frames and sound of clips as they are, in shards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from phonofilm.data.building import Meter, Rows, batches, close_folder, missing, open_folder, sets_of, write_shard
from phonofilm.data.clips import STEMS, ClipSource
from phonofilm.errors import PhonofilmError
from phonofilm.types import Progress
from phonofilm.workers import Workers

PREFIX = "clips"
Job = tuple[ClipSource, Path, int, Rows, int, bool]


def write_raw(
    source: ClipSource,
    count: int,
    folder: Path,
    *,
    shard: int = 250,
    batch: int = 8,
    workers: int = 1,
    stems: bool = False,
    until: Callable[[], bool] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write rows 0 to `count` of a source as a raw store; shards that are there already are kept.

    Args:
        stems: whether to keep the parts of the sound too, [3, C, N] a clip in the order of `clips.STEMS`.
        until: no further shard is begun once it says so; the store then ends before the first missing one.
        progress: told of the clips that are there; without it lines on standard error say so.

    Raises:
        PhonofilmError: the folder holds a store of something else, or there was no time for a shard.
    """
    facts = {"kind": "raw", "source": source.digest(), "fps": str(source.fps), "sample_rate": source.sample_rate}
    open_folder(folder, {**facts, **sets_of(source), "shard": shard, **({"stems": STEMS} if stems else {})})
    jobs = [(source, folder, number, rows, batch, stems) for number, rows in missing(folder, PREFIX, count, shard)]
    meter = Meter(count, count - sum(len(rows) for _, _, _, rows, _, _ in jobs), progress)
    if workers > 1:
        with Workers(workers) as pool:
            futures = [pool.submit(_write, job) for job in jobs]
            for future in futures:
                if until and until():
                    break
                meter.add(future.result())
            for future in futures:
                future.cancel()
    else:
        for job in jobs:
            if until and until():
                break
            _write(job, meter.add)
    if left := missing(folder, PREFIX, count, shard):
        count = left[0][0] * shard
    if not count:
        raise PhonofilmError("there was no time to write a single shard: give more, or make shards smaller")
    close_folder(folder, PREFIX, count, shard)
    return folder


def _write(job: Job, tell: Callable[[int], None] = lambda count: None) -> int:
    """Write a shard; returns how many clips it has. `tell` hears of every few, where they are read in this process."""
    source, folder, number, rows, size, stems = job
    clips = []
    for some in batches(rows, size):
        clips.append(source.read(some))
        tell(len(some))
    tensors = {
        "frames": torch.cat([clip.frames for clip in clips]),
        "waveform": torch.cat([clip.waveform.half() for clip in clips]),
    }
    if stems:
        parts = [clip.stems for clip in clips if clip.stems is not None]
        if len(parts) != len(clips):
            raise PhonofilmError("these clips have no stems to keep: omit --stems")
        tensors["stems"] = torch.cat([part.half() for part in parts])
    write_shard(folder, PREFIX, number, tensors, [record for clip in clips for record in clip.records])
    return len(rows)
