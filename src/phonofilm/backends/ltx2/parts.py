"""The components of a published LTX-2 in memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from phonofilm.backends.ltx2.folder import Folder
from phonofilm.backends.ltx2.network import DiffusersNetwork, load_network
from phonofilm.backends.ltx2.quantize import load_quantized, network_bytes
from phonofilm.backends.ltx2.text import load_text_encoder
from phonofilm.backends.published.files import stored_dtype
from phonofilm.backends.published.parts import PublishedParts, load_diffusers
from phonofilm.choices import NetworkName, Offload, Quantization
from phonofilm.control.lora.files import Lora

__all__ = ["Parts", "component_class", "stored_dtype_of"]


@dataclass
class Parts(PublishedParts):
    """See `PublishedParts`.

    Attributes:
        refining: what is merged into the transformer to make the "refiner" of the second stage; the two are never in
            memory together.
        quantize: what the blocks of the transformer are kept in; None is as stored.
    """

    folder: Folder
    device: torch.device
    offload: Offload = "none"
    network: NetworkName = "phonofilm"
    loras: tuple[Lora, ...] = ()
    refining: Lora | None = None
    quantize: Quantization | None = None
    _loaded: dict[str, Any] = field(default_factory=dict)
    _turn: threading.RLock = field(default_factory=threading.RLock)

    def bytes(self, name: str) -> int:
        """What a component's weights take in memory."""
        return component_bytes(self.folder, name, self.quantize)

    def _load(self, name: str) -> nn.Module:
        path = self.folder.path / name
        if name in ("transformer", "refiner"):
            added = (self.refining,) if name == "refiner" and self.refining is not None else ()
            self._loaded.pop("refiner" if name == "transformer" else "transformer", None)
            loras = (*self.loras, *added)
            if self.quantize is not None:
                return load_quantized(self.folder, self.quantize, loras)
            network = load_network(self.folder, loras, self.network)
            return DiffusersNetwork(network) if self.network == "diffusers" else network
        if name == "text_encoder":
            return load_text_encoder(path)
        # the vocoder is small, and a sum of many thousand oscillations: full precision costs nothing there
        dtype = torch.float32 if name == "vocoder" else stored_dtype_of(self.folder, name)
        return load_diffusers(component_class(self.folder, name), path, dtype)


def component_bytes(folder: Folder, name: str, quantize: Quantization | None) -> int:
    """What a component's weights take in memory; the others than the transformer are in the dtype of their files."""
    return network_bytes(folder, quantize) if name == "transformer" else folder.bytes(name)


def stored_dtype_of(folder: Folder, name: str) -> torch.dtype:
    """What a component's matrices are stored in."""
    return stored_dtype(folder.files[name])


def component_class(folder: Folder, name: str) -> Any:
    """diffusers' class of a component."""
    import diffusers
    from diffusers.pipelines import ltx2

    cls = folder.configs[name]["_class_name"]
    return getattr(ltx2, cls, None) or getattr(diffusers, cls)
