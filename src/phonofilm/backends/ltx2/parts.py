"""The components of a published LTX-2, in memory when they work, and elsewhere when they do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import nn

from phonofilm.backends.ltx2.folder import Folder
from phonofilm.backends.ltx2.lora import Lora
from phonofilm.backends.ltx2.network import DiffusersNetwork, NetworkName, load_diffusers, load_network, stored_dtype
from phonofilm.backends.ltx2.quiet import quiet
from phonofilm.backends.ltx2.text import load_text_encoder

Offload = Literal["none", "model", "sequential", "disk"]
"""Where a component waits: on the device; in main memory; there, with the blocks of the two large networks fetched
one by one while they work; or on disk, read again for each stage."""

OFFLOADS: tuple[Offload, ...] = get_args(Offload)


@dataclass
class Parts:
    """Loads a component when it is first needed, and puts it away after its stage as `offload` says."""

    folder: Folder
    device: torch.device
    offload: Offload = "none"
    network: NetworkName = "phonofilm"
    loras: tuple[Lora, ...] = ()
    _loaded: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def use(self, name: str) -> Iterator[Any]:
        """A component on the device, for one stage."""
        with quiet():
            module = self._loaded.get(name) or self._load(name)
            self._loaded[name] = module
            blocks = _blocks(module) if self.offload == "sequential" else ()
            hooks = [hook for block in blocks for hook in _streamed(block, self.device)]
            _move(module, self.device, set(map(id, blocks)))
        try:
            yield module
        finally:
            for hook in hooks:
                hook.remove()
            with quiet():
                self._put_away(name, module)

    def _put_away(self, name: str, module: nn.Module) -> None:
        if self.offload == "disk":
            del self._loaded[name]
        elif self.offload != "none" and self.device.type != "cpu":
            module.to("cpu")
        if self.offload != "none" and self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _load(self, name: str) -> nn.Module:
        path = self.folder.path / name
        if name == "transformer":
            network = load_network(self.folder, self.loras, self.network)
            return DiffusersNetwork(network) if self.network == "diffusers" else network
        if name == "text_encoder":
            return load_text_encoder(path)
        # the vocoder is small, and a sum of many thousand oscillations: full precision costs nothing there
        dtype = torch.float32 if name == "vocoder" else stored_dtype_of(self.folder, name)
        return load_diffusers(component_class(self.folder, name), path, dtype)


def stored_dtype_of(folder: Folder, name: str) -> torch.dtype:
    """What a component's matrices are stored in."""
    return stored_dtype(folder.files[name], "weight")


def component_class(folder: Folder, name: str) -> Any:
    """diffusers' class of a component."""
    import diffusers
    from diffusers.pipelines import ltx2

    cls = folder.configs[name]["_class_name"]
    return getattr(ltx2, cls, None) or getattr(diffusers, cls)


def _blocks(module: nn.Module) -> Sequence[nn.Module]:
    """The repeated blocks of a network that is worth streaming."""
    for name in ("blocks", "transformer_blocks", "layers"):
        found = getattr(getattr(module, "network", module), name, None)
        if isinstance(found, nn.ModuleList):
            return list(found)
    return ()


def _move(module: nn.Module, device: torch.device, but: set[int]) -> None:
    """Everything but the given blocks to the device."""
    if id(module) in but:
        return
    for child in module.children():
        _move(child, device, but)
    for parameter in module.parameters(recurse=False):
        parameter.data = parameter.data.to(device)
    for name, buffer in module.named_buffers(recurse=False):
        module._buffers[name] = buffer.to(device)


def _streamed(block: nn.Module, device: torch.device) -> list[Any]:
    """Hooks that bring a block to the device for its forward and send it back."""

    def bring(module: nn.Module, arguments: Any) -> None:
        module.to(device)

    def send(module: nn.Module, arguments: Any, made: Any) -> None:
        module.to("cpu")

    return [block.register_forward_pre_hook(bring), block.register_forward_hook(send)]
