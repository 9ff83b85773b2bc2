"""Matrices that files keep in 8 bits, with a scale beside each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from phonofilm.errors import PhonofilmError

T = TypeVar("T")
FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)
WIDE = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
SCALES = (".weight_scale", ".scale_weight", ".weight_scale_inv")
"""Endings of what a matrix is multiplied by (the last one too, in spite of its name)."""
IGNORED = (".input_scale", ".scale_input", ".comfy_quant")
"""Endings of what serves products in 8 bits, which ours are not."""
MARKERS = ("scaled_fp8",)
BLOCK = 128
"""The usual side of a block that shares a scale."""


def split(tensors: Mapping[str, T]) -> tuple[dict[str, T], dict[str, T]]:
    """Tensors of a network, and the scale of each of them that has one, both by the tensor's name."""
    own = {
        name: t
        for name, t in tensors.items()
        if not name.endswith((*SCALES, *IGNORED)) and name.split(".")[-1] not in MARKERS
    }
    scales = {}
    for name in own:
        stem = name.removesuffix(".weight")
        found = [stem + ending for ending in SCALES if stem + ending in tensors]
        if name.endswith(".weight") and found:
            scales[name] = tensors[found[0]]
    return own, scales


def scale_names(names: Iterable[str]) -> list[str]:
    """Those that end as a scale does."""
    return sorted(name for name in names if name.endswith(SCALES))


def widened(name: str, weight: Tensor, scale: Tensor | None) -> Tensor:
    """What codes and scale stand for in float32; a tensor that has no scale and is wide enough stays as it is.

    Raises:
        PhonofilmError: a dtype that is no number of a network, or a scale that does not fit.
    """
    check_dtype(name, weight.dtype, scale is not None)
    if scale is None:
        return weight.float() if weight.dtype in FLOAT8 else weight
    return weight.float() * spread(name, scale, tuple(weight.shape))


def check_dtype(name: str, dtype: torch.dtype, scaled: bool) -> None:
    """Raise a PhonofilmError unless numbers of this dtype can be those of a network."""
    if dtype == torch.int8 and not scaled:
        raise PhonofilmError(f"{name} is stored in int8 without a scale beside it; use weights in another format")
    if dtype not in (*WIDE, *FLOAT8, torch.int8):
        kind = str(dtype).removeprefix("torch.")
        raise PhonofilmError(f"{name} is stored in {kind}, which is not supported; use bf16, fp16, fp8 or int8 weights")


def spread(name: str, scale: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A scale in float32, in a shape that multiplies a tensor of `shape`.

    A scale may be one number; one for each output, [out] or [out, 1]; one for each input, [1, in]; or one for each
    block of a matrix, [rows, columns], where blocks have equal sides or are of 128x128.

    Raises:
        PhonofilmError: another shape, or numbers that are no scale.
    """
    if not scale.is_floating_point():
        kind = str(scale.dtype).removeprefix("torch.")
        raise PhonofilmError(f"the scale of {name} is stored in {kind}, which is not supported; use other weights")
    scale = scale.float()
    if not scale.isfinite().all():
        raise PhonofilmError(f"the scale of {name} is not finite; fetch or copy the weights again")
    if scale.numel() == 1:
        return scale.reshape(())
    if scale.ndim == 1 and scale.shape[0] == shape[0]:
        return scale.reshape(-1, *(1 for _ in shape[1:]))
    if scale.ndim == len(shape) and all(one in (1, side) for one, side in zip(scale.shape, shape, strict=True)):
        return scale
    if scale.ndim == len(shape) == 2:
        sides = _blocks(tuple(scale.shape), shape)
        if sides is not None:
            rows = scale.repeat_interleave(sides[0], 0)[: shape[0]]
            return rows.repeat_interleave(sides[1], 1)[:, : shape[1]]
    raise PhonofilmError(
        f"the scale of {name} has the shape {list(scale.shape)}, which does not fit a tensor of {list(shape)}; "
        f"use weights with one scale for each tensor, output or block"
    )


def _blocks(counts: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Height and width of the blocks, of which a matrix has so many along each side."""
    usual = [min(BLOCK, side) for side in shape]
    if all(math.ceil(side / one) == count for side, one, count in zip(shape, usual, counts, strict=True)):
        return usual[0], usual[1]
    if min(counts) < 1 or any(side % count for side, count in zip(shape, counts, strict=True)):
        return None
    return shape[0] // counts[0], shape[1] // counts[1]


def is_per_output(scale: Tensor, rows: int) -> bool:
    """Whether it is one number, or one for each output."""
    return scale.numel() == 1 or tuple(scale.shape) in ((rows,), (rows, 1))
