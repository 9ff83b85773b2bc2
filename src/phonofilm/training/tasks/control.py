"""The task of a control module: a generator whose weights stay, and a module beside it that learns to be heard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from phonofilm.checkpoint import file_sha256, load_module, read_metadata
from phonofilm.config import from_dict, parse_json
from phonofilm.control.inputs.attachment import Attachment
from phonofilm.control.inputs.files import ControlConfig, build_control, save_control
from phonofilm.errors import PhonofilmError
from phonofilm.model.transformer import AVTransformer, TransformerConfig
from phonofilm.training.conditions.signals import Signals, SignalsConfig
from phonofilm.training.tasks.base import Batch, generator_for
from phonofilm.training.tasks.generator import GeneratorRecipe, GeneratorTask
from phonofilm.training.tasks.lora import said_of_training, transformer_of
from phonofilm.types import Latents, Text

TOLD = "told"
"""The tensor of a batch that holds what the module is told, [B, tokens of one stem or vectors, width]."""


@dataclass(frozen=True)
class ControlRecipe(GeneratorRecipe):
    """recipes/control_hits.toml and its sisters

    Attributes:
        base: the model that is controlled: a name, its folder, or the file of its transformer.
        control: what the module is.
        signals: how what it is told is found in the clips.
        untold: share of batches in which a module with null features ("sync") is told those.
    """

    kind: Literal["control"]  # type: ignore[assignment]
    control: ControlConfig = field(kw_only=True)
    base: str = "nano"
    signals: SignalsConfig = field(default_factory=SignalsConfig)
    untold: float = 0.1


class Controlled(nn.Module):
    """A frozen network and a module that is attached to it while it runs, so that both can be copied."""

    def __init__(self, network: AVTransformer, module: Attachment) -> None:
        super().__init__()
        self.network, self.module = network.requires_grad_(False), module

    @property
    def config(self) -> TransformerConfig:
        return self.network.config

    def forward(self, *arguments: Any, **options: Any) -> Latents:
        """See `AVTransformer.forward`."""
        self.module.attach(self.network)
        try:
            made: Latents = self.network(*arguments, **options)
        finally:
            self.module.detach()
        return made


class ControlTask(GeneratorTask):
    """The generator's loss, moved by the module alone."""

    Recipe: ClassVar[type[Any]] = ControlRecipe
    recipe: ControlRecipe
    may_be_fresh: ClassVar[tuple[str, ...]] = ()

    def __init__(self, recipe: ControlRecipe) -> None:
        if recipe.network != "transformer":
            raise PhonofilmError(f"network = {recipe.network!r} takes no control module; use transformer")
        if recipe.alignment.weight or recipe.conditions or recipe.samples.count:
            raise PhonofilmError("a control module learns with alignment.weight = 0, samples.count = 0, no conditions")
        if recipe.noise.without_audio:
            raise PhonofilmError("a control module works on the sound: set noise.without_audio = 0")
        if recipe.run.init is not None:
            raise PhonofilmError("a control module begins with the weights of base: leave out run.init")
        self.base = transformer_of(recipe.base)
        said = said_of_training(read_metadata(self.base))
        super().__init__(replace(recipe, prediction=said.get("prediction", recipe.prediction)))
        self.filename = f"{recipe.control.hears}.safetensors"
        for name in ("video_vae", "audio_vae", "text"):
            known, found = read_metadata(self.base).get(name), self.store.facts.get(name)
            if known is not None and found is not None and known != found:
                raise PhonofilmError(f"{self.store.folder} was encoded with another {name} than {recipe.base}'s")
        self.signals = Signals(recipe.control, recipe.signals, self.store, self.grid)

    def _network(self) -> tuple[type[nn.Module], Any]:
        try:
            return AVTransformer, from_dict(TransformerConfig, parse_json(read_metadata(self.base)["config"]))
        except (KeyError, ValueError) as error:
            raise PhonofilmError(f"{self.base} does not say how it is built; copy it again") from error

    def build(self) -> nn.Module:
        network = load_module(AVTransformer, self.base)
        return Controlled(network, build_control(self.recipe.control, network))

    def read(self, rows: list[int], without_text: list[bool] | None = None) -> Batch:
        """Some rows of the store, and what the module is told of them."""
        return {**super().read(rows, without_text), TOLD: self.signals.of(rows)}

    def batch(self, step: int) -> Batch:
        found = super().batch(step)
        if self.recipe.control.hears != "sync":  # without features of its own for nothing, nothing would be learnt
            return found
        if float(torch.rand((), generator=generator_for("untold", self.recipe.run.seed, step))) < self.recipe.untold:
            del found[TOLD]
        return found

    def _inputs(self, batch: Batch, silent: Tensor | None = None) -> tuple[Latents, Text, dict[str, Any]]:
        clean, text, options = super()._inputs(batch, silent)
        if clean.audio is not None:
            hears, told = self.recipe.control.hears, batch.get(TOLD)
            if told is not None:
                stems = 1 if hears == "semantic" else clean.audio.shape[1]
                options["conditions"] = {hears: told.repeat(1, stems, 1)}
            elif hears == "sync":
                options["conditions"] = {hears: clean.audio.new_zeros(len(clean.audio), 0, self.recipe.control.width)}
        return clean, text, options

    def validate(self, model: nn.Module, step: int, folder: Path) -> dict[str, float]:
        """The generator's errors, told rightly; "shuffled" those told of another clip, "untold" those without it."""
        found = super().validate(model, step, folder)
        rows = list(range(min(self.recipe.data.held_out, 16)))
        device = next(model.parameters()).device
        batch = {name: tensor.to(device) for name, tensor in self.read(rows).items()}
        others = {**batch, TOLD: batch[TOLD].roll(1, 0)}
        nothing = {name: tensor for name, tensor in batch.items() if name != TOLD}
        for way, video in (("foley", 0.0), ("joint", 0.9)):
            levels = Latents(torch.full((len(rows), 1, 1, 1, 1), video), torch.full((len(rows), 1, 1, 1), 0.9))
            for name, seen in (("told", batch), ("shuffled", others), ("untold", nothing)):
                parts = self._loss(model, seen, levels, generator_for("control", way), None)[1]
                found[f"{way}_{name}_audio"] = float(parts["audio"])
        return found

    def save(self, path: Path, model: nn.Module, dtype: torch.dtype, metadata: Mapping[str, str]) -> Path:
        """The module alone; see `save_control`."""
        assert isinstance(model, Controlled)
        return save_control(path, model.module, self.recipe.control, model.network, dtype, metadata)

    def provenance(self) -> dict[str, str]:
        return {**super().provenance(), "base": file_sha256(self.base)}
