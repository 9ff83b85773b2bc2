"""The task of the sync network: clips of longer clips, sound and picture cut apart by a known offset."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phonofilm.data.building import merged_sets
from phonofilm.data.clips import RawStore
from phonofilm.errors import PhonofilmError
from phonofilm.perception.audiovisual.syncnet import (
    RATE,
    SAMPLE_RATE,
    SyncNet,
    SyncNetConfig,
    log_mel,
    offset_grid,
    prepare_frames,
)
from phonofilm.training.optim.optimizers import OptimConfig
from phonofilm.training.tasks.base import Batch, RunConfig, generator_for
from phonofilm.training.tasks.previews import save_image


@dataclass(frozen=True)
class SyncData:
    """What to learn from.

    Attributes:
        train: raw stores at 25 fps, and what share of the clips comes from each.
        held_out: raw stores to validate on.
        seconds: length of a training window; the stores' clips must be longer by twice the reach.
        attribution: what the licences of real film want said; it goes into the weights.
    """

    train: Mapping[str, float]
    held_out: tuple[Path, ...] = ()
    seconds: float = 3.0
    attribution: str = ""


@dataclass(frozen=True)
class SyncAugment:
    """How clips are disturbed, each with this probability where it is one.

    Attributes:
        slow: the picture comes at 8 to 24 a second. crop: least part of the side that is kept.
        shake: largest jitter of the camera in pixels of 64, from picture to picture.
        grain: largest standard deviation of noise in the picture, of 1.
        noise: noise in the sound, 0 to 30 dB below it. mixed: another clip's sound, 0 to 20 dB below it.
    """

    slow: float = 0.4
    crop: float = 0.8
    shake: float = 2.0
    shaken: float = 0.3
    flip: float = 0.5
    grain: float = 0.05
    noise: float = 0.4
    mixed: float = 0.3


@dataclass(frozen=True)
class SyncRecipe:
    """recipes/syncnet.toml"""

    kind: Literal["syncnet"]
    run: RunConfig
    data: SyncData
    optim: OptimConfig = field(default_factory=OptimConfig)
    augment: SyncAugment = field(default_factory=SyncAugment)
    model: SyncNetConfig = field(default_factory=SyncNetConfig)
    spread: float = 0.03
    """Seconds (standard deviation) that the truth is blurred by over the classes."""


class SyncTask:
    """Predict by how much the sound was cut early."""

    Recipe = SyncRecipe
    filename: ClassVar[str] = "syncnet.safetensors"
    free_at_resume: ClassVar[frozenset[str]] = frozenset({"data.held_out", "data.attribution"})
    may_be_fresh: ClassVar[tuple[str, ...]] = ()

    def __init__(self, recipe: SyncRecipe) -> None:
        self.recipe = recipe
        self.stores = [RawStore(folder) for folder in recipe.data.train]
        self.held_out = [RawStore(folder) for folder in recipe.data.held_out]
        for folder, store in zip((*recipe.data.train, *recipe.data.held_out), self._all(), strict=True):
            self._check(str(folder), store)

    def _all(self) -> Iterator[RawStore]:
        yield from (*self.stores, *self.held_out)

    def _check(self, folder: str, store: RawStore) -> None:
        frames = store.shards.row("frames", 0)
        seconds, wanted = len(frames) / RATE, self.recipe.data.seconds + 2 * self.recipe.model.reach
        if store.fps != RATE or store.sample_rate != SAMPLE_RATE or frames.shape[1] != self.recipe.model.size:
            raise PhonofilmError(f"{folder} must hold {self.recipe.model.size} px at {RATE} fps and 16 kHz")
        if seconds < wanted:
            raise PhonofilmError(f"clips of {folder} last {seconds:g} s, and windows with reach need {wanted:g} s")

    def build(self) -> SyncNet:
        return SyncNet(self.recipe.model)

    def batch(self, step: int) -> Batch:
        """frames float32 [B, T, S, S], waveform float32 [B, N], offset float32 [B] in seconds."""
        generator = generator_for("sync", self.recipe.run.seed, step)
        drawn = self._draws(generator)
        clips = [self._cut(self.stores[store], row, place, offset) for store, row, place, offset in drawn]
        frames = torch.stack([_disturbed(clip[0], self.recipe.augment, generator) for clip in clips])
        sounds = torch.stack([clip[1] for clip in clips])
        waveform = _heard_through(sounds, self.recipe.augment, generator)
        return {"frames": frames, "waveform": waveform, "offset": torch.tensor([clip[2] for clip in clips])}

    def _draws(self, generator: torch.Generator) -> list[tuple[int, int, float, float]]:
        """Store, row, place and offset of each clip of a batch."""
        shares = torch.tensor(list(self.recipe.data.train.values()))
        found = []
        for store in torch.multinomial(shares, self.recipe.run.batch, replacement=True, generator=generator).tolist():
            row = int(torch.randint(len(self.stores[store]), (), generator=generator))
            place, offset = (torch.rand(2, generator=generator) * torch.tensor([1.0, 2.0])).tolist()
            found.append((store, row, place, (offset - 1) * self.recipe.model.reach))
        return found

    def faulty(self, step: int | None) -> list[str]:
        """See `Task.faulty`."""
        stores = self.held_out if step is None else self.stores
        rows = [(store, row) for store in range(len(stores)) for row in range(len(stores[store]))]
        if step is not None:
            rows = [draw[:2] for draw in self._draws(generator_for("sync", self.recipe.run.seed, step))]
        faulty = [(store, row) for store, row in rows if not stores[store].waveforms([row]).isfinite().all()]
        return [stores[store].where(row) for store, row in dict.fromkeys(faulty)]

    def _cut(self, store: RawStore, row: int, place: float, offset: float) -> tuple[Tensor, Tensor, float]:
        """A window of a row: where it lies (0 … 1) says nothing about the offset, nor the offset about where."""
        data, reach = self.recipe.data, self.recipe.model.reach
        sound = store.shards.row("waveform", row).float().mean(0)
        total, count = len(sound) / SAMPLE_RATE, round(data.seconds * RATE)
        first = int((reach + place * (total - data.seconds - 2 * reach)) * RATE + 1e-6)
        frames = store.shards.row("frames", row, first, first + count)
        # positive = audio early: what is seen now was heard before, so the sound is taken from later on
        begin = round((first / RATE + offset) * SAMPLE_RATE)
        return frames, sound[begin : begin + round(data.seconds * SAMPLE_RATE)], offset

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy with the blurred truth, and the share within a class of it."""
        logits = model(batch["frames"], log_mel(batch["waveform"], self.recipe.model.bands))
        grid = torch.from_numpy(offset_grid(self.recipe.model.lags)).to(logits)
        apart = (grid - batch["offset"][:, None]).square()
        truth = torch.softmax(-apart / (2 * self.recipe.spread**2), dim=-1)
        loss = F.cross_entropy(logits.float(), truth)
        return loss, {"near": _near(logits, batch["offset"])}

    def validate(self, model: nn.Module, step: int, folder: Path) -> dict[str, float]:
        """Per family of held-out clips: share within one class, MAE in ms by argmax, and what chance would get."""
        found: dict[str, list[tuple[float, float]]] = {}
        rows: list[Tensor] = []
        reach, grid = self.recipe.model.reach, offset_grid(self.recipe.model.lags)
        for store in self.held_out:
            for row in range(len(store)):
                generator = generator_for("validation", row)
                offset = float((torch.rand((), generator=generator) * 2 - 1) * reach)
                frames, sound, _ = self._cut(store, row, 0.5, offset)
                mel = log_mel(sound[None], self.recipe.model.bands)
                logits = model(prepare_frames(frames, RATE, self.recipe.model.size)[None], mel)[0].float()
                found.setdefault(store.records[row].family, []).append((offset, float(grid[int(logits.argmax())])))
                rows.append(torch.softmax(logits, -1))
        save_image(folder / f"{step:07d}.png", _sheet(rows))
        return {name: value for family, pairs in found.items() for name, value in _measures(family, pairs).items()}

    def finish(self, model: nn.Module) -> None:
        """Nothing: there are no statistics."""

    def compile(self, model: nn.Module) -> None:
        for name in ("vision", "hearing"):
            setattr(model, name, torch.compile(getattr(model, name)))

    def provenance(self) -> dict[str, str]:
        digests = {str(name): store.digest() for name, store in zip(self.recipe.data.train, self.stores, strict=True)}
        text = "; ".join(f"{Path(name).name}: {digest}" for name, digest in digests.items())
        seen = {"sets": json.dumps(sets, sort_keys=True)} if (sets := merged_sets(s.sets for s in self.stores)) else {}
        return {"data": text, "attribution": self.recipe.data.attribution, **seen}


