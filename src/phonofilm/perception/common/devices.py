"""A ported network on another device than the arrays that come and go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn


class OnDevice:
    """Calls a network, or a method of it, with tensors moved to its device; what it gives comes back to the CPU."""

    def __init__(self, network: nn.Module, device: str) -> None:
        self._network, self._device = network.to(device), torch.device(device)

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        return self._moved(self._network)(*inputs, **options)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._network, name)
        return self._moved(found) if callable(found) else found

    def _moved(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def moved(*inputs: Any, **options: Any) -> Any:
            with torch.backends.cudnn.flags(allow_tf32=False):  # products of ten bits would move every score
                found = call(*_to(inputs, self._device), **_to(options, self._device))
            return _to(found, torch.device("cpu"))

        return moved


def _to(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, (tuple, list)):
        return type(value)(_to(part, device) for part in value)
    if isinstance(value, Mapping):
        moved = {name: _to(part, device) for name, part in value.items()}
        return moved if type(value) is dict else type(value)(**moved)  # transformers' outputs are named fields
    return value
