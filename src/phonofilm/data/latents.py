"""Latent stores: clips as a generator sees them, encoded once. About 40 KB a clip instead of 850."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from phonofilm.checkpoint import load_tensors, save_tensors
from phonofilm.config import from_dict
from phonofilm.data.building import (
    Meter,
    batches,
    close_folder,
    merged_sets,
    missing,
    open_folder,
    read_facts,
    sets_of,
    write_shard,
)
from phonofilm.data.clips import STEMS, ClipSource, TrainingSource
from phonofilm.data.encoder import Encoder
from phonofilm.data.manifest import ClipRecord, read_manifest
from phonofilm.data.shards import Shards
from phonofilm.errors import PhonofilmError
from phonofilm.types import Geometry, Grid, Text

PREFIX = "latents"
NULL = "null.safetensors"
FORMAT, STEMS_FORMAT = 1, 2
"""Of a store: 1 has one latent sequence of sound a clip, that of the mix; 2 has one for each stem, and its prompt."""


def write_latents(
    source: ClipSource,
    count: int,
    encoder: Encoder,
    folder: Path,
    *,
    shard: int = 1000,
    batch: int = 16,
    stems: bool = False,
) -> LatentStore:
    """Encode rows 0 to `count` of a source into a latent store; shards that are there already are kept.

    Args:
        stems: encode each part of the sound by itself; the source must be able to read them (`TrainingSource`).

    Raises:
        PhonofilmError: the folder holds latents of another source or of other codecs, or the source has no stems.
    """
    grid = encoder.grid(source)
    facts: dict[str, Any] = {
        "kind": "latents",
        "format": STEMS_FORMAT if stems else FORMAT,
        "source": source.digest(),
        "shard": shard,
        **encoder.hashes,
    }
    place = {"frames": grid.frames, "height": grid.height, "width": grid.width, "fps": str(grid.fps)}
    kinds = {"stems": list(STEMS)} if stems else {}
    open_folder(folder, {**facts, **sets_of(source), **place, "geometry": asdict(grid.geometry), **kinds})
    todo = missing(folder, PREFIX, count, shard)
    meter = Meter(count, count - sum(len(rows) for _, rows in todo))
    for number, rows in todo:
        encoded: list[dict[str, Tensor]] = []
        records: list[ClipRecord] = []
        for some in batches(rows, batch):
            clips = source.read(some)
            parts = clips.stems if clips.stems is not None or not stems else _stems(source, some)
            encoded.append(encoder.encode(clips, grid, parts if stems else None))
            records += clips.records
            meter.add(len(some))
        write_shard(folder, PREFIX, number, _join(encoded), records)
    null = encoder.text.encode([""])
    save_tensors(folder / NULL, {"states": null.states[null.mask].half().cpu(), "silence": encoder.silence(grid)})
    close_folder(folder, PREFIX, count, shard)
    return LatentStore(folder)


def _stems(source: ClipSource, rows: Sequence[int]) -> Tensor:
    """Parts of the sounds of some rows, float32 [B, S, 2, N]."""
    reader: TrainingSource | None = source if hasattr(source, "stem_window") else None  # type: ignore[assignment]
    if reader is None:
        raise PhonofilmError("these clips have no stems; encode without --stems")
    return torch.stack([reader.stem_window(row) for row in rows])


class LatentStore:
    """A folder of latents, memory-mapped; the rows of `more` folders, of the same grid and codecs, follow.

    Raises:
        PhonofilmError: a folder without a finished store, with one of another format, or folders that do not fit.
    """

    def __init__(self, folder: str | Path, more: Sequence[str | Path] = ()) -> None:
        self.folders = [Path(place) for place in (folder, *more)]
        self.folder = self.folders[0]
        facts = [_finished(place) for place in self.folders]
        for place, other in zip(self.folders, facts, strict=True):
            if differing := sorted(name for name in facts[0] | other if _differs(name, facts[0], other)):
                raise PhonofilmError(f"the latents in {place} have another {differing[0]} than those in {folder}")
        self.facts = {**facts[0], "count": sum(int(part["count"]) for part in facts)}
        self.sets = merged_sets(part.get("sets", {}) for part in facts)
        self.shards = Shards(folder, PREFIX, more)
        null = load_tensors(self.folder / NULL)[0]
        self.null_states = null["states"]
        self.silence = null.get("silence")

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems of a clip's sound; none where it is a mix."""
        return tuple(self.facts.get("stems", ()))

    def __len__(self) -> int:
        return int(self.facts["count"])

    def latents(self, name: str, rows: Sequence[int]) -> Tensor:
        """float16 video latents [B, C, T, H, W] or audio latents [B, S, C, T]; earlier stores have one mix."""
        found = self.shards.rows(name, rows)
        return found[:, None] if name == "audio" and found.ndim == 3 else found

    def text(self, rows: Sequence[int | None]) -> Text:
        """Token states of the captions in float32, padded to the longest of these; None gives the empty prompt's."""
        return _padded([self.null_states if row is None else self._states("text", row, ()) for row in rows])

    def stem_text(self, rows: Sequence[int], own: Tensor) -> Text:
        """Token states for each stem, [B, S, L, D]: of its own prompt where `own` [B, S] is 1, of the whole caption
        where it is 0, and of the empty prompt where it is -1."""
        states = []
        for row, choices in zip(rows, own.tolist(), strict=True):
            for stem, choice in enumerate(choices):
                if choice < 0:
                    states.append(self.null_states)
                else:
                    states.append(self._states(*(("stem_text", row, (stem,)) if choice else ("text", row, ()))))
        text = _padded(states)
        return Text(*(part.unflatten(0, tuple(own.shape)) for part in (text.states, text.mask)))

    def captions(self, rows: Sequence[int]) -> list[str]:
        records = [record for folder in self.folders for record in read_manifest(folder / "manifest.jsonl")]
        return [records[row].caption for row in rows]

    def grid(self, patch: tuple[int, int, int]) -> Grid:
        """The grid of every clip in the store, in tokens of a network with this patch."""
        facts = self.facts
        geometry = replace(from_dict(Geometry, facts["geometry"]), patch=patch)
        return Grid(facts["frames"], facts["height"], facts["width"], Fraction(facts["fps"]), geometry)

    def digest(self) -> str:
        return self.shards.digest()

    def _states(self, name: str, row: int, place: tuple[int, ...]) -> Tensor:
        length = int(self.shards.row(f"{name}_length", row)[place])
        return self.shards.row(name, row)[place][:length]


