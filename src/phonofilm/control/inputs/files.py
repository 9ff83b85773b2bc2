"""Modules that attach, on disk: one safetensors file says what it is, and for which network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

from phonofilm.checkpoint import load_tensors, save_tensors
from phonofilm.config import from_dict, parse_json, to_dict
from phonofilm.control.foleycrafter import refuse_foleycrafter
from phonofilm.control.inputs.attachment import Attachment
from phonofilm.control.inputs.controlnet import TimeControlNet
from phonofilm.control.inputs.semantic import SemanticAdapter
from phonofilm.control.inputs.sync import SyncModule
from phonofilm.control.lora.merge import architecture, differing
from phonofilm.errors import PhonofilmError
from phonofilm.model.transformer import AVTransformer

ControlKind = Literal["hits", "follow", "sync", "semantic"]
KINDS: tuple[ControlKind, ...] = get_args(ControlKind)
"""What a module hears: moments at which something sounds, a loudness, or a picture by moment or as a whole."""
FORMAT = "Control"


@dataclass(frozen=True)
class ControlConfig:
    """What a module is.

    Attributes:
        hears: what it is told, which is its name as well.
        blocks: of the network that it works on; not of "sync", which works on the modulation of all.
        slots: into how many slots each token of sound is divided, for "hits" and "follow".
        width: of the picture's features, for "sync" and "semantic".
        hidden: channels inside, for "sync".
    """

    hears: ControlKind
    blocks: tuple[int, ...] = ()
    slots: int = 4
    width: int = 128
    hidden: int = 64

    def __post_init__(self) -> None:
        if min(self.slots, self.width, self.hidden) < 1:
            raise ValueError("slots, width and hidden are 1 or more")
        if (self.hears == "sync") == bool(self.blocks):
            raise ValueError(f"{self.hears} needs {'no blocks' if self.blocks else 'blocks to work on'}")


def build_control(config: ControlConfig, network: AVTransformer) -> Attachment:
    """A fresh module, which changes nothing of a network that it is attached to.

    Raises:
        PhonofilmError: a block without sound.
    """
    match config.hears:
        case "hits":
            return TimeControlNet(network, config.blocks, 2 * config.slots, "hits")
        case "follow":
            return TimeControlNet(network, config.blocks, config.slots, "follow")
        case "sync":
            return SyncModule(network, config.width, config.hidden, "sync")
        case "semantic":
            return SemanticAdapter(network, config.blocks, config.width, "semantic")


def save_control(
    path: str | Path,
    module: Attachment,
    config: ControlConfig,
    network: AVTransformer,
    dtype: torch.dtype = torch.float32,
    metadata: Mapping[str, str] = {},
) -> Path:
    """Write a module, what it is, and the architecture of the network that it is for.

    Raises:
        PhonofilmError: a weight that is not finite, or a file that cannot be written.
    """
    tensors = {name: tensor.to(dtype) for name, tensor in module.state_dict().items()}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise PhonofilmError(f"{config.hears}.{name} is not finite as {dtype}; it was not saved")
    said = {"kind": FORMAT, "config": json.dumps(to_dict(config), sort_keys=True)}
    said["architecture"] = json.dumps(architecture(network.config), sort_keys=True)
    return save_tensors(path, tensors, {**metadata, **said})


def load_control(path: str | Path, network: AVTransformer) -> tuple[Attachment, ControlConfig]:
    """A module of a file, not attached yet, on the device of the network.

    Raises:
        PhonofilmError: a file that is missing, corrupt, no such module, or one for another network.
    """
    refuse_foleycrafter(path)
    tensors, metadata = load_tensors(path)
    if metadata.get("kind") != FORMAT:
        raise PhonofilmError(f"{path} is no control module; phonofilm train recipes/control_hits.toml makes one")
    try:
        config = from_dict(ControlConfig, parse_json(metadata["config"]))
        then = parse_json(metadata["architecture"])
    except (KeyError, ValueError) as error:
        raise PhonofilmError(f"{path} does not say what it is; copy it again") from error
    if (apart := differing(then, network.config)) is not None:
        name, was, here = apart
        raise PhonofilmError(f"{path} is for another network: its {name} is {was}, this one's {here}")
    module = build_control(config, network)
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    if wrong := sorted(
        name for name in expected.keys() | tensors.keys() if expected.get(name) != _shape(tensors, name)
    ):
        raise PhonofilmError(
            f"{path} is damaged: {wrong[0]} is {_shape(tensors, wrong[0])}, not {expected.get(wrong[0])}"
        )
    module.load_state_dict(tensors)
    like = next(network.parameters())
    return module.to(like.device).eval().requires_grad_(False), config


def _shape(tensors: Mapping[str, torch.Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(tensors[name].shape) if name in tensors else None
