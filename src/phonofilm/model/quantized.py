"""Linear layers whose weights are kept in 8 or 4 bits and widened when they are used.

Plain tensors, so that it works on every device and with every version of torch. Products run in the dtype of what
comes in: what is saved is memory, not time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from statistics import NormalDist

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phonofilm.choices import Quantization

GROUP = 64
ROWS = 512
"""So many outputs' weights are quantised at once,"""
WIDENED = 2**23
"""and so many weights widened."""
_EPS = 1e-12


class QuantizedLinear(nn.Module):
    """y = x·Wᵀ + b. Its codes and scales belong to no state dict: they are made anew from published weights."""

    codes: Tensor
    scale: Tensor

    def __init__(self, kind: Quantization, codes: Tensor, scale: Tensor, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.kind, self.bias = kind, bias
        self.register_buffer("codes", codes, persistent=False)
        self.register_buffer("scale", scale, persistent=False)

    @staticmethod
    def of(weight: Tensor, kind: Quantization, bias: nn.Parameter | None = None) -> QuantizedLinear:
        """Quantise a weight [out, in] of any float dtype."""
        return QuantizedLinear(kind, *quantize(weight, kind), bias)

    def forward(self, x: Tensor) -> Tensor:
        made = x.new_empty(*x.shape[:-1], len(self.codes))
        scales, rows = self.scale.expand(len(self.codes), -1), max(1, WIDENED // x.shape[-1])
        for start in range(0, len(self.codes), rows):
            some = slice(start, start + rows)
            made[..., some] = self._product(x, self.codes[some], scales[some])
        return made if self.bias is None else made + self.bias

    def _product(self, x: Tensor, codes: Tensor, scale: Tensor) -> Tensor:
        if self.kind == "nf4" or x.dtype == torch.float16:  # unscaled 8-bit codes could leave float16's range
            return F.linear(x, dequantize(codes, scale, self.kind, x.dtype))
        return F.linear(x, codes.to(x.dtype)) * scale.to(x.dtype).flatten()


def quantize(weight: Tensor, kind: Quantization) -> tuple[Tensor, Tensor]:
    """Codes and scales of a weight [out, in]: int8 or float8 [out, in] and float32 [out, 1], or for "nf4" uint8
    [out, in/2] (two codes each) and float16 [out, in/group]. A few rows at a time are in float32.
    """
    made = _empty(weight, kind)  # before anything that is freed again and would leave holes
    for start in range(0, len(weight), ROWS):
        for whole, part in zip(made, _quantize(weight[start : start + ROWS].float(), kind), strict=True):
            whole[start : start + ROWS] = part
    return made


def _empty(weight: Tensor, kind: Quantization) -> tuple[Tensor, Tensor]:
    rows, columns = weight.shape
    if kind == "nf4":
        scale = weight.new_empty(rows, columns // group_of(columns), dtype=torch.float16)
        return weight.new_empty(rows, columns // 2, dtype=torch.uint8), scale
    dtype = torch.int8 if kind == "int8" else torch.float8_e4m3fn
    return weight.new_empty(rows, columns, dtype=dtype), weight.new_empty(rows, 1, dtype=torch.float32)


def _quantize(weight: Tensor, kind: Quantization) -> tuple[Tensor, Tensor]:
    if kind == "nf4":
        grouped = weight.unflatten(1, (-1, group_of(weight.shape[1])))
        scale = grouped.abs().amax(-1).clamp_min(_EPS).half().clamp_min(1e-7)
        levels = normal_levels(weight.device)
        middles = (levels[1:] + levels[:-1]) / 2
        codes = torch.bucketize((grouped / scale.float().unsqueeze(-1)).flatten(1), middles).to(torch.uint8)
        return codes[:, ::2] | codes[:, 1::2] << 4, scale
    largest = 127 if kind == "int8" else torch.finfo(torch.float8_e4m3fn).max
    scale = weight.abs().amax(1, keepdim=True).clamp_min(_EPS) / largest
    scaled = weight / scale
    return (scaled.round().to(torch.int8) if kind == "int8" else scaled.to(torch.float8_e4m3fn)), scale


def dequantize(codes: Tensor, scale: Tensor, kind: Quantization, dtype: torch.dtype) -> Tensor:
    """The weight [out, in] that codes and scales stand for."""
    if kind != "nf4":
        return codes.to(dtype).mul_(scale.to(dtype))
    both = torch.stack([codes & 15, codes >> 4], -1).flatten(1).int()
    weight = normal_levels(codes.device).to(dtype)[both]
    return weight.unflatten(1, (scale.shape[1], -1)).mul_(scale.to(dtype).unsqueeze(-1)).flatten(1)


def group_of(inputs: int) -> int:
    """How many weights share a scale in four bits."""
    return math.gcd(inputs, GROUP)


@lru_cache
def _levels() -> tuple[float, ...]:
    """The 16 levels of NormalFloat: quantiles of a normal distribution and 0 (QLoRA, 2305.14314, appendix E)."""
    offset, at = (1 - 1 / 32 + 1 - 1 / 30) / 2, NormalDist().inv_cdf
    above = [at(offset + (0.5 - offset) * step / 8) for step in range(8)]
    below = [-at(offset + (0.5 - offset) * step / 7) for step in range(7)]
    return tuple(level / above[0] for level in sorted([*above, *below, 0.0]))


def normal_levels(device: torch.device | str = "cpu") -> Tensor:
    """Those of `nf4`. No tensor is kept between calls: made on the meta device, it would be empty ever after."""
    return torch.tensor(_levels(), dtype=torch.float32, device=device)


def quantizable(network: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """The matrices worth it: those of the repeated blocks, without the gates, which have one output a head."""
    for name, module in network.named_modules():
        if name.startswith("blocks.") and isinstance(module, nn.Linear) and not name.endswith("to_gate"):
            yield name, module


def quantize_blocks(network: nn.Module, kind: Quantization) -> nn.Module:
    """Replace them, one after the other; also on the meta device, where only sizes count."""
    for name, linear in list(quantizable(network)):
        network.set_submodule(name, QuantizedLinear.of(linear.weight.detach(), kind, linear.bias))
    return network


def bytes_of(network: nn.Module) -> int:
    """What parameters and buffers take."""
    return sum(tensor.nbytes for tensors in (network.parameters(), network.buffers()) for tensor in tensors)
