"""Foley World as files: shards that training reads, or films that people watch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from phonofilm.app.session import Report, Session
from phonofilm.errors import Cancelled, PhonofilmError
from phonofilm.files import folder_for, write_bytes


def write_shards(
    report: Report,
    families: Sequence[str],
    count: int,
    folder: Path,
    seconds: float,
    size: tuple[int, int],
    fps: int,
    seed: int,
    workers: int,
    edition: int,
) -> None:
    """Write a raw clip store, resumable by shards.

    Raises:
        PhonofilmError: a picture that is not square, or a folder that holds something else.
    """
    from phonofilm.data.clips import WorldSource
    from phonofilm.data.raw import write_raw

    if size[0] != size[1]:
        raise PhonofilmError("shards hold square pictures; give --size one number, or write films with --mp4")
    source = WorldSource(tuple(families), first_seed=seed, seconds=seconds, size=size[0], fps=fps, edition=edition)
    report.progress("clips", 0, count)
    write_raw(source, count, folder, workers=workers, progress=report.progress)


def write_films(
    session: Session,
    report: Report,
    families: Sequence[str],
    count: int,
    folder: Path,
    seconds: float,
    size: tuple[int, int],
    fps: int,
    seed: int,
    edition: int,
) -> None:
    """Write one .mp4 a clip and a manifest; films that are there are kept, for the seed decides them.

    Raises:
        Cancelled: the session was interrupted; whole films stay.
    """
    from phonofilm.media import write_clip
    from phonofilm.world import clips, sample

    lines, suffix = [], "" if edition == 1 else f"-edition{edition}"
    with folder_for(folder):
        for number in range(count):
            report.progress("drawing", number, count)
            if session.cancelled():
                raise Cancelled("interrupted; the films that are whole stay")
            family, clip_seed = families[number % len(families)], seed + number // len(families)
            truth = sample(family, clip_seed, seconds, edition=edition)
            path = folder / f"{family}-{clip_seed:06d}-{size[0]}x{size[1]}-{fps}fps-{seconds:g}s{suffix}.mp4"
            if not path.exists():
                write_clip(clips([truth], size, fps)[0], path)
            row = {"path": path.name, "family": family, "seed": clip_seed, "caption": truth.caption}
            lines.append(json.dumps(row | {"events": [asdict(event) for event in truth.events]}))
        write_bytes(folder / "manifest.jsonl", "".join(line + "\n" for line in lines).encode())
