"""LoRA files of the public ecosystem, merged into our weights by the names they were published under."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from phonofilm.checkpoint import load_tensors
from phonofilm.config import parse_json
from phonofilm.errors import PhonofilmError
from phonofilm.model.names import published_name

_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "base_model.model.", "transformer.")
_FACTORS = {
    ".lora_A.default.weight": "A",
    ".lora_B.default.weight": "B",
    ".lora_A.weight": "A",
    ".lora_B.weight": "B",
    ".lora_down.weight": "A",
    ".lora_up.weight": "B",
    ".alpha": "alpha",
}
_FLAT = "lora_unet_"


@dataclass(frozen=True)
class Lora:
    """A file and how strongly it counts."""

    path: Path
    strength: float = 1.0

    @staticmethod
    def parse(text: str) -> Lora:
        """From "file.safetensors" or "file.safetensors:0.8".

        Raises:
            PhonofilmError: no such file, or a strength that is no number.
        """
        path, colon, strength = text.rpartition(":")
        if not colon or Path(text).is_file():
            path, strength = text, "1"
        try:
            lora = Lora(Path(path), float(strength))
        except ValueError as error:
            raise PhonofilmError(f"a LoRA is FILE or FILE:STRENGTH as in style.safetensors:0.8, not {text}") from error
        if not lora.path.is_file():
            raise PhonofilmError(f"LoRA file {lora.path} is missing; check the path")
        return lora


@torch.no_grad()
def merge(network: nn.Module, lora: Lora) -> int:
    """Add what the file has for each matrix that it names; returns how many there are.

    Raises:
        PhonofilmError: see `additions`.
    """
    weights, found = dict(network.named_parameters()), additions(network, lora)
    for name, product in found.items():
        weights[name].add_(product().to(weights[name]))
    return len(found)


def additions(network: nn.Module, lora: Lora) -> dict[str, Callable[[], Tensor]]:
    """What to add to which of our matrices, each computed when it is called: strength · alpha/rank · B·A, float32.

    Raises:
        PhonofilmError: a file that is no LoRA, or one for another network.
    """
    tensors, metadata = load_tensors(lora.path)
    layers = _layers(tensors, lora.path)
    weights = {name: parameter for name, parameter in network.named_parameters() if name.endswith(".weight")}
    known = _known_names(weights)
    unknown = sorted(name for name in layers if name not in known)
    if unknown:
        raise PhonofilmError(
            f"LoRA {lora.path} is for another network: {len(unknown)} of {len(layers)} layers are unknown, "
            f"first {unknown[0]}"
        )
    default = _alpha_of_file(metadata, lora.path)
    found: dict[str, Callable[[], Tensor]] = {}
    for name, factors in layers.items():
        weight, up, down = weights[known[name]], factors["B"], factors["A"]
        if (up.shape[0], down.shape[1]) != tuple(weight.shape) or up.shape[1] != down.shape[0]:
            raise PhonofilmError(
                f"LoRA {lora.path} is for a network of another size: {name} is {up.shape[0]}x{down.shape[1]}, "
                f"not {weight.shape[0]}x{weight.shape[1]}"
            )
        rank = down.shape[0]
        alpha = float(factors["alpha"]) if "alpha" in factors else rank if default is None else default
        found[known[name]] = partial(_product, up, down, lora.strength * alpha / rank)
    return found


def _product(up: Tensor, down: Tensor, factor: float) -> Tensor:
    return factor * (up.float() @ down.float())


def _layers(tensors: Mapping[str, Tensor], path: Path) -> dict[str, dict[str, Tensor]]:
    """The factors of each layer, by the layer's published name without prefix."""
    layers: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        suffix = next((suffix for suffix in _FACTORS if key.endswith(suffix)), None)
        if suffix is None:
            raise PhonofilmError(f"{path} is no LoRA that can be merged: it holds {key}")
        name = key.removesuffix(suffix)
        for prefix in _PREFIXES:
            name = name.removeprefix(prefix)
        layers.setdefault(name, {})[_FACTORS[suffix]] = tensor
    broken = sorted(name for name, factors in layers.items() if not {"A", "B"} <= factors.keys())
    if broken or not layers:
        raise PhonofilmError(f"LoRA {path} is incomplete: {broken[0] if broken else 'it'} lacks a factor")
    return layers


def _known_names(weights: Mapping[str, Tensor]) -> dict[str, str]:
    """Both published spellings, and the flattened one of some trainers, to our parameters."""
    known = {}
    for ours in weights:
        for spelling in ("original", "diffusers"):
            name = published_name(ours, spelling).removesuffix(".weight")  # type: ignore[arg-type]
            known[name] = ours
            known[_FLAT + name.replace(".", "_")] = ours
    return known


def _alpha_of_file(metadata: Mapping[str, str], path: Path) -> float | None:
    """The alpha that diffusers notes for the whole file, if it does.

    Raises:
        PhonofilmError: a kind of adapter whose product is not just scaled by alpha / rank.
    """
    try:
        noted = parse_json(metadata.get("lora_adapter_metadata", "{}"))
    except ValueError:
        return None
    if not isinstance(noted, dict):
        return None
    plain = {str(key).removeprefix("transformer."): value for key, value in noted.items()}
    for name in ("alpha_pattern", "rank_pattern", "use_rslora", "use_dora"):
        if plain.get(name):
            raise PhonofilmError(f"LoRA {path} uses {name}, which cannot be merged; save it as a plain LoRA")
    alpha = plain.get("lora_alpha")
    return float(alpha) if isinstance(alpha, (int, float)) else None
