"""Where clips come from: a store on disk, or the world drawn on the fly. Both are read by row number."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from phonofilm import choices
from phonofilm.data.building import merged_sets, read_facts, read_rates
from phonofilm.data.manifest import ClipRecord, read_manifest
from phonofilm.data.shards import Shards
from phonofilm.errors import PhonofilmError
from phonofilm.types import nearest

STEMS: tuple[str, ...] = choices.STEMS
"""Parts of the sound, in the order in which stores keep them."""


@dataclass(frozen=True, eq=False)
class ClipBatch:
    """frames uint8 [B, T, H, W, 3]; waveform float32 [B, C, N]; a record each; stems float32 [B, 3, C, N] if known."""

    frames: Tensor
    waveform: Tensor
    records: tuple[ClipRecord, ...]
    stems: Tensor | None = None


class ClipSource(Protocol):
    """Clips by row number; the same row is always the same clip."""

    @property
    def fps(self) -> Fraction | int: ...
    @property
    def sample_rate(self) -> int: ...

    def read(self, rows: Sequence[int]) -> ClipBatch:
        """Whole clips."""

    def frames(self, rows: Sequence[int]) -> Tensor:
        """Pictures alone: uint8 [B, T, H, W, 3]."""

    def waveforms(self, rows: Sequence[int]) -> Tensor:
        """Sounds alone: float32 [B, C, N]."""

    def family(self, row: int) -> str:
        """The world family of a row, or "film"."""

    def digest(self) -> str:
        """A hash, or a name, of everything in it."""

    def __len__(self) -> int: ...


class TrainingSource(ClipSource, Protocol):
    """Clips of which parts are read too, as training does."""

    def shape(self) -> tuple[int, int, int]:
        """Frames, height and width of a clip."""

    def window(self, row: int, start: int | None = None, stop: int | None = None) -> Tensor:
        """Frames `start` to `stop` of one picture: uint8 [T, H, W, 3]."""

    def stem_window(self, row: int, start: int = 0, stop: int | None = None) -> Tensor:
        """Samples `start` to `stop` of the parts of one sound: float32 [3, C, N]."""

    def where(self, row: int) -> str:
        """A row as a message names it."""


class RawStore:
    """A folder written by `python -m phonofilm.data.precompute raw` (or `phonofilm world`)."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.records = read_manifest(self.folder / "manifest.jsonl")
        self.shards = Shards(folder, "clips")
        if len(self.records) != len(self.shards):
            raise PhonofilmError(
                f"{folder} has {len(self.shards)} clips and {len(self.records)} lines in its manifest; write it again"
            )
        self.fps, self.sample_rate = read_rates(self.folder)
        self.sets: dict[str, list[str]] = read_facts(self.folder).get("sets", {})

    def __len__(self) -> int:
        return len(self.shards)

    def frames(self, rows: Sequence[int]) -> Tensor:
        return self.shards.rows("frames", rows)

    def shape(self) -> tuple[int, int, int]:
        frames, height, width, _ = self.shards.shape("frames")
        return frames, height, width

    def window(self, row: int, start: int | None = None, stop: int | None = None) -> Tensor:
        return self.shards.row("frames", row, start, stop)

    def waveforms(self, rows: Sequence[int]) -> Tensor:
        return self.shards.rows("waveform", rows).float()

    def stems(self, rows: Sequence[int]) -> Tensor:
        """Parts of the sounds, float32 [B, 3, C, N] in the order of `STEMS`."""
        return torch.stack([self.stem_window(row) for row in rows])

    def stem_window(self, row: int, start: int = 0, stop: int | None = None) -> Tensor:
        """Samples `start` to `stop` of the parts of one sound, float32 [3, C, N].

        Raises:
            PhonofilmError: the store was written without stems.
        """
        if "stems" not in self.shards.names:
            raise PhonofilmError("this raw store has no stems; write it again with --stems")
        return self.shards.last("stems", row, start, stop).float()

    def read(self, rows: Sequence[int]) -> ClipBatch:
        return ClipBatch(self.frames(rows), self.waveforms(rows), tuple(self.records[row] for row in rows))

    def family(self, row: int) -> str:
        return self.records[row].family

    def where(self, row: int) -> str:
        return f"row {row} of {self.folder}"

    def digest(self) -> str:
        return self.shards.digest()


