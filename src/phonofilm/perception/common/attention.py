"""Attention and feed-forward layers shared by the ported transformers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, causal: bool = False) -> Tensor:
    """Softmax attention of [B, Nq, D] over [B, Nk, D] in `heads` heads, scaled by the head's width.

    Args:
        causal: a token attends to itself and to those before it only.
    """
    q, k, v = (rearrange(x, "b n (h d) -> b h n d", h=heads) for x in (q, k, v))
    return rearrange(F.scaled_dot_product_attention(q, k, v, is_causal=causal), "b h n d -> b n (h d)")


class MultiheadAttention(nn.Module):
    """Self-attention in the layout of torch's own multi-head attention.

    Args:
        extra: add one learned key and value token (bias_k, bias_v), as ImageBind's audio trunk does.
        causal: attend to earlier tokens only, as its text trunk does.
    """

    def __init__(self, width: int, heads: int, extra: bool = False, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.bias_k = nn.Parameter(torch.empty(1, 1, width)) if extra else None
        self.bias_v = nn.Parameter(torch.empty(1, 1, width)) if extra else None
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        for token in (self.bias_k, self.bias_v):
            if token is not None:
                nn.init.xavier_normal_(token)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        if self.bias_k is not None and self.bias_v is not None:
            k = torch.cat([k, self.bias_k.expand(len(x), -1, -1)], 1)
            v = torch.cat([v, self.bias_v.expand(len(x), -1, -1)], 1)
        return self.out_proj(attend(q, k, v, self.heads, self.causal))


class Mlp(nn.Module):
    """Two linear layers about an exact GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Pool(nn.Module):
    """Learned pooling of a set of tokens: one pre-norm encoder layer whose class token is kept.

    The layout is that of torch's encoder layer plus `cls_token` (Synchformer's aggregation layers).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.self_attn = MultiheadAttention(width, heads)
        self.linear1 = nn.Linear(width, 4 * width)
        self.linear2 = nn.Linear(4 * width, width)
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, D] -> [B, D]."""
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
        x = x + self.self_attn(self.norm1(x))
        pooled = x[:, 0]
        return pooled + self.linear2(F.gelu(self.linear1(self.norm2(pooled))))
