"""Attention with normalised queries and keys, rotary positions and, if asked, a gate for each head."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from phonofilm.model.config import TransformerConfig
from phonofilm.model.layers import Norm
from phonofilm.model.rope import Rotary, rotate, rotate_

# In bfloat16 on a CPU, torch's fused attention is 3 to 6 times slower than three plain products as long as the
# scores of a head fit the cache; beyond that many scores, memory decides for the fused one.
_PLAIN_SCORES = 2**16


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(q·kᵀ/√d + bias)·v.

    Args:
        q: [B, N, H, d]; k, v: [B, M, H, d].
        bias: broadcasts to [B, H, N, M], or None.

    Returns:
        [B, N, H·d].
    """
    q, k, v = (rearrange(t, "b n h d -> b h n d") for t in (q, k, v))
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.shape[2] * k.shape[2] <= _PLAIN_SCORES:
        scores = (q * q.shape[-1] ** -0.5) @ k.mT
        out = (scores if bias is None else scores + bias).softmax(-1) @ v
    else:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    return rearrange(out, "b h n d -> b n (h d)")


class Query(NamedTuple):
    """Queries [B, N, H, d], and the gate [B, N, H, 1] of each head, or None."""

    queries: Tensor
    gate: Tensor | None


class KeyValue(NamedTuple):
    """Keys and values [B, M, H, d]."""

    keys: Tensor
    values: Tensor


class SkipMixing(NamedTuple):
    """bool [B], True for samples whose tokens attend to nothing and keep their values [B, N, H, d]."""

    samples: Tensor
    values: Tensor


class Attention(nn.Module):
    """Attention of tokens [B, N, D] to themselves or to a context [B, M, C], in three steps that take any part of N.

    `answer(ask(x), hold(context))`: so the tokens of a long clip can come a few at a time (see `rows`).
    """

    def __init__(
        self,
        width: int,
        context_width: int,
        heads: int,
        head_width: int,
        config: TransformerConfig,
    ) -> None:
        super().__init__()
        inner = heads * head_width
        self.heads = heads
        self.to_q = nn.Linear(width, inner, bias=config.bias)
        self.to_k = nn.Linear(context_width, inner, bias=config.bias)
        self.to_v = nn.Linear(context_width, inner, bias=config.bias)
        self.to_out = nn.Linear(inner, width, bias=config.bias)
        self.norm_q = Norm(inner, config.norm, config.eps, affine=True)
        self.norm_k = Norm(inner, config.norm, config.eps, affine=True)
        self.to_gate = nn.Linear(width, heads) if config.gated_attention else None

    def project_q(self, x: Tensor, rotary: Rotary | None = None) -> Query:
        """What tokens [B, N, D] look for.

        Args:
            rotary: positions of x; None where positions do not matter.
        """
        queries = self._placed(self.norm_q(self.to_q(x)), rotary)
        # Twice a sigmoid: a gate of zero logits is 1.
        gate = None if self.to_gate is None else 2 * self.to_gate(x).sigmoid().unsqueeze(-1)
        return Query(queries, gate)

    def project_kv(self, context: Tensor, rotary: Rotary | None = None) -> KeyValue:
        """What tokens of a context [B, M, C] offer; they are not needed afterwards."""
        keys = self._placed(self.norm_k(self.to_k(context)), rotary)
        return KeyValue(keys, self.to_v(context).unflatten(-1, (self.heads, -1)))

    def attend(
        self, asked: Query, held: KeyValue, bias: Tensor | None = None, unmixed: SkipMixing | None = None
    ) -> Tensor:
        """Returns [B, N, D].

        Args:
            bias: added to the scores, broadcasts to [B, H, N, M].
            unmixed: which samples have each of their tokens keep its own value.
        """
        out = attend(asked.queries, held.keys, held.values, bias)
        if unmixed is not None:
            out = torch.where(unmixed.samples[:, None, None], unmixed.values.flatten(-2), out)
        if asked.gate is not None:
            out = (out.unflatten(-1, (self.heads, -1)) * asked.gate).flatten(-2)
        return self.to_out(out)

    def _placed(self, x: Tensor, rotary: Rotary | None) -> Tensor:
        """[B, N, H·d] as heads [B, N, H, d], turned by their positions."""
        heads = x.unflatten(-1, (self.heads, -1))
        if rotary is None:
            return heads
        return rotate(heads, rotary) if torch.is_grad_enabled() else rotate_(heads, rotary)
