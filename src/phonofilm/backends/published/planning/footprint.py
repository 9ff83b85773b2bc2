"""What running a network would take, found without running it: shapes alone flow through the real code.

A network is built of tensors without contents, and run on such inputs. Every allocation and release of that run is
counted, and every product of matrices and convolution. So the figures follow the code, whatever the size.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from phonofilm.quiet import quiet

_FLASH_ON_CPU = "_scaled_dot_product_flash_attention_for_cpu"


@dataclass(frozen=True)
class Cost:
    """Bytes at the peak of a run, beside weights and inputs, and floating-point operations."""

    peak: int
    flops: int


class Footprint(TorchDispatchMode):
    """Counts what is allocated and computed while it is on."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = self.flops = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from torch.utils.flop_counter import flop_registry

        kwargs = kwargs or {}
        for tensor in _tensors((args, kwargs)):
            self._known.setdefault(tensor.untyped_storage()._cdata, 0)  # it was there before: not of this run
        made = func(*args, **kwargs)
        packet = getattr(func, "_overloadpacket", None)
        if packet in flop_registry:
            self.flops += int(flop_registry[packet](*args, **kwargs, out_val=made))
        elif _FLASH_ON_CPU in str(packet):
            batch, heads, queries, width = args[0].shape
            self.flops += 4 * batch * heads * queries * args[1].shape[2] * width
        for tensor in _tensors(made):
            self._track(tensor)
        return made

    def _track(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self._known[key] = size
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._release, key)

    def _release(self, key: int) -> None:
        self.live -= self._known.pop(key, 0)


def cost(build: Callable[[], Callable[[], Any]], device: torch.device, dtype: torch.dtype) -> Cost:
    """The cost of calling what `build` returns; both run with tensors that have shapes and no contents.

    `dtype` is what networks and inputs are made in, unless `build` says otherwise.

    Nothing is allocated, so a network that fits no machine can be asked about.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    with quiet("transformers", "diffusers"), ExitStack() as stack:
        stack.enter_context(torch.no_grad())  # inference mode would hide what linear layers are made of
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(torch.device(device))
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(dtype)
        run = build()
        counter = stack.enter_context(Footprint())
        run()
        return Cost(counter.peak, counter.flops)


def cost_by_layers(cost_of: Callable[[int], Cost], layers: int) -> Cost:
    """The cost of a network of so many equal blocks, from two of them and three: to count fifty takes minutes.

    Each block computes as much as the one before, and keeps nothing but what it hands on.
    """
    if layers <= 3:
        return cost_of(layers)
    two, three = cost_of(2), cost_of(3)
    return Cost(three.peak, two.flops + (layers - 2) * (three.flops - two.flops))


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
