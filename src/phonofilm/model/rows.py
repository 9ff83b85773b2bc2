"""Tokens a few hundred at a time, where no gradient needs the whole.

What a layer does to each token by itself (projections, feed-forward, norms, gates) takes memory for the tokens at
work alone when they come in parts, and the short-lived tensors of a part stay in the cache. The numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

AT_ONCE = {"cpu": 768 * 4096}
"""Values of a part's tokens: enough for matrix products to run at full speed. On a CPU half as many made a step at
LTX-2's width 6 % slower in float32, as a product lays its weights out anew for every part; twice as many, no faster."""
OTHERWISE = 2048 * 4096


@dataclass(frozen=True)
class Rows:
    """Tokens `start` to `stop` of `total`."""

    start: int
    stop: int
    total: int

    def of(self, x: Tensor) -> Tensor:
        """Of what has one row for each token along axis 1."""
        return x[:, self.start : self.stop]

    def of_places(self, table: Tensor) -> Tensor:
        """Of what has one row for each token along axis 0."""
        return table[self.start : self.stop]

    def of_bias(self, bias: Tensor | None) -> Tensor | None:
        """Of what is added to scores [N, M] or [H, N, M], for those that ask."""
        return None if bias is None else bias[..., self.start : self.stop, :]

    def of_levels(self, levels: Tensor) -> Tensor:
        """Of what has one row for each noise level along axis 1: S rows for `total` tokens, in runs."""
        run = self.total // levels.shape[1]
        return levels[:, self.start // run : max(self.stop // run, self.start // run + 1)]


def parts(x: Tensor, levels: int) -> tuple[Rows, ...]:
    """Tokens [B, N, D] in parts, in each of which every one of the `levels` runs of tokens is whole or the only one."""
    batch, total, width = x.shape
    size = max(1, AT_ONCE.get(x.device.type, OTHERWISE) // (batch * width))
    if torch.is_grad_enabled() or total <= size:
        return (Rows(0, total, total),)
    run = total // levels
    ends = range(size // run * run, total, size // run * run) if run <= size else _within_runs(run, size, total)
    edges = [0, *ends, total]
    return tuple(Rows(start, stop, total) for start, stop in pairwise(edges))


def _within_runs(run: int, size: int, total: int) -> list[int]:
    return [start + offset for start in range(0, total, run) for offset in range(0, run, size) if start + offset]


def gathered(make: Callable[[Rows], tuple[Tensor, ...]], among: Sequence[Rows]) -> tuple[Tensor, ...]:
    """What is made of each part, [B, n, ...], as the tensors [B, N, ...] of all tokens."""
    if len(among) == 1:
        return make(among[0])
    whole: tuple[Tensor, ...] = ()
    for rows in among:
        made = make(rows)
        whole = whole or tuple(part.new_empty(len(part), rows.total, *part.shape[2:]) for part in made)
        for all_of_them, part in zip(whole, made, strict=True):
            rows.of(all_of_them).copy_(part)
    return whole


def updated(x: Tensor, among: Sequence[Rows], update: Callable[[Rows], Tensor], gate: Tensor | None = None) -> Tensor:
    """x + update·gate of tokens [B, N, D], with a gate [B, S, D]; without gradients x itself, overwritten."""
    if torch.is_grad_enabled():
        (rows,) = among
        made = update(rows)
        return x + made if gate is None else torch.addcmul(*_by_level(x, made, gate)).view_as(x)
    for rows in among:
        made, part = update(rows), rows.of(x)
        if gate is None:
            part += made
        else:
            grouped, made, factor = _by_level(part, made, rows.of_levels(gate))
            grouped.addcmul_(made, factor)
    return x


def _by_level(x: Tensor, update: Tensor, gate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All as [B, S, n, D], so that tokens with one level share a row of the gate."""
    levels = gate.shape[1]
    return x.unflatten(1, (levels, -1)), update.unflatten(1, (levels, -1)), gate.unsqueeze(2)
