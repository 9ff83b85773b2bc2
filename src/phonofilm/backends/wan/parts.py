"""The components of a published Wan in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from phonofilm.backends.published.parts import Offload, PublishedParts, load_diffusers
from phonofilm.backends.published.text import load_text_encoder
from phonofilm.backends.wan.folder import EXPERTS, WanFolder


@dataclass
class WanParts(PublishedParts):
    """See `PublishedParts`. Where anything is put away at all, so is one expert while the other works."""

    folder: WanFolder
    device: torch.device
    offload: Offload = "none"
    _loaded: dict[str, Any] = field(default_factory=dict)

    def _load(self, name: str) -> nn.Module:
        import diffusers

        path = self.folder.path / name
        if name == "text_encoder":
            return load_text_encoder(path)
        cls = diffusers.WanTransformer3DModel if name in EXPERTS else diffusers.AutoencoderKLWan
        return load_diffusers(cls, path, self.folder.dtype(name, self.device))
