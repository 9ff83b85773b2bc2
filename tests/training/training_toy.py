"""A task small enough to be trained in milliseconds, with every kind of parameter the optimisers tell apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from phonofilm.training.optim.optimizers import OptimConfig
from phonofilm.training.tasks.base import Batch, RunConfig, generator_for, rows_at


@dataclass(frozen=True)
class ToyConfig:
    width: int = 24
    note: str = ""


@dataclass(frozen=True)
class ToyRecipe:
    kind: str
    run: RunConfig
    optim: OptimConfig
    model: ToyConfig


class ToyNetwork(nn.Module):
    """In, two hidden layers (one of them a convolution), dropout, out."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.enter = nn.Linear(4, config.width)
        self.blocks = nn.ModuleList([nn.Linear(config.width, config.width), nn.Conv1d(config.width, config.width, 3)])
        self.norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(0.1)
        self.leave = nn.Linear(config.width, 4)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.blocks[0](self.enter(x.to(self.enter.weight.dtype))))
        x = F.pad(x.unsqueeze(-1), (1, 1))
        return self.leave(self.dropout(self.norm(self.blocks[1](x).squeeze(-1))))


class ToyTask:
    """Learn the square of four numbers, with noise; `on_batch` lets a test pull the plug."""

    Recipe = ToyRecipe
    filename = "toy.safetensors"
    free_at_resume = frozenset({"model.note"})
    may_be_fresh = ()

    def __init__(self, folder: Path, on_batch: Callable[[int], None] | None = None, **settings: Any) -> None:
        optim = settings.pop("optim", OptimConfig(warmup=3))
        run = {"steps": 10, "batch": 8, "precision": "fp32", "log_every": 1, "save_every": 4, "validate_every": 0}
        self.recipe = ToyRecipe("toy", RunConfig(output=folder, **(run | settings)), optim, ToyConfig())
        self.on_batch = on_batch
        self.batches: list[int] = []
        self.inputs = torch.randn(50, 4, generator=generator_for("toy"))

    def build(self) -> ToyNetwork:
        return ToyNetwork(self.recipe.model)

    def _rows(self, step: int) -> list[int]:
        return rows_at(self.recipe.run.seed, step, self.recipe.run.batch, len(self.inputs))

    def faulty(self, step: int | None) -> list[str]:
        rows = range(len(self.inputs)) if step is None else self._rows(step)
        return [f"row {row} of toy" for row in rows if not self.inputs[row].isfinite().all()]

    def batch(self, step: int) -> Batch:
        self.batches.append(step)
        if self.on_batch is not None:
            self.on_batch(step)
        return {"x": self.inputs[self._rows(step)]}

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        noise = 0.1 * torch.randn(batch["x"].shape, generator=generator)
        loss = F.mse_loss(model(batch["x"] + noise).float(), batch["x"].square())
        return loss, {"error": loss.detach().sqrt()}

    def validate(self, model: nn.Module, step: int, folder: Path) -> dict[str, float]:
        return {"error": float(F.mse_loss(model(self.inputs).float(), self.inputs.square()))}

    def finish(self, model: nn.Module) -> None:
        model.get_buffer("seen").fill_(len(self.inputs))

    def compile(self, model: nn.Module) -> None:
        model.compile()

    def provenance(self) -> dict[str, str]:
        return {"data": "toy"}
