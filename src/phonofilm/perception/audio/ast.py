"""Synchformer's ear: the audio spectrogram transformer, pooled over frequency.

Gong, Chung & Glass, "AST: audio spectrogram transformer" (2021), in the layout of transformers'
`ASTModel`, which the published Synchformer checkpoint contains.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from phonofilm.perception.common.attention import Pool, attend


@dataclass(frozen=True)
class SpectrogramTransformerConfig:
    """AST-base over 128 mel bands and 66 frames, in patches of 16x16 every 10."""

    width: int = 768
    depth: int = 12
    heads: int = 12
    bands: int = 128
    frames: int = 66
    patch: int = 16
    stride: int = 10

    @property
    def rows(self) -> int:
        return (self.bands - self.patch) // self.stride + 1

    @property
    def times(self) -> int:
        return (self.frames - self.patch) // self.stride + 1


class Dense(nn.Module):
    """A linear layer under the name `dense`."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x)


class SelfAttention(nn.Module):
    """Attention with separate projections, without the one on the way out."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return attend(self.query(x), self.key(x), self.value(x), self.heads)


class Layer(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"attention": SelfAttention(width, heads), "output": Dense(width, width)})
        self.intermediate = Dense(width, 4 * width)
        self.output = Dense(4 * width, width)
        self.layernorm_before = nn.LayerNorm(width, eps=1e-12)
        self.layernorm_after = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention["output"](self.attention["attention"](self.layernorm_before(x)))
        return x + self.output(F.gelu(self.intermediate(self.layernorm_after(x))))


class Embeddings(nn.Module):
    """Overlapping patches, two leading tokens (class, distillation), learned positions."""

    def __init__(self, config: SpectrogramTransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position_embeddings = nn.Parameter(torch.zeros(1, 2 + config.rows * config.times, width))
        self.patch_embeddings = nn.ModuleDict({"projection": nn.Conv2d(1, width, config.patch, config.stride)})

    def forward(self, mel: Tensor) -> Tensor:
        patches = self.patch_embeddings["projection"](rearrange(mel, "b f t -> b 1 f t"))
        leading = torch.cat([self.cls_token, self.distillation_token], 1).expand(len(mel), -1, -1)
        return torch.cat([leading, rearrange(patches, "b d f t -> b (f t) d")], 1) + self.position_embeddings


class Backbone(nn.Module):
    """Normalised log-mel [B, 128, 66] -> normed tokens [B, 2 + 12·6, 768], frequency-major."""

    def __init__(self, config: SpectrogramTransformerConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        layers = [Layer(config.width, config.heads) for _ in range(config.depth)]
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(layers)})
        self.layernorm = nn.LayerNorm(config.width, eps=1e-12)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.embeddings(mel)
        for layer in self.encoder["layer"].children():
            x = layer(x)
        return self.layernorm(x)


class SpectrogramTransformer(nn.Module):
    """Normalised log-mel segments float [B, 128, 66] -> features [B, 6, 768], one for each 0.1 s."""

    def __init__(self, config: SpectrogramTransformerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SpectrogramTransformerConfig()
        self.ast = Backbone(config)
        self.freq_attn_agg = Pool(config.width, config.heads)

    def forward(self, mel: Tensor) -> Tensor:
        x = rearrange(self.ast(mel)[:, 2:], "b (f t) d -> (b t) f d", t=self.config.times)
        return rearrange(self.freq_attn_agg(x), "(b t) d -> b t d", b=len(mel))
