"""A generator's local denoiser, trained by itself: several times as many clips a minute as inside the network."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from phonofilm.data.latents import LatentStore
from phonofilm.errors import PhonofilmError
from phonofilm.model.detail.config import LocalConfig
from phonofilm.model.detail.estimates import alone, standing_still
from phonofilm.model.detail.local import LocalDenoiser
from phonofilm.training.optim.optimizers import OptimConfig
from phonofilm.training.tasks.base import Batch, RunConfig, generator_for, rows_at
from phonofilm.training.tasks.generator import LatentsConfig


@dataclass(frozen=True)
class LocalRecipe:
    """recipes/nano_128_local.toml

    Attributes:
        width, blocks, steps: of the denoiser, as `video.local` and the first of `video.patch` of the network have them.
        mean, std: noise levels are the sigmoid of normal numbers of these.
        floor: the squared error counts 1 / max(sigma, floor), as in the generator's loss.
    """

    kind: Literal["local"]
    run: RunConfig
    data: LatentsConfig
    width: int = 96
    blocks: int = 4
    steps: int = 2
    mean: float = 0.4
    std: float = 1.2
    floor: float = 0.25
    optim: OptimConfig = field(default_factory=OptimConfig)


class LocalTask:
    """Latents of pictures, and noise."""

    Recipe: ClassVar[type[Any]] = LocalRecipe
    free_at_resume: ClassVar[frozenset[str]] = frozenset()
    may_be_fresh: ClassVar[tuple[str, ...]] = ()
    uses_all: ClassVar[bool] = True

    def __init__(self, recipe: LocalRecipe) -> None:
        self.recipe = recipe
        self.filename = "local.safetensors"
        self.store = LatentStore(recipe.data.folder, recipe.data.more)
        if len(self.store) <= recipe.data.held_out:
            raise PhonofilmError(f"{len(self.store)} clips are too few to hold out {recipe.data.held_out} of them")
        self.channels = self.store.latents("video", [0]).shape[1]

    def build(self) -> nn.Module:
        recipe = self.recipe
        model = LocalDenoiser(LocalConfig(recipe.steps, self.channels, recipe.width, recipe.blocks))
        model.start_as_zero()
        return model

    def batch(self, step: int) -> Batch:
        """`video` [B, C, T, H, W] of the clips of a step."""
        run, held_out = self.recipe.run, self.recipe.data.held_out
        rows = rows_at(run.seed, step, run.batch, len(self.store) - held_out)
        return {"video": self.store.latents("video", [held_out + row for row in rows])}

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        recipe, video = self.recipe, batch["video"].float()
        normal = torch.randn(len(video), 1, 1, 1, 1, generator=generator).to(video.device)
        sigma = torch.sigmoid(recipe.mean + recipe.std * normal)
        noise = torch.randn(video.shape, generator=generator).to(video.device)
        squared = _squared_error(model, video, noise, sigma)
        return (squared / sigma.clamp_min(recipe.floor)).mean(), {"video": squared.detach().mean()}

    def validate(self, model: nn.Module, step: int, folder: Path) -> dict[str, float]:
        """Errors on held-out clips at some noise levels, all of it and where things move; the same noise always."""
        rows = range(self.recipe.data.held_out)
        found: dict[str, list[float]] = {}
        for start in range(0, len(rows), 8):
            video = self.store.latents("video", list(rows[start : start + 8])).float()
            noise = torch.randn(video.shape, generator=generator_for("validation", start))
            moves = _moving(video)
            for level in (0.8, 0.6, 0.4):
                squared = _squared_error(model, video, noise, torch.full((len(video), 1, 1, 1, 1), level)).mean(1)
                found.setdefault(f"error_{level}", []).append(float(squared.mean()))
                found.setdefault(f"moving_{level}", []).append(float((squared * moves).sum() / moves.sum()))
        return {name: sum(values) / len(values) for name, values in found.items()}

    def faulty(self, step: int | None) -> list[str]:
        """See `Task.faulty`."""
        rows = range(len(self.store)) if step is None else range(0)
        return [
            f"row {row} of {self.store.folder}"
            for row in rows
            if not self.store.latents("video", [row]).isfinite().all()
        ]

    def finish(self, model: nn.Module) -> None:
        """Nothing was there for training alone."""

    def compile(self, model: nn.Module) -> None:
        model.compile()

    def provenance(self) -> dict[str, str]:
        """Hashes of the latents and of the codec that made them."""
        return {"data": self.store.digest(), "video_vae": self.store.facts["video_vae"]}


def _squared_error(model: nn.Module, video: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    noisy = (1 - sigma) * video + sigma * noise
    dtype = torch.get_autocast_dtype(video.device.type) if torch.is_autocast_enabled(video.device.type) else video.dtype
    estimates = alone(noisy, sigma).to(dtype), standing_still(noisy, sigma).to(dtype)
    return (model(noisy, estimates, sigma).float() - video).square()


def _moving(video: Tensor) -> Tensor:
    """[B, T, H, W], how much of each place changes from one time step to the next, from 0 to 1."""
    change = (video[:, :, 1:] - video[:, :, :-1]).square().mean(1).clamp_max(1)
    return torch.maximum(torch.cat([change[:, :1], change], 1), torch.cat([change, change[:, -1:]], 1))
