"""Clips seen in a mirror: the picture turned left to right, the ears exchanged, and so the words for both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from torch import Tensor

from phonofilm.data.clips import ClipBatch, RawStore
from phonofilm.data.manifest import ClipRecord
from phonofilm.types import Event

OTHER_SIDE = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
_SIDES = re.compile(r'"[^"]*"|\b(?:left|right|Left|Right)\b')


def mirrored_text(text: str) -> str:
    """A caption with left and right exchanged; words in quotes are spoken and stay."""
    return _SIDES.sub(lambda found: OTHER_SIDE.get(found[0], found[0]), text)


@dataclass(frozen=True)
class Mirrored:
    """Clips of a raw store in a mirror, those of some families alone.

    Attributes:
        store: the clips.
        rows: which of them, by row.
    """

    store: RawStore
    rows: tuple[int, ...]

    @staticmethod
    def of(store: RawStore, without: Sequence[str] = (), skip: int = 0) -> Mirrored:
        """All clips but the first `skip`, which may be held out, and those of the families `without`."""
        return Mirrored(store, tuple(row for row in range(skip, len(store)) if store.family(row) not in without))

    @property
    def sets(self) -> dict[str, list[str]]:
        return self.store.sets

    @property
    def fps(self) -> Fraction | int:
        return self.store.fps

    @property
    def sample_rate(self) -> int:
        return self.store.sample_rate

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: Sequence[int]) -> ClipBatch:
        records = tuple(mirrored_record(self.store.records[self.rows[row]]) for row in rows)
        return ClipBatch(self.frames(rows), self.waveforms(rows), records)

    def frames(self, rows: Sequence[int]) -> Tensor:
        return self.store.frames([self.rows[row] for row in rows]).flip(3)

    def waveforms(self, rows: Sequence[int]) -> Tensor:
        return self.store.waveforms([self.rows[row] for row in rows]).flip(1)

    def shape(self) -> tuple[int, int, int]:
        return self.store.shape()

    def window(self, row: int, start: int | None = None, stop: int | None = None) -> Tensor:
        return self.store.window(self.rows[row], start, stop).flip(2)

    def stem_window(self, row: int, start: int = 0, stop: int | None = None) -> Tensor:
        return self.store.stem_window(self.rows[row], start, stop).flip(1)

    def family(self, row: int) -> str:
        return self.store.family(self.rows[row])

    def where(self, row: int) -> str:
        return f"{self.store.where(self.rows[row])}, mirrored"

    def digest(self) -> str:
        return f"mirrored {len(self.rows)} of {self.store.digest()}"


def mirrored_record(record: ClipRecord) -> ClipRecord:
    """What is known of a clip, as it is in the mirror. Of `params` only the prompts of stems are turned."""
    params: dict[str, Any] = dict(record.params)
    if isinstance(said := params.get("said"), Mapping):
        params["said"] = {name: mirrored_text(text) for name, text in said.items()}
    events = tuple(_mirrored(event) for event in record.events)
    return replace(record, caption=mirrored_text(record.caption), events=events, params=params)


def _mirrored(event: Event) -> Event:
    box = event.box
    turned = None if box is None else (1 - box[2], box[1], 1 - box[0], box[3])
    return replace(event, box=turned, pan=None if event.pan is None else -event.pan)
