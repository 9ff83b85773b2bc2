"""Wan's experts in 8 or 4 bits, in memory or on disk: matrices are read, widened and quantised one by one."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from phonofilm.backends.published.scaled import split, widened
from phonofilm.backends.published.stored import give_back, stored_tensors
from phonofilm.backends.wan.folder import WanFolder
from phonofilm.choices import Quantization
from phonofilm.errors import PhonofilmError
from phonofilm.model.quantized import QuantizedLinear, bytes_of, quantizable, quantize_blocks


def load_quantized(folder: WanFolder, name: str, kind: Quantization | None, device: torch.device) -> nn.Module:
    """An expert on the CPU, its blocks in `kind` (None: in what it runs in), the rest as it is for this device.

    Raises:
        PhonofilmError: weights that are corrupt, incomplete, or of another network.
    """
    module, dtype = _hollow(json.dumps(dict(folder.configs[name]))), folder.dtype(name, device)
    (stored, scales), expected = split(stored_tensors(folder.files[name])), module.state_dict()
    for what, names in (("missing", expected.keys() - stored.keys()), ("unexpected", stored.keys() - expected.keys())):
        if names:
            raise PhonofilmError(
                f"{folder.path / name}: {len(names)} tensors are {what}, first {min(names)}; fetch it again"
            )
    matrices, rest = {} if kind is None else dict(quantizable(module)), dict[str, Tensor]()
    for key, found in sorted(stored.items(), key=lambda pair: (pair[1].path, pair[1].start)):
        if found.shape != tuple(expected[key].shape):
            raise PhonofilmError(f"{found.path}: {key} does not fit ({found.shape} for {tuple(expected[key].shape)})")
        layer = key.removesuffix(".weight")
        whole = widened(key, found.read(), scales[key].read() if key in scales else None)
        if kind is not None and layer in matrices:
            module.set_submodule(layer, QuantizedLinear.of(whole, kind, matrices[layer].bias))
            give_back()
        else:
            rest[key] = whole.to(torch.float32 if _stays_wide(module, key) else dtype)
    module.load_state_dict(rest, assign=True)
    return module.eval().requires_grad_(False)


def expert_bytes(folder: WanFolder, name: str, kind: Quantization, device: torch.device) -> int:
    """What an expert takes in memory."""
    return network_bytes(json.dumps(dict(folder.configs[name])), folder.dtype(name, device), kind)


@lru_cache(maxsize=16)
def network_bytes(config: str, dtype: torch.dtype, kind: Quantization | None) -> int:
    """The same of a network's configuration as JSON; `kind` None is as it is."""
    module = _hollow(config)
    for key, parameter in module.named_parameters():
        parameter.data = parameter.data.to(torch.float32 if _stays_wide(module, key) else dtype)
    with torch.device("meta"):
        return bytes_of(module if kind is None else quantize_blocks(module, kind))


def _hollow(config: str) -> Any:
    """The network with its parameters on the meta device; its tables of positions are real."""
    from accelerate import init_empty_weights
    from diffusers import WanTransformer3DModel

    with init_empty_weights(include_buffers=False):
        return WanTransformer3DModel.from_config(json.loads(config))


def _stays_wide(module: Any, key: str) -> bool:
    """Whether diffusers keeps a tensor in float32 whatever the rest is in."""
    return not set(key.split(".")).isdisjoint(module._keep_in_fp32_modules or ())
