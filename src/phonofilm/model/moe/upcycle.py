"""Weights without experts as the beginning of a network that has some: at first both say the same.

Two ways. "split" divides the hidden units among the shared expert and `used` slices, of which there are count / used
copies each; the router begins with one direction for the slices of a copy, so that a token uses all slices once
(virtual groups, He et al., 2410.07524). "copy" gives every expert all units that the shared one does not have (sparse
upcycling, Komatsuzaki et al., 2212.05055), so that each token costs more where it uses several.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from phonofilm.errors import PhonofilmError
from phonofilm.model.moe.config import ExpertsConfig

if TYPE_CHECKING:
    from phonofilm.model.transformer import AVTransformer

UP = ".feed_forward.up.weight"


def way_of(config: ExpertsConfig, hidden: int) -> Literal["split", "copy"]:
    """How `hidden` units become those of the experts.

    Raises:
        PhonofilmError: the widths are neither a division of the units nor copies of them.
    """
    shared, units = config.units(hidden)
    if shared + config.used * units == hidden and config.count % config.used == 0:
        return "split"
    if shared + units == hidden:
        return "copy"
    raise PhonofilmError(
        f"{hidden} hidden units do not become {config.count} experts of {units} beside {shared} shared ones: "
        f"let shared + used · width be 1 and count a multiple of used (split), or shared + width be 1 (copy)"
    )


def upcycled(tensors: Mapping[str, Tensor], config: ExpertsConfig, seed: int = 0) -> dict[str, Tensor]:
    """A state dict without experts as one with them.

    Args:
        seed: of the directions that the routers begin with.

    Raises:
        PhonofilmError: weights that have experts already, or see `way_of`.
    """
    if any(".experts." in name for name in tensors):
        raise PhonofilmError("the weights have experts already; begin with weights without, or go on with these")
    found = dict(tensors)
    for name in [name for name in tensors if name.endswith(UP)]:
        found |= _divided(name.removesuffix("up.weight"), tensors, config, seed)
    return found


def upcycle(network: AVTransformer, config: ExpertsConfig, seed: int = 0) -> Any:
    """A network with experts that begins as one without; see `upcycled`."""
    made = type(network)(replace(network.config, experts=config))
    made.load_state_dict(upcycled(network.state_dict(), config, seed))
    return made.to(next(network.parameters()))


def _divided(layer: str, tensors: Mapping[str, Tensor], config: ExpertsConfig, seed: int) -> dict[str, Tensor]:
    up, down, bias = (tensors.get(f"{layer}{name}") for name in ("up.weight", "down.weight", "up.bias"))
    assert up is not None
    assert down is not None
    way, (shared, units) = way_of(config, len(up)), config.units(len(up))
    slices, scale = (config.used, 1.0) if way == "split" else (1, 1 / config.used)
    starts = [shared + expert % slices * units for expert in range(config.count)]
    draw = torch.Generator().manual_seed(zlib.crc32(f"{seed} {layer}".encode()))
    directions = torch.randn(config.count // slices, up.shape[1], generator=draw) * up.shape[1] ** -0.5
    found = {
        "up.weight": up[:shared],
        "down.weight": down[:, :shared],
        "experts.up": torch.stack([up[start : start + units] for start in starts]),
        "experts.down": torch.stack([down[:, start : start + units] for start in starts]) * scale,
        "experts.router": directions.repeat_interleave(slices, 0).to(up),
        "experts.balance": torch.zeros(config.count, device=up.device),
    }
    if bias is not None:
        found["up.bias"] = bias[:shared]
        found["experts.up_bias"] = torch.stack([bias[start : start + units] for start in starts])
    return {f"{layer}{name}": tensor.clone() for name, tensor in found.items()}
