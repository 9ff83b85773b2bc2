"""Tensors of which each process holds a share (DTensor): gathered, and laid out again."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that lies in shares; every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: Tensor, held: Tensor) -> Tensor:
    """A whole tensor that every process has, in shares as another one lies."""
    if not isinstance(held, DTensor):
        return tensor
    there = tensor.to(device=held.to_local().device, dtype=tensor.dtype)
    return distribute_tensor(there, held.device_mesh, held.placements, src_data_rank=None)


def spread(tensors: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors as those of the same names and shapes lie."""
    return {
        name: like(tensor, held[name]) if name in held and held[name].shape == tensor.shape else tensor
        for name, tensor in tensors.items()
    }
