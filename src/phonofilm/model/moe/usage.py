"""Who uses which experts: what a network's routers choose, token by token, and how many weights that takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from phonofilm.model.moe.layer import RoutedExperts, Routing


@contextmanager
def watched(network: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Within it, what the network's routers chose in its last run; look at it before the next.

    By layer ("blocks.3.video"), int64 [B, N, used]: the experts of each token, in the order of the stream's tokens.
    """
    found: dict[str, Tensor] = {}
    parts: dict[str, list[Tensor]] = {}
    layers = {
        name.removesuffix(".feed_forward.experts"): module
        for name, module in network.named_modules()
        if isinstance(module, RoutedExperts)
    }

    def listen(name: str) -> Callable[[Routing], None]:
        def told(routing: Routing) -> None:
            parts.setdefault(name, []).append(routing.experts.cpu())
            found[name] = torch.cat(parts[name], 1)  # a few hundred tokens of all clips at a time

        return told

    def forget(*_: object) -> None:
        parts.clear()
        found.clear()

    handle = network.register_forward_pre_hook(forget)
    for name, layer in layers.items():
        layer.listener = listen(name)
    try:
        yield found
    finally:
        handle.remove()
        for layer in layers.values():
            layer.listener = None


def shares(choices: Tensor, count: int) -> Tensor:
    """float64 [count], the share of each expert in what tokens choose, [..., used]."""
    used = torch.bincount(choices.flatten(), minlength=count).double()
    return used / used.sum().clamp_min(1)


def parameters_of(network: nn.Module) -> tuple[int, int]:
    """Parameters that one token uses, and all there are."""
    total = sum(parameter.numel() for parameter in network.parameters())
    idle = 0.0
    for module in network.modules():
        if isinstance(module, RoutedExperts):
            matrices = (module.up, module.down, *((module.up_bias,) if module.up_bias is not None else ()))
            unused = 1 - module.config.used / module.config.count
            idle += unused * sum(matrix.numel() for matrix in matrices)
    return total - round(idle), total
