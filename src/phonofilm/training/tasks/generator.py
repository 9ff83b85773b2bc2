"""The generator's task: one network for every job, learnt from latents at mixed noise levels."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from phonofilm.config import from_dict, merged, to_dict
from phonofilm.data.latents import LatentStore
from phonofilm.errors import PhonofilmError
from phonofilm.sampling.denoiser import Denoiser, LossConfig, Prediction
from phonofilm.training.optim.optimizers import OptimConfig
from phonofilm.training.tasks.base import Batch, RunConfig, generator_for, rows_at
from phonofilm.training.tasks.noise import NoiseConfig, draw_levels, draw_switches
from phonofilm.training.tasks.samples import SamplesConfig, SamplingConfig, check_codecs, write_samples
from phonofilm.types import Latents, Text

NETWORKS = {
    "transformer": ("phonofilm.model.transformer", "AVTransformer", "PRESETS"),
    "unet": ("phonofilm.model.unet", "UNet3D", "UNET_PRESETS"),
}


@dataclass(frozen=True)
class LatentsConfig:
    """Which latents to train on; the first `held_out` are for validation only."""

    folder: Path
    held_out: int = 64


@dataclass(frozen=True)
class GeneratorRecipe:
    """recipes/nano.toml

    Attributes:
        network, preset: which network at which size; `model` changes single settings of the preset.
        streams: which streams there are at all; the other one is None, to be told from one that is given or noise.
        prediction: what the network predicts (see `Denoiser`).
        sampling: how the weights want to be sampled; written into their metadata.
        samples: what validation renders.
    """

    kind: Literal["generator"]
    run: RunConfig
    data: LatentsConfig
    network: Literal["transformer", "unet"] = "transformer"
    preset: str = "nano"
    model: Mapping[str, Any] = field(default_factory=dict)
    streams: Literal["both", "video", "audio"] = "both"
    prediction: Prediction = "sample"
    optim: OptimConfig = field(default_factory=OptimConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    samples: SamplesConfig = field(default_factory=SamplesConfig)


class GeneratorTask:
    """Latents of a store, a mixture of noise levels, and the denoiser's loss."""

    Recipe = GeneratorRecipe
    free_at_resume: ClassVar[frozenset[str]] = frozenset({"sampling", "samples"})

    def __init__(self, recipe: GeneratorRecipe) -> None:
        self.recipe = recipe
        self.filename = f"{recipe.network}.safetensors"
        self.network, self.config = _network(recipe)
        self.store = LatentStore(recipe.data.folder)
        if len(self.store) <= recipe.data.held_out:
            raise PhonofilmError(f"{len(self.store)} clips are too few to hold out {recipe.data.held_out} of them")
        if recipe.samples.count and recipe.streams != "both":
            raise PhonofilmError(f"samples need both streams: with streams = {recipe.streams!r} set samples.count = 0")
        if recipe.samples.count:
            check_codecs(recipe.samples.codecs)  # now, not at the first validation
        self.grid = self.store.grid(_patch(self.config))
        self.positions = self.grid.positions()

    def build(self) -> nn.Module:
        return self.network(self.config)

    def batch(self, step: int) -> Batch:
        """video [B, C, T, H, W], audio [B, S, C, T], text [B, L, D], mask [B, L]; some prompts are the empty one."""
        rows = self._rows(step)
        seed = self.recipe.run.seed
        dropped = draw_switches(self.recipe.noise.drop_text, len(rows), generator_for("text", seed, step))
        return self.read(rows, dropped.tolist())

    def _rows(self, step: int) -> list[int]:
        run, held_out = self.recipe.run, self.recipe.data.held_out
        return [held_out + row for row in rows_at(run.seed, step, run.batch, len(self.store) - held_out)]

    def faulty(self, step: int | None) -> list[str]:
        """See `Task.faulty`."""
        rows = range(self.recipe.data.held_out) if step is None else self._rows(step)
        parts = {row: self.read([row]) for row in rows}
        wrong = [row for row, part in parts.items() if not all(tensor.isfinite().all() for tensor in part.values())]
        found = [f"row {row} of {self.store.folder}" for row in wrong]
        empty = self.store.text([None]).states
        return found if empty.isfinite().all() else [f"the empty prompt of {self.store.folder}", *found]

    def read(self, rows: list[int], without_text: list[bool] | None = None) -> Batch:
        """Some rows of the store."""
        drops = without_text or [False] * len(rows)
        text = self.store.text([None if drop else row for row, drop in zip(rows, drops, strict=True)])
        return {
            "video": self.store.latents("video", rows),
            "audio": self.store.latents("audio", rows),
            "text": text.states,
            "mask": text.mask,
        }

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        levels = draw_levels(self.recipe.noise, self.grid, len(batch["text"]), generator)
        isolated = draw_switches(self.recipe.noise.isolate, len(batch["text"]), generator)
        return self._loss(model, batch, levels, generator, ~isolated)

    def _loss(
        self, model: nn.Module, batch: Batch, levels: Latents, generator: torch.Generator, exchange: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        clean = self._present(Latents(batch["video"].float(), batch["audio"].float()))
        device = batch["text"].device
        noise = clean.map(lambda v: torch.randn(v.shape, generator=generator).to(device, non_blocking=True))
        denoiser = Denoiser(model, self.recipe.prediction)
        return denoiser.loss(
            clean,
            noise,
            self._present(levels).map(lambda level: level.to(device)),
            Text(batch["text"], batch["mask"]),
            self.positions,
            self.recipe.loss,
            exchange=None if exchange is None else exchange.to(device),
        )

    def _present(self, latents: Latents) -> Latents:
        """Without the stream that the recipe leaves out."""
        streams = self.recipe.streams
        return Latents(None if streams == "audio" else latents.video, None if streams == "video" else latents.audio)

    def validate(self, model: nn.Module, step: int, folder: Path) -> dict[str, float]:
        """Errors on held-out clips at noise levels that decide sync, and samples to look at and listen to.

        "joint" has both streams at sigma 0.9, "foley" the sound with the picture given, "animate" the
        picture with the sound given, "alone" the only stream of the recipe; always the same noise.
        """
        both = {"joint": (0.9, 0.9), "foley": (0.0, 0.9), "animate": (0.9, 0.0)}
        cases = both if self.recipe.streams == "both" else {"alone": (0.9, 0.9)}
        found: dict[str, list[float]] = {}
        device = next(model.parameters()).device
        for start in range(0, self.recipe.data.held_out, 16):
            rows = list(range(start, min(start + 16, self.recipe.data.held_out)))
            batch = {name: tensor.to(device) for name, tensor in self.read(rows).items()}
            for name, (video, audio) in cases.items():
                levels = Latents(torch.full((len(rows), 1, 1, 1, 1), video), torch.full((len(rows), 1, 1, 1), audio))
                generator = generator_for("validation", start, name)
                for stream, value in self._loss(model, batch, levels, generator, None)[1].items():
                    if getattr(levels, stream).any():
                        found.setdefault(f"{name}_{stream}", []).append(float(value))
        if self.recipe.samples.count:
            write_samples(self, model, folder / f"{step:07d}")
        return {name: sum(values) / len(values) for name, values in found.items()}

    def finish(self, model: nn.Module) -> None:
        """Nothing: latents are normalised by their codecs."""

    def compile(self, model: nn.Module) -> None:
        model.compile()

    def provenance(self) -> dict[str, str]:
        """Hashes of the latents and of what made them; "trained" says on which grid, and how to sample."""
        codecs = {name: self.store.facts[name] for name in ("video_vae", "audio_vae", "text")}
        trained = {
            "size": [self.grid.width, self.grid.height],
            "fps": str(self.grid.fps),
            "seconds": str(self.grid.seconds),
            "prediction": self.recipe.prediction,
            **to_dict(self.recipe.sampling),
        }
        return {"data": self.store.digest(), "trained": json.dumps(trained), **codecs}


def _network(recipe: GeneratorRecipe) -> tuple[type[nn.Module], Any]:
    """The class of the network, and its preset with the recipe's changes."""
    module_name, class_name, presets_name = NETWORKS[recipe.network]
    module = importlib.import_module(module_name)
    presets = getattr(module, presets_name)
    if recipe.preset not in presets:
        raise PhonofilmError(f"preset = {recipe.preset!r} must be one of {', '.join(presets)}")
    preset = presets[recipe.preset]
    return getattr(module, class_name), from_dict(type(preset), merged(to_dict(preset), recipe.model), "model.")


def _patch(config: Any) -> tuple[int, int, int]:
    """The patch along (time, y, x); a U-Net names one side of a square."""
    patch = config.video.patch
    return (1, patch, patch) if isinstance(patch, int) else patch
