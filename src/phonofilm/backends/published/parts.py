"""The components of a published model: in memory when they work, and elsewhere when they do not."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from phonofilm.backends.published.files import eight_bit, read_header, variant_of, weight_files
from phonofilm.backends.published.scaled import scale_names
from phonofilm.choices import Offload
from phonofilm.errors import PhonofilmError
from phonofilm.quiet import quiet

LIBRARIES = ("transformers", "diffusers")


class PublishedParts(ABC):
    """Loads a component when it is first needed, and puts it away after its stage as `offload` says.

    Threads that share the components take turns, stage by stage: each is loaded once, and none is put away while
    another thread works with it.
    """

    device: torch.device
    offload: Offload
    _loaded: dict[str, Any]
    _turn: threading.RLock

    @abstractmethod
    def _load(self, name: str) -> nn.Module:
        """A component on the CPU, as it is used."""

    @contextmanager
    def use(self, name: str) -> Iterator[Any]:
        """A component on the device, for one stage."""
        with self._turn:
            with quiet(*LIBRARIES):
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
                with quiet(*LIBRARIES):
                    self._put_away(name, module)

    def _put_away(self, name: str, module: nn.Module) -> None:
        if self.offload == "disk":
            del self._loaded[name]
        elif self.offload != "none" and self.device.type != "cpu":
            module.to("cpu")
        if self.offload != "none" and self.device.type == "cuda":
            torch.cuda.empty_cache()


def load_diffusers(cls: Any, path: Path, dtype: torch.dtype, **options: Any) -> nn.Module:
    """A component through diffusers, strictly and without network; wrong or partial weights give one line.

    Raises:
        PhonofilmError: weights that are corrupt, incomplete or of another network.
    """
    refuse_scaled(path)
    options |= {"torch_dtype": dtype, "local_files_only": True, "output_loading_info": True}
    options["variant"] = variant_of(path)
    try:
        module, report = cls.from_pretrained(path, **options)
    except Exception as error:
        raise unloadable(path, error) from error
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if found := sorted(map(str, report.get(what) or ())):
            kind = what.removesuffix("_keys")
            raise PhonofilmError(f"{path}: {len(found)} tensors are {kind}, first {found[0]}; fetch it again")
    return module.eval().requires_grad_(False)


def refuse_scaled(path: Path) -> None:
    """Raise a PhonofilmError where a component's matrices are stored in 8 bits with scales, which libraries ignore."""
    files = weight_files(path)
    names = [name for file in files for name in read_header(file)]
    integers = any(entry["dtype"] == "I8" for file in files for entry in read_header(file).values())
    if eight_bit(files) and (integers or scale_names(names)):
        raise PhonofilmError(
            f"{path} holds 8-bit weights with scales, which only the transformer may be; use bf16 ones"
        )


def unloadable(path: Path, error: Exception) -> PhonofilmError:
    """One line for what a library said of files that it could not load."""
    line = " ".join(str(error).split())[:200]
    return PhonofilmError(f"{path} cannot be loaded ({type(error).__name__}: {line}); fetch it again")


def _blocks(module: nn.Module) -> Sequence[nn.Module]:
    """The repeated blocks of a network that is worth streaming."""
    for name in ("blocks", "transformer_blocks", "layers", "block"):
        for place in (getattr(module, "network", module), getattr(module, "encoder", module)):
            found = getattr(place, name, None)
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
