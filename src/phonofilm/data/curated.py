"""A curated set as clips of equal shape: in buckets of aspect ratio and length, with the rights of each carried on."""

from __future__ import annotations

import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonofilm.data.clips import ClipBatch
from phonofilm.data.curate.output.shards import read_index
from phonofilm.data.curate.versions import set_digest
from phonofilm.data.manifest import ClipRecord
from phonofilm.errors import PhonofilmError
from phonofilm.media.resample import mix, resample_audio, resize_frames
from phonofilm.media.shots.window import read_window

STEP = 32
"""Sides of pictures are multiples of it."""

ASPECTS = (Fraction(9, 16), Fraction(3, 4), Fraction(1), Fraction(4, 3), Fraction(16, 9), Fraction(21, 9))
"""Width over height of the buckets."""


@dataclass(frozen=True, order=True)
class Bucket:
    """Clips of one shape: pixels of width and height, and seconds."""

    width: int
    height: int
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.width}x{self.height}-{self.seconds:g}s"


def bucket_of(aspect: float, seconds: float, side: int, lengths: Sequence[float]) -> Bucket | None:
    """The shape that fits a picture and a length best; None where it is shorter than all.

    Args:
        aspect: width over height. side: of a square of as many pixels as each picture has about.
        lengths: seconds of which the longest that fits is taken.
    """
    fitting = [length for length in lengths if length <= seconds + 1e-6]
    if not fitting:
        return None
    ratio = min(ASPECTS, key=lambda one: abs(np.log(aspect / float(one))))
    width, height = (max(STEP, STEP * round(side * factor / STEP)) for factor in (ratio**0.5, ratio**-0.5))
    return Bucket(width, height, max(fitting))


@dataclass(frozen=True, eq=False)
class CuratedSource:
    """Clips of one bucket of a curated set; a shot that is long enough gives several.

    Attributes:
        rows: of the index. places: for each clip its row and where in the shot it begins, in seconds.
        sets: digest of the set, and the licences of what is in this bucket.
    """

    folder: Path
    bucket: Bucket
    rows: Sequence[Mapping[str, Any]]
    places: Sequence[tuple[int, float]]
    fps: int
    sample_rate: int
    sets: Mapping[str, list[str]]

    def __len__(self) -> int:
        return len(self.places)

    def read(self, rows: Sequence[int]) -> ClipBatch:
        frames, sounds = zip(*(self._clip(*self.places[row]) for row in rows), strict=True)
        return ClipBatch(torch.stack(frames), torch.stack(sounds), tuple(self._record(row) for row in rows))

    def frames(self, rows: Sequence[int]) -> Tensor:
        return self.read(rows).frames

    def waveforms(self, rows: Sequence[int]) -> Tensor:
        return self.read(rows).waveform

    def family(self, row: int) -> str:
        return "film"

    def digest(self) -> str:
        (digest,) = self.sets
        return f"set {digest}, {self.bucket.name} at {self.fps} fps"

    def _record(self, row: int) -> ClipRecord:
        place, begins = self.places[row]
        found = self.rows[place]
        rights = {name: found[name] for name in ("license", "origin", "consent", "source")}
        params = {**rights, "key": found["key"], "begins": begins}
        return ClipRecord(row, "", 0, "film", row, found["caption"] or "", (), params)

    def _clip(self, place: int, begins: float) -> tuple[Tensor, Tensor]:
        row, bucket = self.rows[place], self.bucket
        begin = Fraction(row["clip_in_exact"]) + Fraction(begins).limit_denominator(1000)
        path = _unpacked(self.folder / "shards" / row["shard"], row["file"])
        window = read_window(path, begin, begin + Fraction(str(bucket.seconds)), max(bucket.width, bucket.height))
        ticks = (np.arange(round(bucket.seconds * self.fps)) + 0.5) / self.fps
        shown = window.frames[np.maximum(np.searchsorted(window.times, ticks) - 1, 0)]
        frames = resize_frames(_cropped(shown, row["crop"]), (bucket.width, bucket.height))
        count = round(bucket.seconds * self.sample_rate)
        sound = np.zeros((2, count), np.float32)
        if window.waveform is not None:
            heard = resample_audio(mix(window.waveform, 2, ()), window.sample_rate, self.sample_rate)[:, :count]
            sound[:, : heard.shape[1]] = heard
        return torch.from_numpy(np.ascontiguousarray(frames)), torch.from_numpy(sound)


def curated_sources(
    folder: Path, side: int, lengths: Sequence[float], fps: int, sample_rate: int, split: str = "train"
) -> list[CuratedSource]:
    """A source for each bucket of a set that `phonofilm data curate` wrote; no bucket is empty.

    Raises:
        PhonofilmError: no set there, or none of its clips is long enough.
    """
    index = folder / "index.parquet"
    if not index.is_file():
        raise PhonofilmError(f"{folder} is no curated set; write one: phonofilm data curate FILMS -o {folder}")
    every = read_index(index)
    digest = set_digest(every)
    rows = [row for row in every if row["split"] == split]
    places: dict[Bucket, list[tuple[int, float]]] = {}
    for number, row in enumerate(rows):
        found = bucket_of(_aspect(folder, row), row["seconds"], side, lengths)
        if found is not None:
            count = int(row["seconds"] / found.seconds + 1e-6)
            places.setdefault(found, []).extend((number, part * found.seconds) for part in range(count))
    if not places:
        raise PhonofilmError(f"no clip of {folder} for {split} is {min(lengths):g} s long; ask for shorter ones")
    sources = []
    for bucket, some in sorted(places.items()):
        licenses = sorted({rows[number]["license"] or "unknown" for number, _ in some})
        sources.append(CuratedSource(folder, bucket, rows, some, fps, sample_rate, {digest: licenses}))
    return sources


def _aspect(folder: Path, row: Mapping[str, Any]) -> float:
    """Width over height of what is inside the bars."""
    begin = Fraction(row["clip_in_exact"])
    path = _unpacked(folder / "shards" / row["shard"], row["file"])
    frames = _cropped(read_window(path, begin, begin + Fraction(1, 10)).frames[:1], row["crop"])
    return frames.shape[2] / frames.shape[1]


def _cropped(frames: np.ndarray, crop: str | None) -> np.ndarray:
    left, top, right, bottom = json.loads(crop) if crop else (0.0, 0.0, 1.0, 1.0)
    height, width = frames.shape[1:3]
    return frames[:, round(top * height) : round(bottom * height), round(left * width) : round(right * width)]


@lru_cache(maxsize=1)
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="phonofilm-set-")


@lru_cache(maxsize=8)
def _unpacked(shard: Path, name: str) -> Path:
    """A file of a shard, by itself; a few are kept."""
    path = Path(_scratch().name) / Path(name).name
    try:
        with tarfile.open(shard) as tar:
            member = tar.extractfile(name)
            if member is None:
                raise KeyError(name)
            path.write_bytes(member.read())
    except (OSError, KeyError, tarfile.TarError) as error:
        raise PhonofilmError(f"{shard} has no {name} that can be read; run phonofilm data curate again") from error
    return path