class JoinedStores:
    """Raw stores of the same rates and sizes, one after the other, as if they were one.

    Raises:
        PhonofilmError: stores of different rates or sizes.
    """

    def __init__(self, stores: Sequence[RawStore]) -> None:
        self.stores = list(stores)
        self.fps, self.sample_rate = stores[0].fps, stores[0].sample_rate
        if len({(store.fps, store.sample_rate, store.shape()) for store in stores}) > 1:
            raise PhonofilmError("raw stores of different rates or sizes cannot be used together")
        self.ends = list(accumulate(len(store) for store in stores))
        self.sets = merged_sets(store.sets for store in stores)

    def __len__(self) -> int:
        return self.ends[-1]

    def _place(self, row: int) -> tuple[RawStore, int]:
        store = bisect_right(self.ends, row)
        return self.stores[store], row - (self.ends[store - 1] if store else 0)

    def frames(self, rows: Sequence[int]) -> Tensor:
        return torch.cat([store.frames([inner]) for store, inner in map(self._place, rows)])

    def shape(self) -> tuple[int, int, int]:
        return self.stores[0].shape()

    def window(self, row: int, start: int | None = None, stop: int | None = None) -> Tensor:
        store, inner = self._place(row)
        return store.window(inner, start, stop)

    def waveforms(self, rows: Sequence[int]) -> Tensor:
        return torch.cat([store.waveforms([inner]) for store, inner in map(self._place, rows)])

    def stem_window(self, row: int, start: int = 0, stop: int | None = None) -> Tensor:
        store, inner = self._place(row)
        return store.stem_window(inner, start, stop)

    def read(self, rows: Sequence[int]) -> ClipBatch:
        records = tuple(store.records[inner] for store, inner in map(self._place, rows))
        return ClipBatch(self.frames(rows), self.waveforms(rows), records)

    def family(self, row: int) -> str:
        store, inner = self._place(row)
        return store.family(inner)

    def where(self, row: int) -> str:
        store, inner = self._place(row)
        return store.where(inner)

    def digest(self) -> str:
        return " ".join(store.digest() for store in self.stores)


@dataclass(frozen=True)
class WorldSource:
    """Foley World drawn when it is read: row i is family i mod F with seed `first_seed` + i div F.

    Attributes:
        count: rows before they repeat; an epoch, so to speak.
        edition: of Foley World: 1 is flat, 2 is lit and combines families.
    """

    families: tuple[str, ...]
    count: int = 1_000_000
    first_seed: int = 0
    seconds: float = 4.0
    size: int = 64
    fps: int = 12
    sample_rate: int = 16_000
    edition: int = field(default=1, repr=False)  # said in the digest, but not for the first, whose stores are older

    def __len__(self) -> int:
        return self.count

    def read(self, rows: Sequence[int]) -> ClipBatch:
        from phonofilm import world

        named = [(self.family(row), self.first_seed + row // len(self.families)) for row in rows]
        truths = [world.sample(family, seed, self.seconds, edition=self.edition) for family, seed in named]
        rendered = world.render(truths, size=self.size, fps=self.fps, sample_rate=self.sample_rate)
        records = tuple(
            ClipRecord(row, "", 0, family, seed, truth.caption, tuple(truth.events), dict(truth.params))
            for row, (family, seed), truth in zip(rows, named, truths, strict=True)
        )
        stems = torch.stack([rendered.stems.get(name, torch.zeros_like(rendered.waveform)) for name in STEMS], 1)
        return ClipBatch(rendered.frames, rendered.waveform.float(), records, stems.float())

    def frames(self, rows: Sequence[int]) -> Tensor:
        return self.read(rows).frames

    def shape(self) -> tuple[int, int, int]:
        return max(1, nearest(Fraction(str(self.seconds)) * self.fps)), self.size, self.size

    def window(self, row: int, start: int | None = None, stop: int | None = None) -> Tensor:
        return self.read([row]).frames[0, start:stop]

    def waveforms(self, rows: Sequence[int]) -> Tensor:
        return self.read(rows).waveform

    def stem_window(self, row: int, start: int = 0, stop: int | None = None) -> Tensor:
        stems = self.read([row]).stems
        assert stems is not None
        return stems[0, ..., start:stop]

    def family(self, row: int) -> str:
        return self.families[row % len(self.families)]

    def where(self, row: int) -> str:
        return f"row {row} of Foley World"

    def digest(self) -> str:
        return repr(self) + (f" edition {self.edition}" if self.edition != 1 else "")


def to_model_frames(frames: Tensor, count: int) -> Tensor:
    """uint8 [B, T, H, W, 3] -> float [B, 3, count, H, W] in [-1, 1]; the last frame is repeated, or frames cut."""
    if frames.shape[1] < count:
        missing = count - frames.shape[1]
        frames = torch.cat([frames, frames[:, -1:].expand(-1, missing, -1, -1, -1)], dim=1)
    # channels first before the arithmetic: a quarter of the memory traffic of converting first
    return frames[:, :count].permute(0, 4, 1, 2, 3).contiguous().float().mul_(2 / 255).sub_(1)


def to_model_samples(waveform: Tensor, count: int) -> Tensor:
    """[B, C, N] cut, or continued with silence, to `count` samples."""
    return torch.nn.functional.pad(waveform[..., :count], (0, max(0, count - waveform.shape[-1])))
