"""Memory and operations of a training step on paper: shapes without contents flow through the real network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import flop_registry

from phonofilm.errors import PhonofilmError
from phonofilm.precision import autocast
from phonofilm.training.parallel.placement import blocks_of
from phonofilm.training.tasks.base import Task, generator_for
from phonofilm.types import Latents

NOT_PLANNED = "the training of this kind of network cannot be planned: give a recipe of a generator"


@dataclass(frozen=True)
class StepCost:
    """What one batch takes, forward; a backward pass takes twice the operations.

    Attributes:
        flops: operations. kept: bytes kept for the gradient. inside: those of them inside of blocks, of all together
            and of the largest. between: bytes of what goes into blocks.
    """

    flops: int
    kept: int
    inside: int
    largest: int
    between: int

    def activations(self, recompute: bool) -> int:
        """Bytes at the peak, between the forward and the backward pass."""
        return self.kept - self.inside + self.between + self.largest if recompute else self.kept


class _Seen(Exception):
    """The network's inputs are known; nothing more is to be computed."""


class _Recorder(nn.Module):
    """In the network's place: keeps what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def forward(self, *inputs: Any, **options: Any) -> Latents:
        self.asked = inputs, options
        raise _Seen


def step_cost(task: Task, device: torch.device, precision: str | None = None) -> StepCost:
    """The cost of one batch of a generator's recipe, of `run.batch` clips with all streams there.

    Args:
        precision: another than the recipe's, see `RunConfig`.

    Raises:
        PhonofilmError: a recipe of something else.
    """
    inputs, options = _inputs(task)
    narrow = {"auto": None, "autocast": True, "fp32": False}[precision or task.recipe.run.precision]
    with torch.device("meta"):
        network = task.build()
    with ExitStack() as stack:
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        network.to_empty(device="cpu")
        meter = _Kept({parameter.untyped_storage()._cdata for parameter in network.parameters()})
        counter = stack.enter_context(_Operations())
        with meter.watching(network), autocast(device, narrow):
            network(*tree_map(_fake, inputs), **tree_map(_fake, options))
    return StepCost(counter.flops, meter.kept, sum(meter.blocks), max(meter.blocks, default=0), meter.between)


def flops_of_clip(task: Task, device: torch.device) -> float | None:
    """Operations of training on one clip, forward and backward; None for what is no generator."""
    try:
        return 3 * step_cost(task, device).flops / task.recipe.run.batch
    except PhonofilmError:
        return None


def _inputs(task: Task) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the network is asked for a batch with both streams and all stems."""
    recorder = _Recorder()
    for step in range(64):
        batch = task.batch(step * task.recipe.run.accumulate)
        if {"video", "audio"} <= batch.keys() and "stems" not in batch and "chunk" not in batch:
            break
    try:
        task.loss(recorder, batch, generator_for("plan"))
    except _Seen:
        pass
    except (AttributeError, IndexError, TypeError) as error:
        raise PhonofilmError(
            "the training of this kind of network cannot be planned: give a recipe of a generator"
        ) from error
    if recorder.asked is None:
        raise PhonofilmError(NOT_PLANNED)
    return recorder.asked


def _fake(value: Any) -> Any:
    """A tensor of the same shape and kind without contents; whatever else as it is."""
    if isinstance(value, Tensor):
        return torch.empty(value.shape, dtype=value.dtype)
    return value.map(_fake) if isinstance(value, Latents) else value


class _Operations(TorchDispatchMode):
    """Counts products of matrices and attention."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        packet = getattr(func, "_overloadpacket", None)
        if packet in flop_registry:
            self.flops += int(flop_registry[packet](*args, **(kwargs or {}), out_val=made))
        elif "_scaled_dot_product_flash_attention_for_cpu" in str(packet):
            batch, heads, queries, width = args[0].shape
            self.flops += 4 * batch * heads * queries * args[1].shape[2] * width
        return made


class _Kept:
    """Counts bytes that autograd keeps, each storage once, without those of the network's own parameters."""

    def __init__(self, own: set[int]) -> None:
        self._known = set(own)
        self._alive: list[Tensor] = []
        self.kept = self.between = 0
        self.blocks: list[int] = []

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._known:
            self._known.add(storage._cdata)
            self._alive.append(tensor)  # or another storage may get its number
            self.kept += storage.nbytes()
        return tensor

    @contextmanager
    def watching(self, network: nn.Module) -> Iterator[None]:
        before: list[int] = []

        def enter(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            before.append(self.kept)
            self.between += sum(x.untyped_storage().nbytes() for x in inputs[:2] if isinstance(x, Tensor))

        def leave(*_: object) -> None:
            self.blocks.append(self.kept - before.pop())

        hooks = [block.register_forward_pre_hook(enter) for block in blocks_of(network)]
        hooks += [block.register_forward_hook(leave) for block in blocks_of(network)]
        with torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor):
            yield
        for hook in hooks:
            hook.remove()
