"""What can be trained: a task owns the network's shape, its data and its loss; the loop owns the rest."""

from __future__ import annotations

import hashlib
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from phonofilm.config import from_dict, read_toml
from phonofilm.errors import PhonofilmError
from phonofilm.training.optim.optimizers import OptimConfig

Batch = dict[str, Tensor]

KINDS = {
    "video_vae": "phonofilm.training.tasks.video_vae:VideoVAETask",
    "audio_vae": "phonofilm.training.tasks.audio_vae:AudioVAETask",
    "vocoder": "phonofilm.training.tasks.audio_vae:VocoderTask",
    "generator": "phonofilm.training.tasks.generator:GeneratorTask",
    "local": "phonofilm.training.tasks.local:LocalTask",
    "live": "phonofilm.training.students.live:LiveTask",
    "lora": "phonofilm.training.tasks.lora:LoraTask",
    "control": "phonofilm.training.tasks.control:ControlTask",
    "distill": "phonofilm.training.students.distill:DistillTask",
    "onset": "phonofilm.training.tasks.onset:OnsetTask",
    "syncnet": "phonofilm.training.tasks.syncnet:SyncTask",
}


@dataclass(frozen=True)
class RunConfig:
    """How long, where and how precisely to train.

    Attributes:
        output: folder of checkpoint, log, samples and the exported weights.
        steps: optimiser steps; with `max_minutes` the run ends at whichever comes first.
        max_minutes: time limit; the learning rate then follows elapsed time. Only a run without it is
            the same bit for bit when it is resumed, because time is not.
        batch: clips per optimiser step and accumulation.
        accumulate: batches whose gradients are added before a step; several processes share them.
        precision: "fp32", "autocast" (bfloat16 where torch thinks it safe, float32 weights), or "auto": autocast
            on devices with bfloat16 in hardware, fp32 elsewhere.
        compile: whether to use torch.compile.
        threads: CPU threads, or None for torch's own choice.
        prefetch: batches prepared ahead. loaders: threads that prepare them.
        log_every, save_every, validate_every: steps; 0 never.
        init: weights to start from.
        export: dtype of the exported weights.
        placement: how the network lies in several processes: "copies", one in each, or "shares", of each parameter,
            its average and its optimiser's state.
        offload: whether shares wait in the memory of the CPU while they are not used.
        recompute: whether blocks keep only what goes into them and are computed again for the gradient.
        peak_tflops: what the device can do, for the share of it that is used (MFU); None for that of known GPUs.
    """

    output: Path
    seed: int = 0
    steps: int = 1000
    max_minutes: float | None = None
    batch: int = 16
    accumulate: int = 1
    device: str = "auto"
    precision: Literal["auto", "fp32", "autocast"] = "auto"
    compile: bool = False
    threads: int | None = None
    prefetch: int = 0
    loaders: int = 1
    log_every: int = 20
    save_every: int = 500
    validate_every: int = 500
    init: Path | None = None
    export: Literal["float32", "bfloat16", "float16"] = "float16"
    placement: Literal["copies", "shares"] = "copies"
    offload: bool = False
    recompute: bool = False
    peak_tflops: float | None = None

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch": 1, "accumulate": 1, "threads": 1, "loaders": 1}
        least |= dict.fromkeys(("seed", "prefetch", "log_every", "save_every", "validate_every"), 0)
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise PhonofilmError(f"run.{name} = {value} is not possible; it starts at {lowest}")
        if self.max_minutes is not None and not 0 < self.max_minutes < math.inf:
            raise PhonofilmError(f"run.max_minutes = {self.max_minutes:g} is not possible; omit it for no limit")
        if self.peak_tflops is not None and not 0 < self.peak_tflops < math.inf:
            raise PhonofilmError(f"run.peak_tflops = {self.peak_tflops:g} is not possible; it is above 0")


class Recipe(Protocol):
    """What every recipe has; each task adds its own sections."""

    @property
    def kind(self) -> str: ...
    @property
    def run(self) -> RunConfig: ...
    @property
    def optim(self) -> OptimConfig: ...


class Task(Protocol):
    """The five things the loop asks for; `batch` is a pure function, so a loader has no state to save."""

    Recipe: ClassVar[type[Any]]
    recipe: Any
    free_at_resume: ClassVar[frozenset[str]]
    """Settings (dotted, a section stands for all in it) besides those of `run` that training does not depend on."""
    may_be_fresh: ClassVar[tuple[str, ...]]
    """Beginnings of the names of weights that those of `run.init` may lack."""

    @property
    def filename(self) -> str:
        """Name of the exported weights."""

    def build(self) -> nn.Module:
        """A fresh network."""

    def batch(self, step: int) -> Batch:
        """The tensors of a step: a pure function of (recipe, step)."""

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and named scalars; all randomness comes from `generator` (on the CPU)."""

    def faulty(self, step: int | None) -> list[str]:
        """Clips of a batch (of the held-out ones for None) with values that are not finite: row and store of each."""

    def validate(self, model: nn.Module, step: int, folder: Path) -> dict[str, float]:
        """Numbers on held-out data; writes samples a person can look at into `folder`."""

    def finish(self, model: nn.Module) -> None:
        """Last touches on the averaged weights before they are exported."""

    def compile(self, model: nn.Module) -> None:
        """Replace what the loss calls by its torch.compile."""

    # A task whose file is not all of its network has `save(path, model, dtype, metadata)` too (see `tasks.lora`), and
    # one that can begin with weights of another network `begin(tensors)` (see `tasks.generator`). One of whose network
    # a batch may leave out a part that another batch of the same step uses says `uses_all = False`: it cannot lie in
    # shares.
    def provenance(self) -> dict[str, str]:
        """What the weights depend on besides the recipe: hashes of data and frozen parts."""


def open_task(path: str | Path, overrides: Sequence[str] = ()) -> Task:
    """The task of a recipe, with `key.sub=value` overrides applied.

    Raises:
        PhonofilmError: an unreadable recipe, an unknown kind or setting.
    """
    return make_task(read_toml(path, overrides), str(path))


def make_task(values: Mapping[str, Any], where: str = "recipe") -> Task:
    """The task of a recipe given as nested dicts."""
    cls, recipe = parsed(values, where)
    return cls(recipe)


def parsed(values: Mapping[str, Any], where: str = "recipe") -> tuple[Callable[[Any], Task], Any]:
    """What is trained, and the settings of it; nothing is opened yet.

    Raises:
        PhonofilmError: an unknown kind or setting.
    """
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        said = "no line says what it trains" if kind is None else f"kind = {kind!r} is none that can be trained"
        raise PhonofilmError(f'{where}: {said}; write kind = "…" at its top, one of {", ".join(KINDS)}')
    module, _, name = KINDS[kind].partition(":")
    cls = getattr(importlib.import_module(module), name)
    return cls, from_dict(cls.Recipe, values)


def mix(*parts: object) -> int:
    """A 63-bit seed from anything printable: close inputs give unrelated seeds."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


def generator_for(*parts: object) -> torch.Generator:
    """A CPU generator seeded by `mix(*parts)`."""
    return torch.Generator().manual_seed(mix(*parts))


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, count: int) -> Tensor:
    return torch.randperm(count, generator=generator_for("epoch", seed, epoch))


def rows_at(seed: int, step: int, batch: int, count: int) -> list[int]:
    """Rows of one batch when `count` rows are gone through in a new order every epoch; pure."""
    rows = []
    for place in range(step * batch, (step + 1) * batch):
        epoch, offset = divmod(place, count)
        rows.append(int(_permutation(seed, epoch, count)[offset]))
    return rows
