"""Routed experts: each token chooses a few of many small feed-forwards (DeepSeek-V3, 2412.19437, section 2.1.2).

A token's affinity to an expert is a sigmoid. It uses the experts with the highest sum of affinity and balance, and
weighs them by affinity alone. The balance has no gradient: training raises it for experts that are used too little and
lowers it for those that are used too much, so no loss pulls against the model's own. No token is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phonofilm.model.moe.config import ExpertsConfig


class Routing(NamedTuple):
    """What tokens choose.

    Attributes:
        experts: int64 [N, used], the most wanted first.
        weights: float32 [N, used], what each counts; they sum to `used`, so that they are 1 on average.
    """

    experts: Tensor
    weights: Tensor


class RoutedExperts(nn.Module):
    """Experts of which each token uses some; the sum of what they say, weighted.

    Args:
        width: of a token.
        hidden: units of each expert.

    Attributes:
        up, down: weights of all experts, [E, hidden, width] and [E, width, hidden]; `down` has no bias, as the shared
            expert beside it has one.
        router: [E, width], an expert's direction among tokens.
        balance: [E], see above; changed by `rebalance` alone.
        listener: is told every routing, where something wants to know (see `moe.usage`).
    """

    stacked = ("up", "down")
    """Parameters that are many matrices [E, out, in]: an optimiser of matrices moves each by itself."""
    balance: Tensor
    load: Tensor

    def __init__(
        self, config: ExpertsConfig, width: int, hidden: int, activation: Literal["gelu_tanh", "gelu"], bias: bool
    ) -> None:
        super().__init__()
        self.config = config
        self.approximate = "tanh" if activation == "gelu_tanh" else "none"
        self.up = nn.Parameter(torch.empty(config.count, hidden, width))
        self.down = nn.Parameter(torch.empty(config.count, width, hidden))
        self.up_bias = nn.Parameter(torch.zeros(config.count, hidden)) if bias else None
        self.router = nn.Parameter(torch.empty(config.count, width))
        self.register_buffer("balance", torch.zeros(config.count))
        self.register_buffer("load", torch.zeros(config.count), persistent=False)
        self.listener: Callable[[Routing], None] | None = None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As linear layers begin; affinities are spread widely enough that tokens differ in their choice."""
        for matrix in (*self.up, *self.down):
            nn.init.xavier_uniform_(matrix)
        nn.init.normal_(self.router, std=self.router.shape[1] ** -0.5)

    def route(self, x: Tensor) -> Routing:
        """Which experts the tokens [N, D] use; in float32 whatever the tokens are, so that a choice is no accident."""
        if x.is_meta:
            affinity = torch.sigmoid(x.float() @ self.router.float().T)
        else:
            with torch.autocast(x.device.type, enabled=False):
                exact = torch.promote_types(x.dtype, torch.float32)
                affinity = torch.sigmoid(x.to(exact) @ self.router.to(exact).T)
        experts = (affinity.detach() + self.balance.to(affinity)).topk(self.config.used, -1).indices
        chosen = affinity.gather(-1, experts)
        return Routing(experts, self.config.used * chosen / chosen.sum(-1, keepdim=True).clamp_min(1e-20))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [..., D] to what their experts say of them, in the same shape."""
        tokens = x.reshape(-1, x.shape[-1])
        routing = self.route(tokens)
        if self.listener is not None:
            self.listener(Routing(*(part.detach().view(*x.shape[:-1], -1) for part in routing)))
        chosen = routing.experts.flatten()
        order = chosen.argsort(stable=True)
        sizes = torch.bincount(chosen, minlength=self.config.count) if not x.is_meta else None
        if self.training and torch.is_grad_enabled() and sizes is not None:
            self.load += sizes
        sorted_tokens = tokens[order // self.config.used]
        made = self._grouped(sorted_tokens, sizes) if can_group(x, *self.up.shape[1:]) else None
        made = self._one_by_one(sorted_tokens, sizes) if made is None else made
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order), device=order.device)
        said = made[back].unflatten(0, (-1, self.config.used))
        return (said * routing.weights.to(said.dtype).unsqueeze(-1)).sum(1).view(*x.shape[:-1], -1)

    def _one_by_one(self, x: Tensor, sizes: Tensor | None) -> Tensor:
        """Tokens [M, D] in the order of their experts, one product for each expert that is used at all."""
        count = self.config.count
        # without contents nobody knows who goes where: as if all were used equally
        even = [len(part) for part in torch.arange(len(x)).tensor_split(count)]
        counts = even if sizes is None else sizes.tolist()
        ups, downs = self.up.unbind(), self.down.unbind()
        biases = [None] * count if self.up_bias is None else self.up_bias.unbind()
        made = [
            F.linear(self._activated(F.linear(part, ups[expert], biases[expert])), downs[expert])
            for expert, part in enumerate(x.split(counts))
            if len(part)
        ]
        return torch.cat(made)

    def _grouped(self, x: Tensor, sizes: Tensor | None) -> Tensor:
        """The same with one product for all experts, on a GPU."""
        assert sizes is not None  # a GPU's tensors have contents
        ends = sizes.cumsum(0).to(torch.int32)
        dtype = _compute_dtype(x)
        hidden = torch._grouped_mm(x.to(dtype), self.up.to(dtype).mT, offs=ends)
        if self.up_bias is not None:
            hidden = hidden + self.up_bias.to(dtype).repeat_interleave(sizes, 0)
        return torch._grouped_mm(self._activated(hidden), self.down.to(dtype).mT, offs=ends)

    def _activated(self, hidden: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return F.gelu(hidden, approximate=self.approximate)
        made: Tensor = torch.ops.aten.gelu_(hidden, approximate=self.approximate)
        return made

    @torch.no_grad()
    def rebalance(self) -> float:
        """Move the balance by what was used since the last call, and return the least share that an expert had."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(self.load)
        total = float(self.load.sum())
        if not total:
            return 1 / self.config.count
        self.balance += self.config.rate * torch.sign(self.load.mean() - self.load)
        least = float(self.load.min()) / total
        self.load.zero_()
        return least


def rebalance(network: nn.Module) -> float | None:
    """`RoutedExperts.rebalance` of all of a network's; the least share of all, or None for a network without."""
    shares = [module.rebalance() for module in network.modules() if isinstance(module, RoutedExperts)]
    return min(shares, default=None)


def can_group(x: Tensor, hidden: int, width: int) -> bool:
    """Whether one grouped product serves all experts: on a GPU, in a half precision, with aligned rows."""
    aligned = hidden % 8 == 0 and width % 8 == 0
    return x.is_cuda and aligned and _compute_dtype(x) == torch.bfloat16 and hasattr(torch, "_grouped_mm")


def _compute_dtype(x: Tensor) -> torch.dtype:
    kind = x.device.type
    autocast = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if autocast else x.dtype
