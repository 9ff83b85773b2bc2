"""Muon, with matrices of one shape moved together, in the precision that the device is fast at."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from phonofilm.precision import native_bfloat16
from phonofilm.training.optim.shares import like, whole


class Muon(torch.optim.Muon):
    """torch's Muon with updates of AdamW's size (2502.16982), state and checkpoints unchanged.

    torch orthogonalises in bfloat16 everywhere, one matrix at a time. On a CPU that emulates bfloat16 this costs
    twenty times what float32 does, and more than the rest of a small network's step.

    A matrix that lies in shares in several processes is gathered, for its directions are those of the whole; each
    process moves its share.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient; `closure` is part of the interface and must be None."""
        if closure is not None:
            raise ValueError("this Muon evaluates no closure: compute the gradients before step()")
        for group in self.param_groups:
            updates: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    update = self._with_momentum(matrix, matrix.grad, group["momentum"], group["nesterov"])
                    updates.setdefault(tuple(matrix.shape), []).append((matrix, update))
            for shape, pairs in updates.items():
                stacked = torch.stack([whole(update) for _, update in pairs])
                moves = orthogonalised(stacked, group["ns_coefficients"], group["ns_steps"], group["eps"])
                for (matrix, _), move in zip(pairs, moves, strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"])
                    matrix.add_(like(move, matrix), alpha=-group["lr"] * 0.2 * max(shape) ** 0.5)

    def _with_momentum(self, matrix: Tensor, gradient: Tensor, momentum: float, nesterov: bool) -> Tensor:
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        average = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(average, momentum) if nesterov else average


def orthogonalised(matrices: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """Newton-Schulz iteration towards the nearest orthogonal matrices, [N, R, C] to the same.

    In bfloat16 where the device multiplies it in hardware, else in float32.
    """
    a, b, c = coefficients
    x = matrices.bfloat16() if native_bfloat16(matrices.device) else matrices.float()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
