"""The components of a published Wan in memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from phonofilm.backends.published.files import eight_bit
from phonofilm.backends.published.parts import PublishedParts, load_diffusers
from phonofilm.backends.published.text import load_text_encoder
from phonofilm.backends.wan.folder import EXPERTS, WanFolder
from phonofilm.backends.wan.quantize import expert_bytes, load_quantized
from phonofilm.choices import Offload, Quantization


@dataclass
class WanParts(PublishedParts):
    """See `PublishedParts`. Where anything is put away at all, so is one expert while the other works.

    Attributes:
        quantize: what the blocks of the experts are kept in; None is as stored.
    """

    folder: WanFolder
    device: torch.device
    offload: Offload = "none"
    quantize: Quantization | None = None
    _loaded: dict[str, Any] = field(default_factory=dict)
    _turn: threading.RLock = field(default_factory=threading.RLock)

    def bytes(self, name: str) -> int:
        """What a component takes in memory."""
        return component_bytes(self.folder, name, self.device, self.quantize)

    def _load(self, name: str) -> nn.Module:
        import diffusers

        path = self.folder.path / name
        if name in EXPERTS and (self.quantize is not None or eight_bit(self.folder.files[name])):
            return load_quantized(self.folder, name, self.quantize, self.device)
        if name == "text_encoder":
            return load_text_encoder(path)
        cls = diffusers.WanTransformer3DModel if name in EXPERTS else diffusers.AutoencoderKLWan
        return load_diffusers(cls, path, self.folder.dtype(name, self.device))


def component_bytes(folder: WanFolder, name: str, device: torch.device, quantize: Quantization | None) -> int:
    """What a component takes in memory."""
    if quantize is not None and name in EXPERTS:
        return expert_bytes(folder, name, quantize, device)
    return folder.bytes(name, device)