def _near(logits: Tensor, offset: Tensor) -> Tensor:
    """Share whose argmax lies within one and a half classes of the truth, float32 []."""
    found = (logits.argmax(-1) - logits.shape[-1] // 2) / RATE
    return ((found - offset).abs() <= 1.5 / RATE).float().mean()


def _measures(family: str, pairs: list[tuple[float, float]]) -> dict[str, float]:
    truth, found = np.array(pairs).T
    error = np.abs(found - truth)
    return {f"{family}_near": float((error <= 1.5 / RATE).mean()), f"{family}_mae_ms": float(1000 * error.mean())}


def _sheet(rows: list[Tensor]) -> Tensor:
    """Distributions under one another, [H, W, 3] in [0, 1]."""
    grey = torch.stack(rows)
    grey = (grey / grey.amax(-1, keepdim=True)).repeat_interleave(4, 0).repeat_interleave(8, 1)
    return grey[..., None].expand(-1, -1, 3)


def _disturbed(frames: Tensor, augment: SyncAugment, generator: torch.Generator) -> Tensor:
    """uint8 [T, S, S, 3] -> grey float32 [T, S, S], slower, cropped, shaken, flipped, lit otherwise and grainy."""

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    count, side = len(frames), frames.shape[1]
    x = frames[..., int(draw() * 3)]  # one of the colours stands for grey: another picture of the same
    if draw() < augment.slow:
        fps = 8 + 16 * float(draw())
        x = x[((torch.arange(count) * fps / RATE).round() * RATE / fps).round().long().clamp(0, count - 1)]
    scale = 1 - (1 - augment.crop) * draw(2)
    shift = ((1 - scale) * (draw(2) - 0.5) * side).expand(count, 2)
    if draw() < augment.shaken:
        shift = shift + (2 * draw(count, 2) - 1) * draw() * augment.shake
    mirror = -1.0 if draw() < augment.flip else 1.0
    light, dark, grain = (0.6 + 0.7 * draw()) / 127.5, 0.4 * (draw() - 0.5) - 1, draw() * augment.grain * 2
    x = _stretch(side, scale[0], shift[:, 0]) @ x.float() @ _stretch(side, mirror * scale[1], shift[:, 1]).mT
    return x * light + dark + torch.randn(x.shape, generator=generator) * grain


def _stretch(side: int, scale: Tensor, shift: Tensor) -> Tensor:
    """Linear interpolation along one axis as matrices [T, side, side]: output i shows place scale · i + shift."""
    middle = (side - 1) / 2
    place = (torch.arange(side) - middle) * scale + middle + shift[:, None]
    return (1 - (place.clamp(0, side - 1)[..., None] - torch.arange(side)).abs()).clamp_min(0)


def _heard_through(sounds: Tensor, augment: SyncAugment, generator: torch.Generator) -> Tensor:
    """Waveforms [B, N] with noise, or with the sound of the next clip of the batch."""
    power = sounds.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-4)
    draws = torch.rand(4, len(sounds), 1, generator=generator)
    noise = torch.randn(sounds.shape, generator=generator)
    level = torch.where(draws[0] < augment.noise, power * 10 ** (-1.5 * draws[1]), torch.zeros(()))
    other = sounds.roll(1, 0) / power.roll(1, 0)
    second = torch.where(draws[2] < augment.mixed, power * 10 ** -draws[3], torch.zeros(()))
    return sounds + level * noise + second * other
