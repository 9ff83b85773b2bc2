"""One network in several processes: a copy in each, or a share in each, with the same losses either way.

A copy: torch's DistributedDataParallel. A share: `fully_shard` for each block (FSDP2, Zhao et al., 2304.11277). Both
are told of a module whose forward is the task's loss, for parts of it lie outside the network's own forward.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, fully_shard
from torch.utils.checkpoint import checkpoint

from phonofilm.errors import PhonofilmError
from phonofilm.model.moe.layer import RoutedExperts
from phonofilm.training.tasks.base import Batch, Task

Placement = Literal["copies", "shares"]


class TaskLoss(nn.Module):
    """The loss of a task as a module."""

    def __init__(self, task: Task, network: nn.Module) -> None:
        super().__init__()
        self.task, self.network = task, network

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        return self.task.loss(self.network, batch, generator)


def as_copies(loss: TaskLoss) -> nn.Module:
    """Gradients are averaged over processes; a part of the network that no process used has none, as it has alone."""
    return nn.parallel.DistributedDataParallel(
        loss, find_unused_parameters=True, broadcast_buffers=False, gradient_as_bucket_view=True
    )


def last_only(loss: nn.Module, last: bool) -> AbstractContextManager[Any]:
    """Copies average their gradients after the last batch of a step, not after each."""
    if isinstance(loss, nn.parallel.DistributedDataParallel) and not last:
        return loss.no_sync()
    return nullcontext()


def shared_out(task: Task, modules: list[nn.Module], device: torch.device, offload: bool) -> None:
    """Leave each process a share of every parameter of some modules; blocks are gathered one at a time.

    Raises:
        PhonofilmError: a task whose batches use different parts of its network, for a share that is used by one
            process must be gathered by all; or routed experts, of which each batch uses others.
    """
    if not getattr(task, "uses_all", True):
        raise PhonofilmError('batches of this recipe use different parts of the network: set run.placement = "copies"')
    if any(isinstance(part, RoutedExperts) for module in modules for part in module.modules()):
        raise PhonofilmError('experts that tokens are routed to cannot lie in shares: set run.placement = "copies"')
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    settings: dict[str, Any] = {"mesh": mesh}
    if offload:
        settings["offload_policy"] = CPUOffloadPolicy()
    for module in modules:
        for block in blocks_of(module):
            fully_shard(block, **settings)
        fully_shard(module, **settings)


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """The blocks of a network, if it has a stack of that name."""
    network = module.network if isinstance(module, TaskLoss) else module
    return list(getattr(network, "blocks", None) or ())


def recomputed(module: nn.Module) -> None:
    """Keep of each block what goes in alone, and compute the rest again for its gradient (Chen et al., 1604.06174)."""
    for block in blocks_of(module):
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
