"""ImageBind's text part: what a prompt says, in the space of its pictures and sounds.

Girdhar et al. (2023). It reads the published imagebind_huge.pth beside the other parts, which are ignored by name, and
CLIP's tokenizer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phonofilm.perception.audiovisual.imagebind import LogitScale, Trunk, TrunkConfig
from phonofilm.perception.common.ported_checkpoints import load
from phonofilm.perception.common.transformers_checkpoints import Words

LENGTH, WORDS = 77, 49_408


@dataclass(frozen=True)
class ImageBindTextConfig:
    """CLIP's text transformer of the ViT-H size."""

    trunk: TrunkConfig = field(default_factory=lambda: TrunkConfig(1024, 24, 16))
    embedding: int = 1024
    words: int = WORDS


class TextStem(nn.Module):
    """Ids [B, L] -> tokens [B, L, D]."""

    def __init__(self, config: ImageBindTextConfig) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, LENGTH, config.trunk.width))
        self.token_embedding = nn.Embedding(config.words, config.trunk.width)

    def forward(self, ids: Tensor) -> Tensor:
        return self.token_embedding(ids) + self.pos_embed[:, : ids.shape[1]]


class TextHead(nn.Module):
    """Norm and projection of the closing token."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(nn.LayerNorm(width, eps=1e-6), nn.Linear(width, embedding, bias=False))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.proj(tokens[:, -1])


class ImageBindText(nn.Module):
    """Ids int [B, L] that end with the closing token, without padding -> [B, 1024]."""

    ignored: ClassVar[tuple[str, ...]] = (
        *(
            f"modality_{part}.{modality}."
            for part in ("preprocessors", "trunks", "heads", "postprocessors")
            for modality in ("vision", "audio", "depth", "thermal", "imu")
        ),
        "modality_preprocessors.text.mask",
    )

    def __init__(self, config: ImageBindTextConfig | None = None) -> None:
        super().__init__()
        config = config or ImageBindTextConfig()
        self.modality_preprocessors = nn.ModuleDict({"text": TextStem(config)})
        self.modality_trunks = nn.ModuleDict({"text": Trunk(config.trunk, norm=False, extra=False, causal=True)})
        self.modality_heads = nn.ModuleDict({"text": TextHead(config.trunk.width, config.embedding)})
        self.modality_postprocessors = nn.ModuleDict({"text": nn.Sequential(nn.Identity(), LogitScale())})

    def raw(self, ids: Tensor) -> Tensor:
        """[B, 1024] before normalisation."""
        tokens = self.modality_trunks["text"](self.modality_preprocessors["text"](ids))
        return self.modality_heads["text"](tokens)

    def forward(self, ids: Tensor) -> Tensor:
        """Unit vectors times the learned temperature [B, 1024]."""
        return self.modality_postprocessors["text"](F.normalize(self.raw(ids), dim=-1))


class TextReader:
    """Prompts to vectors."""

    def __init__(self, network: Any, words: Words) -> None:
        self._network, self._words = network, words

    @staticmethod
    def load(weights: str | Path, tokenizer: str | Path) -> TextReader:
        """From imagebind_huge.pth and the folder of CLIP's tokenizer.json.

        Raises:
            PhonofilmError: one of them is missing or another network's.
        """
        return TextReader(load(ImageBindText, weights), Words(tokenizer, LENGTH))

    def text(self, prompt: str) -> tuple[Tensor, int]:
        """float32 [1024], and the tokens that did not fit."""
        ids, cut = self._words(prompt)
        with torch.inference_mode():
            return self._network(ids)[0], cut
