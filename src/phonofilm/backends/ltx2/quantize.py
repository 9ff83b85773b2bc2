"""A published transformer in 8 or 4 bits: each matrix is read, given its LoRA, quantised, and forgotten as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from phonofilm.backends.ltx2.config import network_config
from phonofilm.backends.ltx2.folder import Folder
from phonofilm.backends.ltx2.network import stored_dtype
from phonofilm.backends.published.scaled import is_per_output, split, spread, widened
from phonofilm.backends.published.stored import Stored, give_back, stored_tensors
from phonofilm.choices import Quantization
from phonofilm.control.lora.merge import Lora, additions
from phonofilm.errors import PhonofilmError
from phonofilm.model.config import TransformerConfig
from phonofilm.model.names import from_published
from phonofilm.model.quantized import QuantizedLinear, bytes_of, quantizable, quantize_blocks
from phonofilm.model.transformer import AVTransformer


def load_quantized(folder: Folder, kind: Quantization, loras: Sequence[Lora] = ()) -> nn.Module:
    """The transformer on the CPU with its blocks in `kind`. Matrices stored as float8 stay as they are for "fp8".

    Raises:
        PhonofilmError: weights that are corrupt, incomplete, or of another network.
    """
    with torch.device("meta"):
        module = AVTransformer(network_config(folder.configs["transformer"], str(folder.path / "transformer")))
    matrices, dtype = dict(quantizable(module)), stored_dtype(folder.transformer)
    rest: dict[str, Tensor] = {}
    for source in _sources(folder, module, loras):
        layer = source.name.removesuffix(".weight")
        if layer in matrices:
            module.set_submodule(layer, source.quantized(kind, matrices[layer].bias))
            give_back()
        else:
            rest[source.name] = source.whole().to(dtype)
    module.load_state_dict(rest, assign=True)
    return module.eval().requires_grad_(False)


@dataclass(frozen=True)
class Source:
    """What one of our tensors is made of.

    Attributes:
        scale: what an 8-bit matrix in the file is multiplied by.
        changes: what LoRA files add to it.
    """

    name: str
    stored: Stored
    scale: Stored | None
    changes: tuple[Callable[[], Tensor], ...]

    def whole(self) -> Tensor:
        """It as stored, or in float32 where something is done to it."""
        tensor = widened(self.name, self.stored.read(), None if self.scale is None else self.scale.read())
        for change in self.changes:
            tensor = tensor.float() + change()
        return tensor

    def quantized(self, kind: Quantization, bias: nn.Parameter | None) -> QuantizedLinear:
        if kind == "fp8" and self.stored.dtype == torch.float8_e4m3fn and not self.changes:
            scale = torch.ones(1) if self.scale is None else self.scale.read()
            if is_per_output(scale, self.stored.shape[0]):
                column = spread(self.name, scale, self.stored.shape).reshape(-1, 1)
                return QuantizedLinear(kind, self.stored.read(), column, bias)
        return QuantizedLinear.of(self.whole(), kind, bias)


def _sources(folder: Folder, module: nn.Module, loras: Sequence[Lora]) -> Iterator[Source]:
    """In the order of the files."""
    stored = stored_tensors(folder.transformer)
    own, scales = split(stored)
    published = {name: name for name in own}
    expected = module.state_dict()
    names = from_published(published, expected)
    added = [additions(module, lora) for lora in loras]
    for ours, theirs in sorted(names.items(), key=lambda pair: stored[pair[1]].start):
        found, needed = stored[theirs], tuple(expected[ours].shape)
        if found.shape != needed:
            raise PhonofilmError(f"{found.path}: {ours} does not fit ({found.shape} for {needed})")
        yield Source(ours, found, scales.get(theirs), tuple(part[ours] for part in added if ours in part))


def network_bytes(folder: Folder, kind: Quantization | None) -> int:
    """What the transformer takes in memory."""
    return _network_bytes(network_config(folder.configs["transformer"]), stored_dtype(folder.transformer), kind)


@lru_cache(maxsize=16)
def _network_bytes(config: TransformerConfig, dtype: torch.dtype, kind: Quantization | None) -> int:
    with torch.device("meta"):
        module = AVTransformer(config).to(dtype)
        return bytes_of(module if kind is None else quantize_blocks(module, kind))
