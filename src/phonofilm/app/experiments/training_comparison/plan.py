"""What is compared: systems of one or two stages, trained at equal cost from one recipe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from phonofilm.checkpoint import file_sha256
from phonofilm.config import merged, read_toml
from phonofilm.data.clips import WorldSource
from phonofilm.data.encoder import Encoder
from phonofilm.data.latents import LatentStore, write_latents
from phonofilm.errors import PhonofilmError
from phonofilm.training.tasks.base import Task, generator_for, make_task

LEADER = "joint"
"""The system whose steps set the training FLOPs of all."""

ENCODED_AT_ONCE = 4  # larger batches are a third slower on a CPU


@dataclass(frozen=True)
class Cost:
    """What a stage costs: parameters that its loss reaches, and FLOPs of forward and backward pass for one clip."""

    parameters: int
    flops: float


@dataclass(frozen=True)
class Plan:
    """The recipe of a comparison, read.

    Attributes:
        values: of the recipe (recipes/compare/systems.toml).
        latents: folder of the training data, encoded.
        runs: folder under which each recipe has its own.
    """

    values: Mapping[str, Any]
    latents: Path
    runs: Path

    @staticmethod
    def read(recipe: Path, overrides: Sequence[str], latents: Path, runs: Path) -> Plan:
        """Read the recipe; `overrides` as for training.

        Raises:
            PhonofilmError: an unreadable recipe, or a system with a stage that is not there.
        """
        values = read_toml(recipe, overrides)
        for name in ("systems", "stages", "shared", "data"):
            if not isinstance(values.get(name), dict):
                raise PhonofilmError(f"{recipe} has no section [{name}]; recipes/compare/systems.toml is a model")
        missing = [s for stages in values["systems"].values() for s in stages if s not in values["stages"]]
        if missing or LEADER not in values["systems"]:
            raise PhonofilmError(f"{recipe}: there is no stage or system {(missing or [LEADER])[0]!r}")
        return Plan(values, latents, runs)

    @property
    def systems(self) -> dict[str, tuple[str, ...]]:
        """Stages of each system, in the order in which they work."""
        return {name: tuple(stages) for name, stages in self.values["systems"].items()}

    @cached_property
    def folder(self) -> Path:
        """Where this recipe on these latents keeps its runs: another recipe starts afresh."""
        facts = json.dumps([self.values, LatentStore(self.latents).digest()], sort_keys=True)
        return self.runs / hashlib.sha256(facts.encode()).hexdigest()[:10]

    def run_folder(self, stage: str, seed: int) -> Path:
        return self.folder / f"{stage}-{seed}"

    def task(self, stage: str, seed: int, steps: int | None = None) -> Task:
        """The training task of a stage."""
        own = {
            "run": {"seed": seed, "output": str(self.run_folder(stage, seed))},
            "data": {"folder": str(self.latents)},
        }
        values = merged(merged(self.values["shared"], self.values["stages"][stage]), own)
        return make_task(values if steps is None else merged(values, {"run": {"steps": steps}}))

    @cached_property
    def costs(self) -> dict[str, Cost]:
        """What each stage costs, counted on its first batch."""
        return {stage: cost(self.task(stage, 0)) for stages in self.systems.values() for stage in stages}

    @cached_property
    def budget(self) -> float:
        """Training FLOPs of every system."""
        run = self.task(LEADER, 0).recipe.run
        return sum(self.costs[stage].flops for stage in self.systems[LEADER]) * run.batch * run.steps

    def steps(self, system: str) -> int:
        """Optimiser steps of each stage of a system, so that it costs the budget."""
        batch = self.task(self.systems[system][0], 0).recipe.run.batch
        return round(self.budget / (batch * sum(self.costs[stage].flops for stage in self.systems[system])))


def cost(task: Task) -> Cost:
    """Count one batch's loss, forward and backward."""
    torch.manual_seed(0)
    model: nn.Module = task.build()
    batch = task.batch(0)
    counter = FlopCounterMode(display=False)
    with counter:
        task.loss(model, batch, generator_for("cost"))[0].backward()
    reached = sum(p.numel() for p in model.parameters() if p.grad is not None)
    return Cost(reached, counter.get_total_flops() / task.recipe.run.batch)


def prepare(plan: Plan, codecs: Path) -> None:
    """Encode the training data, unless it lies there, made with these codecs.

    Raises:
        PhonofilmError: the folder holds latents of other clips or codecs.
    """
    data = plan.values["data"]
    source = WorldSource(tuple(data["families"]), first_seed=data["first_seed"])
    try:
        store = LatentStore(plan.latents)
    except PhonofilmError:
        encoder = Encoder.load(codecs)
        store = write_latents(source, data["clips"], encoder, plan.latents, batch=ENCODED_AT_ONCE)
    same = store.facts["source"] == source.digest() and len(store) == data["clips"]
    if not same or store.facts["video_vae"] != file_sha256(codecs / "video_vae.safetensors"):
        raise PhonofilmError(
            f"{plan.latents} holds other clips, or latents of other codecs than {codecs}; delete it to encode them anew"
        )