def _finished(folder: Path) -> dict[str, Any]:
    """What a store says of itself, if it is finished and its format is read."""
    facts = read_facts(folder)
    if not (folder / NULL).exists() or "count" not in facts:
        raise PhonofilmError(f"the latents in {folder} are not finished; run the same precompute command again")
    if (written := facts.get("format", FORMAT)) not in (FORMAT, STEMS_FORMAT):
        raise PhonofilmError(
            f"{folder} holds latents of format {written}, and {FORMAT} and {STEMS_FORMAT} are read: encode again"
        )
    return facts


def _differs(name: str, one: dict[str, Any], other: dict[str, Any]) -> bool:
    return name not in ("source", "sets", "count", "shard") and one.get(name) != other.get(name)


def _padded(states: Sequence[Tensor]) -> Text:
    lengths = torch.tensor([len(s) for s in states])
    padded = torch.zeros(len(states), int(lengths.max()), states[0].shape[-1], dtype=torch.float16)
    for row, s in zip(padded, states, strict=True):
        row[: len(s)] = s
    return Text(padded.float(), torch.arange(padded.shape[1]) < lengths[:, None])


def _join(encoded: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Batches into one shard; token states are padded to the shard's longest prompt."""
    for name in {"text", "stem_text"} & encoded[0].keys():
        longest = max(part[name].shape[-2] for part in encoded)
        for part in encoded:
            part[name] = F.pad(part[name], (0, 0, 0, longest - part[name].shape[-2]))
    return {name: torch.cat([part[name] for part in encoded]) for name in encoded[0]}
