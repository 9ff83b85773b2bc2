"""Adapters to train: attached through peft to the layers of a stream, and written as diffusers reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from phonofilm.checkpoint import save_tensors
from phonofilm.control.lora.files import ARCHITECTURE, NOTED
from phonofilm.control.lora.merge import architecture
from phonofilm.errors import PhonofilmError
from phonofilm.model.names import published_name

Target = Literal["video", "audio", "bridge", "all"]
ADAPTER = "default"
_PREFIX = "transformer."


@dataclass(frozen=True)
class LoraSettings:
    """What an adapter is.

    Attributes:
        target: which layers it changes: those of one stream alone ("video", "audio": its self-attention, its
            attention to the text, its feed-forward), the attention between the streams ("bridge"), or all of these.
        rank: of the product that is added to a matrix.
        alpha: what is added counts alpha / rank; None stands for the rank.
        ranks: other ranks for layers whose name, as `blocks.0.video.feed_forward.up`, ends like this.
        dropout: share of a layer's input that the adapter does not see in training.
    """

    target: Target = "all"
    rank: int = 16
    alpha: float | None = None
    ranks: Mapping[str, int] = field(default_factory=dict)
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.alpha is not None and not 0 < self.alpha < float("inf"):
            raise ValueError(f"an alpha of {self.alpha:g} is not possible; it is above 0")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"a dropout of {self.dropout:g} is not possible; it is from 0 to below 1")

    def rank_of(self, name: str) -> int:
        """The rank for a layer."""
        own = (rank for end, rank in self.ranks.items() if name == end or name.endswith(f".{end}"))
        return next(own, self.rank)


def target_layers(network: nn.Module, target: Target) -> list[str]:
    """Names of the linear layers in the blocks that an adapter of that target changes."""
    linear = [name for name, part in network.named_modules() if isinstance(part, nn.Linear)]
    found = []
    for name in linear:
        match name.split("."):
            case ["blocks", _, stream, part, _]:
                kind = "bridge" if part == "exchange" else stream
                found += [name] if target in ("all", kind) and not name.endswith("to_gate") else []
    return found


def attach(network: nn.Module, settings: LoraSettings) -> nn.Module:
    """Freeze a network and add an adapter, which changes nothing until it is trained; the network itself is changed.

    Raises:
        PhonofilmError: a target without layers, a rank that does not fit one, or a pattern that fits none.
    """
    from peft import LoraConfig, inject_adapter_in_model

    layers = target_layers(network, settings.target)
    if not layers:
        raise PhonofilmError(f"the network has no layers of {settings.target}; choose another lora.target")
    ranks = {name: settings.rank_of(name) for name in layers}
    for name, rank in ranks.items():
        rows, columns = network.get_submodule(name).weight.shape  # type: ignore[misc]
        if not 1 <= rank <= min(rows, columns):
            raise PhonofilmError(f"rank {rank} does not fit {name}, which is {rows}x{columns}; set lora.rank lower")
    unused = [end for end in settings.ranks if not any(n == end or n.endswith(f".{end}") for n in layers)]
    if unused:
        raise PhonofilmError(f"lora.ranks names {unused[0]}, and no layer of {settings.target} ends like that")
    network.requires_grad_(False)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha or settings.rank,  # type: ignore[arg-type]  # peft takes any number
        target_modules=layers,
        lora_dropout=settings.dropout,
        rank_pattern={name.replace(".", r"\."): rank for name, rank in ranks.items() if rank != settings.rank},
        # as many times the rank for each: a layer of another rank counts as much
        alpha_pattern={
            name.replace(".", r"\."): rank * (settings.alpha or settings.rank) / settings.rank
            for name, rank in ranks.items()
            if rank != settings.rank
        },
    )
    inject_adapter_in_model(config, network, adapter_name=ADAPTER)
    return network


def save_adapter(path: Path, network: nn.Module, dtype: torch.dtype, metadata: Mapping[str, str]) -> Path:
    """Write the adapter alone, in diffusers' layout, with what it was trained on.

    Raises:
        PhonofilmError: a factor that is not finite (in that dtype), or a file that cannot be written.
    """
    from peft import get_peft_model_state_dict

    tensors: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    alphas: dict[str, float] = {}
    config: Any = network.peft_config[ADAPTER]  # type: ignore[index]
    for name, tensor in get_peft_model_state_dict(network, adapter_name=ADAPTER).items():
        layer, _, factor = name.rpartition(".lora_")
        published = published_name(f"{layer}.weight", "diffusers").removesuffix(".weight")
        narrow = tensor.detach().to(dtype)
        if not narrow.isfinite().all():
            raise PhonofilmError(f"{name} is not finite as {dtype}; the adapter was not saved")
        tensors[f"{_PREFIX}{published}.lora_{factor}"] = narrow
        if factor.startswith("A") and len(narrow) != config.r:
            ranks[published] = len(narrow)
            alphas[published] = float(network.get_submodule(layer).scaling[ADAPTER]) * len(narrow)  # type: ignore[index, arg-type]
    noted = {"r": config.r, "lora_alpha": config.lora_alpha, "rank_pattern": ranks, "alpha_pattern": alphas}
    said = {f"{_PREFIX}{name}": value for name, value in noted.items()}
    facts = {ARCHITECTURE: json.dumps(architecture(network.config), sort_keys=True), NOTED: json.dumps(said)}
    return save_tensors(path, tensors, {**metadata, **facts, "kind": "lora", "format": "pt"})
