"""Attention with normalised queries and keys, rotary positions and, if asked, a gate for each head."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from phonofilm.model.config import TransformerConfig
from phonofilm.model.layers import Norm
from phonofilm.model.rope import Rotary, rotate

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


class Attention(nn.Module):
    """Attention of tokens [B, N, D] to themselves or to a context [B, M, C]."""

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

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        bias: Tensor | None = None,
        rotary: Rotary | None = None,
        context_rotary: Rotary | None = None,
        unmixed: Tensor | None = None,
    ) -> Tensor:
        """Returns [B, N, D].

        Args:
            x: [B, N, D].
            context: [B, M, C], or None where x attends to itself.
            bias: added to the scores, broadcasts to [B, H, N, M].
            rotary: positions of x; None where positions do not matter.
            context_rotary: positions of the context.
            unmixed: bool [B], True where each token of a sample keeps its own value (x attends to itself only).
        """
        context = x if context is None else context
        q, k, v = self.norm_q(self.to_q(x)), self.norm_k(self.to_k(context)), self.to_v(context)
        q, k, v = (t.unflatten(-1, (self.heads, -1)) for t in (q, k, v))
        if rotary is not None:
            q, k = rotate(q, rotary), rotate(k, rotary if context_rotary is None else context_rotary)
        out = attend(q, k, v, bias)
        if unmixed is not None:
            out = torch.where(unmixed[:, None, None], v.flatten(-2), out)
        if self.to_gate is not None:
            # Twice a sigmoid: a gate of zero logits is 1.
            gate = 2 * self.to_gate(x).sigmoid()
            out = (out.unflatten(-1, (self.heads, -1)) * gate.unsqueeze(-1)).flatten(-2)
        return self.to_out(out)
