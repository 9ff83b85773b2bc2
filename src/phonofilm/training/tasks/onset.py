"""The task of the onset detector: silent pictures of raw stores, and when their events begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phonofilm.control.onset.detect import peaks, to_detector_frames, to_strength
from phonofilm.control.onset.network import RATE, Marks, OnsetConfig, OnsetNet
from phonofilm.control.onset.score import Counts, agreement
from phonofilm.data.building import sets_text
from phonofilm.data.clips import JoinedStores, RawStore
from phonofilm.errors import PhonofilmError
from phonofilm.training.optim.optimizers import OptimConfig
from phonofilm.training.tasks.base import Batch, RunConfig, generator_for
from phonofilm.types import Event

SEEN = ("impact", "strike", "flash", "debris", "lightning")
"""Kinds of events that begin at one instant and are seen."""


@dataclass(frozen=True)
class OnsetData:
    """What to learn from.

    Attributes:
        train, held_out: raw stores at 24 fps.
        frames: length of a training window.
        kinds: of the events that are to be found, where they are seen.
        ignored: kinds that may be found or not: drops of rain are too small for the picture that it sees.
    """

    train: tuple[Path, ...]
    held_out: tuple[Path, ...] = ()
    frames: int = 40
    kinds: tuple[str, ...] = SEEN
    ignored: tuple[str, ...] = ("drop", "hop")


@dataclass(frozen=True)
class OnsetLoss:
    """How errors are weighed.

    Attributes:
        rare: weight of pictures with an event. beside: weight of the pictures next to one.
        offset, strength: weights of the squared errors of these, where there is an event.
    """

    rare: float = 4.0
    beside: float = 0.3
    offset: float = 4.0
    strength: float = 1.0


@dataclass(frozen=True)
class OnsetRecipe:
    """recipes/onset.toml"""

    kind: Literal["onset"]
    run: RunConfig
    data: OnsetData
    optim: OptimConfig = field(default_factory=OptimConfig)
    loss: OnsetLoss = field(default_factory=OnsetLoss)
    model: OnsetConfig = field(default_factory=OnsetConfig)


class OnsetTask:
    """Say at each picture whether an event begins there."""

    Recipe = OnsetRecipe
    filename: ClassVar[str] = "onset.safetensors"
    free_at_resume: ClassVar[frozenset[str]] = frozenset({"data.held_out"})
    may_be_fresh: ClassVar[tuple[str, ...]] = ()

    def __init__(self, recipe: OnsetRecipe) -> None:
        self.recipe = recipe
        if not recipe.data.train:
            raise PhonofilmError("data.train names no raw store; see the head of recipes/onset.toml")
        self.stores = [RawStore(folder) for folder in recipe.data.train]
        self.held_out = [RawStore(folder) for folder in recipe.data.held_out]
        for store in (*self.stores, *self.held_out):
            if store.fps != RATE:
                raise PhonofilmError(f"{store.folder} has {store.fps} fps; the onset detector learns at {RATE}")
            if recipe.data.frames > store.shape()[0]:
                raise PhonofilmError(
                    f"clips of {store.folder} have {store.shape()[0]} frames, not {recipe.data.frames}"
                )
        self.source = JoinedStores(self.stores)
        self.records = [record for store in self.stores for record in store.records]

    def build(self) -> OnsetNet:
        return OnsetNet(self.recipe.model)

    def batch(self, step: int) -> Batch:
        """frames float32 [B, T, 3, S, S]; event, weight, offset, strength (-1 where unknown) float32 [B, T]."""
        generator = generator_for("onset", self.recipe.run.seed, step)
        found = [self._one(row, place, generator) for row, place in self._draws(generator)]
        return {name: torch.stack([one[name] for one in found]) for name in found[0]}

    def _draws(self, generator: torch.Generator) -> list[tuple[int, float]]:
        """Row and place (0 … 1) of each window of a batch."""
        size = self.recipe.run.batch
        rows = torch.randint(len(self.source), (size,), generator=generator).tolist()
        return list(zip(rows, torch.rand(size, generator=generator).tolist(), strict=True))

    def _one(self, row: int, place: float, generator: torch.Generator) -> Batch:
        count = self.recipe.data.frames
        first = int(place * (self.source.shape()[0] - count + 1))
        frames = to_detector_frames(self.source.window(row, first, first + count), self.recipe.model.size)
        events = [event for event in self.records[row].events if self._wanted(event)]
        return {"frames": _disturbed(frames, generator), **self._truth(events, first, count)}

    def _wanted(self, event: Event) -> bool:
        return event.kind in self.recipe.data.kinds and event.box is not None

    def _truth(self, events: Sequence[Event], first: int, count: int) -> Batch:
        happens, weight, offset = torch.zeros(count), torch.ones(count), torch.zeros(count)
        strength = torch.full((count,), -1.0)
        places = [event.time * float(RATE) - first for event in events]
        for place in places:  # all neighbours before the events themselves
            near = [at for at in (round(place) - 1, round(place) + 1) if 0 <= at < count]
            weight[near] = self.recipe.loss.beside
        for event, place in zip(events, places, strict=True):
            if 0 <= (at := round(place)) < count:
                happens[at], weight[at], offset[at] = 1.0, self.recipe.loss.rare, place - at
                strength[at] = -1.0 if event.loudness is None else to_strength(event.loudness)
        return {"event": happens, "weight": weight, "offset": offset, "strength": strength}

    def faulty(self, step: int | None) -> list[str]:
        """See `Task.faulty`: pictures are bytes, and events were checked when they were read."""
        return []

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the event, and squared errors of its offset and strength where there is one."""
        weigh, marks = self.recipe.loss, model(batch["frames"])
        happens = batch["event"]
        entropy = F.binary_cross_entropy_with_logits(marks.logits, happens, batch["weight"])
        offset = _mean_over((marks.offset - batch["offset"]).square(), happens > 0)
        strength = _mean_over((marks.strength - batch["strength"]).square(), batch["strength"] >= 0)
        parts = {"event": entropy, "offset": offset, "strength": strength}
        loss = entropy + weigh.offset * offset + weigh.strength * strength
        return loss, {name: value.detach() for name, value in parts.items()}

    def validate(self, model: nn.Module, step: int, folder: Path) -> dict[str, float]:
        """Precision, recall and F1 at ±40 ms on held-out clips, over all of them and over each family."""
        total: dict[str, Counts] = {}
        for store in self.held_out:
            for row, record in enumerate(store.records):
                counts = self._counts(model, store.window(row), record.events)
                for name in ("", f"{record.family}_"):
                    total[name] = total.get(name, Counts()) + counts
        found: dict[str, float] = {}
        for name, counts in total.items():
            measures = {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1}
            found |= {f"{name}{measure}": value for measure, value in measures.items()} if counts.true else {}
        return found

    def _counts(self, model: nn.Module, frames: Tensor, events: Sequence[Event]) -> Counts:
        device = next(model.parameters()).device
        seen = to_detector_frames(frames, self.recipe.model.size)[None].to(device)
        marks = Marks(*(part.float().cpu() for part in model(seen)))
        true = [event.time for event in events if self._wanted(event)]
        ignored = [event.time for event in events if event.kind in self.recipe.data.ignored]
        return agreement([onset.time for onset in peaks(marks)], true, ignored)

    def finish(self, model: nn.Module) -> None:
        """Nothing: there are no statistics."""

    def compile(self, model: nn.Module) -> None:
        model.compile()

    def provenance(self) -> dict[str, str]:
        data = "; ".join(f"{store.folder.name}: {store.digest()}" for store in self.stores)
        return {"data": data, **sets_text(self.source)}


def _mean_over(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp_min(1)


def _disturbed(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures [T, 3, S, S] mirrored, their colours exchanged, in other light, and grainy."""
    flip, light, dark, grain = torch.rand(4, generator=generator).tolist()
    frames = frames[:, torch.randperm(3, generator=generator)]
    frames = frames.flip(3) if flip < 0.5 else frames
    noise = torch.randn(frames.shape, generator=generator)
    return frames * (0.7 + 0.5 * light) + 0.4 * (dark - 0.5) + 0.04 * grain * noise
