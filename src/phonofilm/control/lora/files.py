"""LoRA files of the public ecosystem: diffusers' and peft's layout, ComfyUI's and kohya's names."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from phonofilm.checkpoint import load_tensors
from phonofilm.config import parse_json
from phonofilm.errors import PhonofilmError

FLAT = "lora_unet_"
"""Begins kohya's names, in which every dot has become an underscore."""
NOTED = "lora_adapter_metadata"
"""The key of a file's metadata under which diffusers writes the adapter's configuration."""
ARCHITECTURE = "architecture"
"""The key under which we write the configuration of the network that an adapter was trained on."""
PEFT_CONFIG = "adapter_config.json"
"""What peft writes beside its adapters."""

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
_DORA = ("dora_scale", "lora_magnitude_vector")


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
        if not math.isfinite(lora.strength):
            raise PhonofilmError(f"a LoRA cannot be {strength} strong; give a number, as in style.safetensors:0.8")
        if not lora.path.is_file():
            raise PhonofilmError(f"LoRA file {lora.path} is missing; check the path")
        return lora


@dataclass(frozen=True)
class Factors:
    """What a file has for one matrix [out, in]: scale · up·down, with up [out, r] and down [r, in]."""

    up: Tensor
    down: Tensor
    scale: float

    def product(self) -> Tensor:
        """float32 [out, in]."""
        return self.scale * (self.up.float() @ self.down.float())


@dataclass(frozen=True)
class LoraFile:
    """A file that was read.

    Attributes:
        layers: factors by the published name of the layer, without prefix.
        architecture: configuration of the network that it was trained on, where the file says it.
    """

    path: Path
    layers: Mapping[str, Factors]
    architecture: Mapping[str, Any] | None = None

    @staticmethod
    def read(path: Path) -> LoraFile:
        """Read a file in any of the known layouts.

        Raises:
            PhonofilmError: a file that is no LoRA, an incomplete one, or a kind whose product is not just scaled.
        """
        tensors, metadata = load_tensors(path)
        noted = _noted(metadata, path)
        found: dict[str, Factors] = {}
        for name, parts in _layers(tensors, path).items():
            up, down = parts["B"], parts["A"]
            if up.ndim != 2 or down.ndim != 2 or up.shape[1] != down.shape[0]:
                shapes = f"{tuple(up.shape)} and {tuple(down.shape)}"
                raise PhonofilmError(f"LoRA {path}: the factors of {name} do not fit each other: {shapes}")
            found[name] = Factors(up, down, _scale(name, down.shape[0], parts.get("alpha"), noted, path))
        try:
            said = parse_json(metadata[ARCHITECTURE]) if ARCHITECTURE in metadata else None
        except ValueError as error:
            raise PhonofilmError(f"LoRA {path} is damaged: its {ARCHITECTURE} is no JSON ({error})") from error
        return LoraFile(path, found, said)


def _layers(tensors: Mapping[str, Tensor], path: Path) -> dict[str, dict[str, Tensor]]:
    """The factors of each layer, by the layer's published name without prefix."""
    layers: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if any(part in key for part in _DORA):
            raise PhonofilmError(f"{path} is a DoRA, which is no LoRA that can be merged; save a plain LoRA")
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


def _noted(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    """The adapter's configuration: in the file, as diffusers writes it, or beside it, as peft does; or nothing.

    Raises:
        PhonofilmError: a kind of adapter whose product is not just scaled.
    """
    beside = path.with_name(PEFT_CONFIG)
    text = metadata.get(NOTED, "{}")
    if NOTED not in metadata and path.name.startswith("adapter_model") and beside.is_file():
        text = beside.read_text(encoding="utf-8", errors="replace")
    try:
        noted = parse_json(text)
    except ValueError:
        return {}
    if not isinstance(noted, dict):
        return {}
    plain = {str(key).removeprefix("transformer."): value for key, value in noted.items()}
    if plain.get("use_dora"):
        raise PhonofilmError(f"{path} is a DoRA, which is no LoRA that can be merged; save a plain LoRA")
    return plain


def _scale(name: str, rank: int, alpha: Tensor | None, noted: Mapping[str, Any], path: Path) -> float:
    """alpha / rank of a layer, or alpha / √rank where the adapter says so (rsLoRA, 2312.03732)."""
    said = _patterned(name, noted.get("rank_pattern"), noted.get("r"))
    if isinstance(said, int) and said != rank:
        raise PhonofilmError(f"LoRA {path}: {name} has rank {rank}, and its configuration says {said}")
    value = _patterned(name, noted.get("alpha_pattern"), noted.get("lora_alpha"))
    if alpha is not None:
        value = float(alpha)
    plain = float(value) if isinstance(value, int | float) else float(rank)
    return plain / (math.sqrt(rank) if noted.get("use_rslora") else rank)


def _patterned(name: str, patterns: Any, default: Any) -> Any:
    """The value of the first pattern (peft's: the end of a name, from a dot on) that a layer's name matches."""
    for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
        try:
            if re.fullmatch(rf"(.*\.)?({pattern})", name):
                return value
        except re.error:
            continue
    return default
