"""Synchformer's eye: a video transformer with divided space-time attention.

Bertasius et al., "Is space-time attention all you need for video understanding?" (2021), in the layout
of MotionFormer's divided_224_16x4.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from phonofilm.perception.common.attention import Mlp, Pool, attend


@dataclass(frozen=True)
class MotionFormerConfig:
    """ViT-B over 16 frames of 224x224, in tubes of 2 frames and 16x16 pixels."""

    width: int = 768
    depth: int = 12
    heads: int = 12
    size: int = 224
    patch: int = 16
    frames: int = 16
    tube: int = 2

    @property
    def side(self) -> int:
        return self.size // self.patch

    @property
    def times(self) -> int:
        return self.frames // self.tube


class DividedAttention(nn.Module):
    """Attention along one axis of a space-time grid; the class token alone sees, and is seen by, everything."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, group: str, times: int) -> Tensor:
        """x [B, 1 + T·N, D]; group is the pattern of one group, "(b t) n d" (space) or "(b n) t d" (time)."""
        qkv = self.qkv(x).chunk(3, -1)
        classes = attend(qkv[0][:, :1], qkv[1], qkv[2], self.heads)
        q, k, v = (rearrange(part[:, 1:], f"b (t n) d -> {group}", t=times) for part in qkv)
        groups = len(q) // len(x)
        k, v = (
            torch.cat([repeat(part[:, :1], "b 1 d -> (b g) 1 d", g=groups), grouped], 1)
            for part, grouped in zip(qkv[1:], (k, v), strict=True)
        )
        patches = rearrange(attend(q, k, v, self.heads), f"{group} -> b (t n) d", b=len(x), t=times)
        return self.proj(torch.cat([classes, patches], 1))


class DividedBlock(nn.Module):
    """Time attention, space attention, feed-forward, each behind its norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = DividedAttention(width, heads)
        self.timeattn = DividedAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, 4 * width)
        self.norm3 = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor, times: int) -> Tensor:
        x = x + self.timeattn(self.norm3(x), "(b n) t d", times)
        x = x + self.attn(self.norm1(x), "(b t) n d", times)
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """A convolution whose stride is its kernel."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.proj = convolution

    def forward(self, x: Tensor) -> Tensor:
        return rearrange(self.proj(x), "b d t h w -> b (t h w) d")


class MotionFormer(nn.Module):
    """Segments float [B, 3, 16, 224, 224] in [-1, 1] -> features [B, 8, 768], one for each pair of frames."""

    def __init__(self, config: MotionFormerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MotionFormerConfig()
        width, patch, tube = config.width, config.patch, config.tube
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.side**2, width))
        self.temp_embed = nn.Parameter(torch.zeros(1, config.times, width))
        # Never used, but the published checkpoint has it.
        self.patch_embed = PatchEmbed(nn.Conv2d(3, width, patch, patch))
        self.patch_embed_3d = PatchEmbed(nn.Conv3d(3, width, (tube, patch, patch), (tube, patch, patch)))
        self.blocks = nn.ModuleList([DividedBlock(width, config.heads) for _ in range(config.depth)])
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.spatial_attn_agg = Pool(width, config.heads)

    def embed(self, x: Tensor) -> Tensor:
        """Segments -> tokens with positions [B, 1 + 8·196, 768], the class token first."""
        where = repeat(self.pos_embed[:, 1:], "1 n d -> 1 t n d", t=self.config.times)
        when = rearrange(self.temp_embed, "1 t d -> 1 t 1 d")
        patches = self.patch_embed_3d(x) + rearrange(where + when, "1 t n d -> 1 (t n) d")
        classes = (self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1)
        return torch.cat([classes, patches], 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, times = len(x), self.config.times
        x = self.embed(x)
        for block in self.blocks:
            x = block(x, times)
        x = rearrange(self.norm(x[:, 1:]), "b (t n) d -> (b t) n d", t=times)
        return rearrange(self.spatial_attn_agg(x), "(b t) d -> b t d", b=batch)
