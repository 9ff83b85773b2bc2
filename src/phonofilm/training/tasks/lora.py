"""The task of an adapter: a generator whose weights stay, and a low-rank addition to some of its layers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from phonofilm.checkpoint import file_sha256, load_module, load_tensors, read_metadata, weight_files
from phonofilm.config import from_dict, parse_json
from phonofilm.control.lora.attach import LoraSettings, attach, save_adapter
from phonofilm.errors import PhonofilmError
from phonofilm.model.names import from_published
from phonofilm.model.transformer import AVTransformer, TransformerConfig
from phonofilm.training.tasks.generator import GeneratorRecipe, GeneratorTask, network_of
from phonofilm.weights import EMBEDDED, locate


@dataclass(frozen=True)
class LoraRecipe(GeneratorRecipe):
    """recipes/lora.toml

    Attributes:
        base: the model that is adapted: a name, its folder, or the file of its transformer. Weights of ours say their
            size themselves; those in the published layout of LTX-2 have the size of `preset` and `model`.
        lora: which layers are changed, and how much.
    """

    kind: Literal["lora"]  # type: ignore[assignment]
    base: str = "nano"
    lora: LoraSettings = field(default_factory=LoraSettings)


class LoraTask(GeneratorTask):
    """The generator's loss, moved by the adapter alone."""

    Recipe: ClassVar[type[Any]] = LoraRecipe
    recipe: LoraRecipe
    may_be_fresh: ClassVar[tuple[str, ...]] = ()

    def __init__(self, recipe: LoraRecipe) -> None:
        if recipe.network != "transformer":
            raise PhonofilmError(f"network = {recipe.network!r} takes no adapter; use transformer")
        if recipe.alignment.weight or recipe.conditions:
            raise PhonofilmError("an adapter learns with alignment.weight = 0 and without conditions")
        if recipe.run.init is not None:
            raise PhonofilmError("an adapter begins with the weights of base: leave out run.init")
        self.base = transformer_of(recipe.base)
        metadata = read_metadata(self.base)
        self.published = metadata.get("kind") != AVTransformer.__name__
        trained = {} if self.published else said_of_training(metadata)
        super().__init__(replace(recipe, prediction=trained.get("prediction", recipe.prediction)))
        self.filename = "lora.safetensors"
        self._check_codecs(metadata)

    def _network(self) -> tuple[type[nn.Module], Any]:
        if self.published:
            return network_of(self.recipe)
        said = read_metadata(self.base)
        try:
            return AVTransformer, from_dict(TransformerConfig, parse_json(said["config"]))
        except (KeyError, ValueError) as error:
            raise PhonofilmError(f"{self.base} does not say how it is built; copy it again") from error

    def _check_codecs(self, metadata: Mapping[str, str]) -> None:
        """Latents of other codecs than those of the base teach nonsense."""
        for name in ("video_vae", "audio_vae", "text"):
            known, found = metadata.get(name), self.store.facts.get(name)
            if known is not None and found is not None and known != found:
                raise PhonofilmError(
                    f"{self.store.folder} was encoded with another {name} than {self.recipe.base}'s; encode it again"
                )

    def build(self) -> nn.Module:
        model = _published(self.base, self.config) if self.published else load_module(AVTransformer, self.base)
        return attach(model, self.recipe.lora)

    def save(self, path: Path, model: nn.Module, dtype: torch.dtype, metadata: Mapping[str, str]) -> Path:
        """The adapter alone; see `save_adapter`."""
        return save_adapter(path, model, dtype, metadata)

    def provenance(self) -> dict[str, str]:
        return {**super().provenance(), "base": file_sha256(self.base)}


def transformer_of(base: str) -> Path:
    """The file of a model's transformer.

    Raises:
        PhonofilmError: no such model.
    """
    if Path(base).suffix and weight_files(base):
        return Path(base)
    found = Path(base) / "transformer" / "diffusion_pytorch_model.safetensors"
    if base not in EMBEDDED and found.is_file():
        return found
    return locate(base) / "transformer.safetensors"


def said_of_training(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What the metadata of a transformer says of its grid and its sampling."""
    try:
        return dict(json.loads(metadata.get("trained", "{}")))
    except ValueError:
        return {}


def _published(path: Path, config: TransformerConfig) -> nn.Module:
    """Weights in the published layout of LTX-2, in our network.

    Raises:
        PhonofilmError: weights of another network, or of another size than the recipe's.
    """
    with torch.device("meta"):
        model = AVTransformer(config)
    expected = model.state_dict()
    try:
        tensors = from_published(load_tensors(path)[0], expected)
    except PhonofilmError as error:
        raise PhonofilmError(f"{path}: {error}") from error
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            sizes = f"{tuple(tensor.shape)} for {tuple(expected[name].shape)}"
            raise PhonofilmError(f"{path} is not of the size that preset and model say: {name} is {sizes}")
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    return model
