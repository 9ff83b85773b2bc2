"""The generator's task: one network for every job, learnt from latents at mixed noise levels."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from phonofilm.checkpoint import load_module
from phonofilm.config import from_dict, merged, to_dict
from phonofilm.data.building import sets_text
from phonofilm.data.latents import LatentStore
from phonofilm.errors import PhonofilmError
from phonofilm.model.detail.local import LocalDenoiser, with_local
from phonofilm.model.moe.upcycle import upcycled
from phonofilm.sampling.denoiser import Denoiser, LossConfig, Prediction
from phonofilm.training.conditions.registry import conditions_named, measured
from phonofilm.training.mixture.chunk_noise import ChunkMixture, draw_chunk_levels
from phonofilm.training.mixture.noise import NoiseConfig, draw_levels, draw_switches
from phonofilm.training.mixture.stem_noise import draw_own_text, draw_stems, draw_subset
from phonofilm.training.optim.optimizers import OptimConfig
from phonofilm.training.tasks.alignment import AlignmentConfig, SoundFromPicture, tokens_after
from phonofilm.training.tasks.base import Batch, RunConfig, generator_for, rows_at
from phonofilm.training.tasks.samples import SamplesConfig, SamplingConfig, check_codecs, write_samples
from phonofilm.types import Latents, Positions, Text

NETWORKS = {
    "transformer": ("phonofilm.model.transformer", "AVTransformer", "PRESETS"),
    "unet": ("phonofilm.model.unet", "UNet3D", "UNET_PRESETS"),
}


@dataclass(frozen=True)
class LatentsConfig:
    """Which latents to train on; the first `held_out` are for validation only. Those of `more` stores follow."""

    folder: Path
    held_out: int = 64
    more: tuple[Path, ...] = ()


@dataclass(frozen=True)
class GeneratorRecipe:
    """recipes/nano.toml

    Attributes:
        network, preset: which network at which size; `model` changes single settings of the preset.
        streams: which streams there are at all; the other one is None, to be told from one that is given or noise.
        prediction: what the network predicts (see `Denoiser`).
        chunks: how often, and how, attention is block-causal in training.
        conditions: what the network is told besides the prompt, by the names of `training.conditions.registry`.
        without_conditions: share of batches that are trained without them, so that they may be left out.
        alignment: an auxiliary loss that asks the picture's tokens for the sound.
        local: weights of `recipes/nano_128_local.toml`, for a run whose `run.init` has no local denoiser yet.
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
    chunks: ChunkMixture = field(default_factory=ChunkMixture)
    conditions: tuple[str, ...] = ()
    without_conditions: float = 0.2
    loss: LossConfig = field(default_factory=LossConfig)
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    local: Path | None = None
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    samples: SamplesConfig = field(default_factory=SamplesConfig)


