"""Adapters merged into a network's weights, and taken out again to the bit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from phonofilm.checkpoint import file_sha256
from phonofilm.config import from_dict, to_dict
from phonofilm.control.lora.files import FLAT, Factors, Lora, LoraFile
from phonofilm.errors import PhonofilmError
from phonofilm.model.names import Spelling, published_name


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
    file = LoraFile.read(lora.path)
    _check_architecture(network, file)
    weights = {name: parameter for name, parameter in network.named_parameters() if name.endswith(".weight")}
    known = known_names(weights)
    if unknown := sorted(name for name in file.layers if name not in known):
        raise PhonofilmError(
            f"LoRA {lora.path} is for another network: {len(unknown)} of {len(file.layers)} layers are unknown, "
            f"first {unknown[0]}"
        )
    found: dict[str, Callable[[], Tensor]] = {}
    for name, factors in file.layers.items():
        rows, columns = factors.up.shape[0], factors.down.shape[1]
        if (rows, columns) != (shape := tuple(weights[known[name]].shape)):
            raise PhonofilmError(
                f"LoRA {lora.path} is for a network of another size: {name} is {rows}x{columns}, "
                f"not {shape[0]}x{shape[1]}"
            )
        found[known[name]] = partial(_added, lora.strength, factors)
    return found


def _added(strength: float, factors: Factors) -> Tensor:
    return strength * factors.product()


class Merged:
    """A network into which adapters are merged; the weights that it had come back to the bit.

    Args:
        network: of which the matrices that adapters touch are kept aside while they are merged.
        weights: the hash of its weights.
    """

    def __init__(self, network: nn.Module, weights: str) -> None:
        self.network, self.weights = network, weights
        self.loras: tuple[Lora, ...] = ()
        self._kept: dict[str, Tensor] = {}

    @torch.no_grad()
    def swap(self, loras: Sequence[Lora]) -> None:
        """Have these adapters and no others; where one of them does not fit, all stays as it was.

        Raises:
            PhonofilmError: see `additions`.
        """
        found = [additions(self.network, lora) for lora in loras]
        weights = dict(self.network.named_parameters())
        for name, stored in self._kept.items():
            weights[name].copy_(stored)
        self._kept = {name: weights[name].detach().clone() for one in found for name in one}
        for one in found:
            for name, product in one.items():
                weights[name].add_(product().to(weights[name]))
        self.loras = tuple(loras)

    @property
    def digest(self) -> str:
        """Names the weights and what is merged into them."""
        if not self.loras:
            return self.weights
        lines = [self.weights, *(f"{lora.strength} {file_sha256(lora.path)}" for lora in self.loras)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def known_names(weights: Mapping[str, Any]) -> dict[str, str]:
    """Both published spellings, and the flattened one of some trainers, to our parameters."""
    known = {}
    spellings: tuple[Spelling, Spelling] = ("original", "diffusers")
    for ours in weights:
        for spelling in spellings:
            try:
                name = published_name(ours, spelling).removesuffix(".weight")
            except PhonofilmError:  # a part that LTX-2 does not have
                continue
            known[name] = ours
            known[FLAT + name.replace(".", "_")] = ours
    return known


def architecture(config: Any) -> dict[str, Any]:
    """What of a network's configuration an adapter depends on."""
    return {name: value for name, value in to_dict(config).items() if name != "condition_inputs"}


def _check_architecture(network: nn.Module, file: LoraFile) -> None:
    config = getattr(network, "config", None)
    if file.architecture is None or config is None:
        return
    if (apart := differing(file.architecture, config)) is not None:
        name, was, here = apart
        raise PhonofilmError(f"LoRA {file.path} is for another network: its {name} is {was}, this one's {here}")


def differing(then: Mapping[str, Any], config: Any) -> tuple[str, Any, Any] | None:
    """The first setting in which an architecture that was written down differs from a network's: name, then, now.

    Choices that came later are as they were: today's defaults.
    """
    try:
        then = architecture(from_dict(type(config), then))
    except PhonofilmError:
        then = dict(then)
    was, here = _flat(then), _flat(architecture(config))
    names = sorted(name for name in was.keys() | here.keys() if was.get(name) != here.get(name))
    return (names[0], was.get(names[0]), here.get(names[0])) if names else None


def _flat(values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{where}{name}.") if isinstance(value, Mapping) else {f"{where}{name}": value}
    return found