class GeneratorTask:
    """Latents of a store, a mixture of noise levels, and the denoiser's loss."""

    Recipe: ClassVar[type[Any]] = GeneratorRecipe
    free_at_resume: ClassVar[frozenset[str]] = frozenset({"sampling", "samples"})
    may_be_fresh: ClassVar[tuple[str, ...]] = ("alignment.", "video.entry.")

    def __init__(self, recipe: GeneratorRecipe) -> None:
        self.recipe = recipe
        self.filename = f"{recipe.network}.safetensors"
        self.network, self.config = self._network()
        self.conditions = conditions_named(recipe.conditions)
        if self.conditions:
            if recipe.network != "transformer":
                raise PhonofilmError(f"network = {recipe.network!r} takes no conditions; use transformer")
            inputs = (*self.config.condition_inputs, *(one.input for one in self.conditions))
            self.config = replace(self.config, condition_inputs=inputs)
        self.store = LatentStore(recipe.data.folder, recipe.data.more)
        if len(self.store) <= recipe.data.held_out:
            raise PhonofilmError(f"{len(self.store)} clips are too few to hold out {recipe.data.held_out} of them")
        if recipe.samples.count and recipe.streams != "both":
            raise PhonofilmError(f"samples need both streams: with streams = {recipe.streams!r} set samples.count = 0")
        if recipe.samples.count:
            check_codecs(recipe.samples.codecs)  # now, not at the first validation
        self.grid = self.store.grid(_patch(self.config))
        if recipe.noise.levels[1] < 1 and recipe.chunks.share and recipe.chunks.live:
            raise PhonofilmError("an expert for low noise sees no pure noise, as live chunks have; set chunks.live = 0")
        self.stems = max(1, len(self.store.stems))
        if (has := getattr(self.config.audio, "stems", 1)) != self.stems:
            raise PhonofilmError(f"the latents have {self.stems} stems, the network {has}: set model.audio.stems")
        self.positions = self.grid.positions(tuple(range(self.stems)))
        self._check_alignment()

    @property
    def uses_all(self) -> bool:
        """Whether all batches of a step use the same parts of the network; conditions are left out batch by batch."""
        return not self.conditions

    def _network(self) -> tuple[type[nn.Module], Any]:
        return network_of(self.recipe)

    def build(self) -> nn.Module:
        model = self.network(self.config)
        if (align := self.recipe.alignment).weight:
            video, sound = self.config.video, self.config.audio
            part = SoundFromPicture(align, video.width, self.stems, sound.channels, video.patch[0])
            model.add_module("alignment", part)
        return model

    def begin(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights without experts, or without a local denoiser, become those of a network that has them.

        It says the same at first.
        """
        tensors = self._with_local(tensors)
        experts = getattr(self.config, "experts", None)
        if experts is None or not experts.count or any(".experts." in name for name in tensors):
            return tensors
        return upcycled(tensors, experts, self.recipe.run.seed)

    def _with_local(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        video, path = self.config.video, self.recipe.local
        if not getattr(video, "local", None) or any(".local." in name for name in tensors):
            return tensors
        if path is None:
            raise PhonofilmError("the weights to begin with have no local denoiser: give its weights as local")
        local = load_module(LocalDenoiser, path)
        if replace(local.config, told=video.local_config.told) != video.local_config:
            raise PhonofilmError(f"{path} is {local.config}, where the recipe's network has {video.local_config}")
        return with_local(tensors, local.state_dict(), video.local_config)

    def _check_alignment(self) -> None:
        align = self.recipe.alignment
        if not align.weight:
            return
        if self.recipe.network != "transformer" or self.recipe.streams != "both":
            raise PhonofilmError("alignment needs the transformer with both streams: set alignment.weight = 0")
        if (found := self.grid.video_shape[0]) != (sound := self.grid.audio_length):
            raise PhonofilmError(f"alignment needs as many latents of sound, {sound}, as of picture, {found}")
        if not align.blocks or not set(align.blocks) <= set(range(self.config.layers)):
            raise PhonofilmError(
                f"alignment.blocks = {list(align.blocks)}: name blocks from 0 to {self.config.layers - 1}"
            )

    def batch(self, step: int) -> Batch:
        """What `read` gives, with some prompts empty, and how the batch is seen.

        Of a sound with stems: `stems` int [S] those that are there, `audio_text` [B, S, L, D] and `audio_mask` where
        stems have prompts of their own; `chunk` [] seconds where attention is block-causal. A stream may be absent.
        """
        recipe, rows = self.recipe, self._rows(step)
        seed, noise = recipe.run.seed, recipe.noise
        dropped = draw_switches(noise.drop_text, len(rows), generator_for("text", seed, step))
        batch = self.read(rows, dropped.tolist())
        # all batches of an optimiser step are seen alike, so that processes which share them do the same work
        draw = generator_for("view", seed, step - step % recipe.run.accumulate)
        stems = draw_subset(noise.stems.absent, self.stems, draw)
        own = draw_own_text(noise.stems.own_text, dropped, self.stems, draw)
        chunked, lone = torch.rand(2, generator=draw).tolist()
        if len(stems) < self.stems:
            batch |= {"audio": batch["audio"][:, stems], "stems": torch.tensor(stems)}
        if own is not None:
            text = self.store.stem_text(rows, own)
            batch |= {"audio_text": text.states[:, stems], "audio_mask": text.mask[:, stems]}
        if chunked < recipe.chunks.share:
            batch["chunk"] = torch.tensor(recipe.chunks.seconds)
        if lone < noise.without_video:
            del batch["video"]
        elif lone > 1 - noise.without_audio:
            batch = {name: tensor for name, tensor in batch.items() if not name.startswith("audio")}
        return batch

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
        size, noise = len(batch["text"]), self.recipe.noise
        stems, silent = None, None
        if self.stems > 1 and "audio" in batch:
            own = noise.level(torch.randn(batch["audio"].shape[1], size, generator=generator))
            stems = draw_stems(noise.stems, own, generator)
        if "chunk" in batch and stems is not None:
            levels = draw_chunk_levels(noise, self.recipe.chunks, self.grid, size, stems, generator)
        else:
            levels = draw_levels(noise, self.grid, size, generator, stems)
        if stems is not None and levels.audio is not None:
            silent = stems.silent.T & (levels.audio == 0).flatten(2).all(2)
        if len(absent := {"video", "audio"} - batch.keys()) == 1:
            there = [name for name in ("video", "audio") if name not in absent]
            levels = Latents(**{name: _made(levels, name, noise.levels[1]) for name in there})
        isolated = draw_switches(noise.isolate, size, generator)
        told = bool(self.conditions) and float(torch.rand((), generator=generator)) >= self.recipe.without_conditions
        return self._loss(model, batch, levels, generator, ~isolated, silent, told)

    def _loss(
        self,
        model: nn.Module,
        batch: Batch,
        levels: Latents,
        generator: torch.Generator,
        exchange: Tensor | None,
        silent: Tensor | None = None,
        told: bool = True,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        clean, text, options = self._inputs(batch, silent)
        if told and self.conditions:
            options["conditions"] = measured(self.conditions, clean)
        device = batch["text"].device
        noise = clean.map(lambda v: torch.randn(v.shape, generator=generator).to(device, non_blocking=True))
        levels = self._present(levels).map(lambda level: level.to(device))
        asked = getattr(model, "alignment", None) if clean.video is not None and clean.audio is not None else None
        blocks = self.recipe.alignment.blocks if asked is not None else ()
        with tokens_after(model, blocks) as tokens:
            loss, parts = Denoiser(model, self.recipe.prediction).loss(
                clean,
                noise,
                levels,
                text,
                self._positions(batch),
                self.recipe.loss,
                exchange=None if exchange is None else exchange.to(device),
                **options,
            )
        if asked is not None:
            stems = batch["stems"].tolist() if "stems" in batch else list(range(self.stems))
            aligned = asked.loss(tokens, clean.audio, levels, stems)
            loss, parts = loss + self.recipe.alignment.weight * aligned, {**parts, "alignment": aligned.detach()}
        return loss, parts

    def _inputs(self, batch: Batch, silent: Tensor | None = None) -> tuple[Latents, Text, dict[str, Any]]:
        """Clean latents (silence for stems that are `silent` [B, S]), the prompts, and options for the network."""
        clean = self._present(Latents(*(batch[name].float() if name in batch else None for name in ("video", "audio"))))
        device = batch["text"].device
        if silent is not None and clean.audio is not None and self.store.silence is not None:
            silence = self.store.silence.float().to(device)
            clean = Latents(clean.video, torch.where(silent.to(device)[:, :, None, None], silence, clean.audio))
        options: dict[str, Any] = {}
        if "audio_text" in batch:
            options["audio_text"] = Text(batch["audio_text"], batch["audio_mask"])
        if "chunk" in batch:
            options["chunk"] = float(batch["chunk"])
        return clean, Text(batch["text"], batch["mask"]), options

    def _positions(self, batch: Batch) -> Positions:
        return self.grid.positions(tuple(batch["stems"].tolist())) if "stems" in batch else self.positions

    def _present(self, latents: Latents) -> Latents:
        """Without the stream that the recipe leaves out."""
        streams = self.recipe.streams
        return Latents(None if streams == "audio" else latents.video, None if streams == "video" else latents.audio)

    def validate(self, model: nn.Module, step: int, folder: Path) -> dict[str, float]:
        """Errors on held-out clips at noise levels that decide sync, and samples to look at and listen to.

        "joint" has both streams at sigma 0.9, "foley" the sound with the picture given, "late" the same with a picture
        that comes a second late (the sound follows the picture as far as this error is higher), "animate" the picture
        with the sound given, "alone" the only stream of the recipe; always the same noise. An expert that does not know
        sigma 0.9 is asked in the middle of its noise levels.
        """
        least, most = self.recipe.noise.levels
        at = 0.9 if least <= 0.9 <= most else (least + most) / 2
        both = {"joint": (at, at), "foley": (0.0, at), "late": (0.0, at), "animate": (at, 0.0)}
        cases = both if self.recipe.streams == "both" else {"alone": (at, at)}
        found: dict[str, list[float]] = {}
        device = next(model.parameters()).device
        for start in range(0, self.recipe.data.held_out, 16):
            rows = list(range(start, min(start + 16, self.recipe.data.held_out)))
            batch = {name: tensor.to(device) for name, tensor in self.read(rows).items()}
            for name, (video, audio) in cases.items():
                levels = Latents(torch.full((len(rows), 1, 1, 1, 1), video), torch.full((len(rows), 1, 1, 1), audio))
                generator = generator_for("validation", start, "foley" if name == "late" else name)
                seen = {**batch, "video": self._late(batch["video"])} if name == "late" else batch
                for stream, value in self._loss(model, seen, levels, generator, None)[1].items():
                    if (stream == "alignment" and name == "foley") or getattr(levels, stream, torch.zeros(1)).any():
                        found.setdefault(f"{name}_{stream}", []).append(float(value))
        if self.recipe.samples.count:
            write_samples(self, model, folder / f"{step:07d}")
        return {name: sum(values) / len(values) for name, values in found.items()}

    def _late(self, video: Tensor) -> Tensor:
        """The picture a second later; what it had at the end comes first, after the latent that stands alone."""
        second = max(1, round(self.grid.fps / self.grid.geometry.video_time))
        video = video.float()  # autocast joins no half precision
        return torch.cat([video[:, :, :1], video[:, :, 1:].roll(second, 2)], 2)

    def finish(self, model: nn.Module) -> None:
        """Leave out what was there for training alone."""
        if hasattr(model, "alignment"):
            del model.alignment

    def compile(self, model: nn.Module) -> None:
        model.compile()

    def provenance(self) -> dict[str, str]:
        """Hashes of the latents and of what made them; "trained" says on which grid, and how to sample, "sets" which
        curated sets they are of and under which licences."""
        codecs = {name: self.store.facts[name] for name in ("video_vae", "audio_vae", "text")}
        trained = {
            "size": [self.grid.width, self.grid.height],
            "fps": str(self.grid.fps),
            "seconds": str(self.grid.seconds),
            "prediction": self.recipe.prediction,
            **to_dict(self.recipe.sampling),
            **({"levels": list(levels)} if (levels := self.recipe.noise.levels) != (0.0, 1.0) else {}),
            **({"stems": list(self.store.stems)} if self.store.stems else {}),
        }
        return {"data": self.store.digest(), "trained": json.dumps(trained), **codecs, **sets_text(self.store)}


def network_of(recipe: GeneratorRecipe) -> tuple[type[nn.Module], Any]:
    """The class of the network, and its preset with the recipe's changes."""
    module_name, class_name, presets_name = NETWORKS[recipe.network]
    module = importlib.import_module(module_name)
    presets = getattr(module, presets_name)
    if recipe.preset not in presets:
        raise PhonofilmError(f"preset = {recipe.preset!r} must be one of {', '.join(presets)}")
    preset = presets[recipe.preset]
    return getattr(module, class_name), from_dict(type(preset), merged(to_dict(preset), recipe.model), "model.")


def _made(levels: Latents, name: str, most: float) -> Tensor:
    """Noise levels of the only stream that is there: what is given throughout is made from the most noise there is."""
    level: Tensor = getattr(levels, name)
    given = (level == 0).flatten(1).all(1)
    return torch.where(given.view(-1, *(1 for _ in level.shape[1:])), most, level)


def _patch(config: Any) -> tuple[int, int, int]:
    """The patch along (time, y, x); a U-Net names one side of a square."""
    patch = config.video.patch
    return (1, patch, patch) if isinstance(patch, int) else patch
