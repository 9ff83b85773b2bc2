"""8-bit matrices come back through every way of storing a scale, or are refused with the reason."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from phonofilm.backends.published.scaled import is_per_output, split, spread, widened
from phonofilm.errors import PhonofilmError

FP8 = 448.0


def matrix(rows: int = 48, columns: int = 32) -> Tensor:
    """Rows and columns of very different size, so that a scale along the wrong axis shows."""
    random = torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows + columns))
    return random * torch.logspace(-0.5, 0.5, rows)[:, None] * torch.logspace(0.5, -0.5, columns)


def error(found: Tensor, exact: Tensor) -> float:
    return float((found - exact).norm() / exact.norm())


def per_block(weight: Tensor, height: int, width: int) -> Tensor:
    """The largest value of each block; those at the edge may be smaller."""
    rows = [part.abs() for part in weight.split(height, 0)]
    return torch.stack([torch.stack([block.amax() for block in row.split(width, 1)]) for row in rows])


def grown(scale: Tensor, weight: Tensor, height: int, width: int) -> Tensor:
    whole = scale.repeat_interleave(height, 0).repeat_interleave(width, 1)
    return whole[: weight.shape[0], : weight.shape[1]]


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8])
@pytest.mark.parametrize("kind", ["scalar", "[1]", "[1,1]", "[out]", "[out,1]", "[1,in]"])
@pytest.mark.parametrize("square", [False, True])
def test_one_scale_and_one_for_each_row_or_column(dtype: torch.dtype, kind: str, square: bool) -> None:
    exact = matrix(32 if square else 48)
    largest = 127 if dtype == torch.int8 else FP8
    axis = {"[out]": 1, "[out,1]": 1, "[1,in]": 0}.get(kind)
    full = (exact.abs().amax() if axis is None else exact.abs().amax(axis, keepdim=True)) / largest
    shape = {"scalar": (), "[1]": (1,), "[1,1]": (1, 1), "[out]": (-1,)}.get(kind, full.shape)
    codes = (exact / full).round().to(dtype) if dtype == torch.int8 else (exact / full).to(dtype)
    found = widened("w", codes, full.reshape(shape))
    assert found.dtype == torch.float32
    assert error(found, codes.float() * full) < 1e-6
    assert error(found, exact) < 0.06


@pytest.mark.parametrize(
    ("rows", "columns", "height", "width"),
    [
        (48, 32, 24, 16),
        (48, 32, 1, 16),
        (32, 32, 16, 16),
        (256, 256, 128, 128),
        (200, 300, 128, 128),
        (128, 40, 64, 40),
    ],
)
def test_a_scale_for_each_block(rows: int, columns: int, height: int, width: int) -> None:
    exact = matrix(rows, columns)
    scale = per_block(exact, height, width) / FP8
    full = grown(scale, exact, height, width)
    found = widened("w", (exact / full).to(torch.float8_e4m3fn), scale)
    assert error(found, exact) < 0.04


@pytest.mark.parametrize("shape", [(3,), (47,), (32, 48), (5, 7), (48, 2, 1), (1, 48, 1), (0,)])
def test_a_scale_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PhonofilmError, match=r"scale of w has the shape .*, which does not fit a tensor of \[48, 32\]"):
        spread("w", torch.ones(shape), (48, 32))


@given(rows=st.integers(1, 40), columns=st.integers(1, 40), shape=st.lists(st.integers(0, 41), max_size=3))
def test_any_shape_gives_a_full_scale_or_one_line(rows: int, columns: int, shape: list[int]) -> None:
    try:
        found = spread("w", torch.ones(shape), (rows, columns))
    except PhonofilmError:
        return
    assert (torch.ones(rows, columns) * found).shape == (rows, columns)


def test_scales_that_are_no_numbers() -> None:
    for value in (torch.nan, torch.inf):
        with pytest.raises(PhonofilmError, match="scale of w is not finite"):
            spread("w", torch.tensor(value), (2, 2))
    with pytest.raises(PhonofilmError, match="scale of w is stored in uint8"):
        spread("w", torch.ones(2, dtype=torch.uint8), (2, 2))


def test_numbers_without_a_scale() -> None:
    plain = torch.randn(3, 3, dtype=torch.bfloat16)
    assert widened("w", plain, None) is plain
    codes = plain.to(torch.float8_e5m2)
    assert torch.equal(widened("w", codes, None), codes.float())
    with pytest.raises(PhonofilmError, match="w is stored in int8 without a scale"):
        widened("w", torch.ones(3, 3, dtype=torch.int8), None)
    for dtype in (torch.int32, torch.uint8, torch.bool, torch.complex64):
        with pytest.raises(PhonofilmError, match=f"w is stored in {str(dtype)[6:]}, which is not supported"):
            widened("w", torch.ones(3, 3).to(dtype), torch.ones(()))


@pytest.mark.parametrize("ending", ["weight_scale", "scale_weight", "weight_scale_inv"])
def test_names_of_scales(ending: str) -> None:
    names = [
        "a.weight",
        "a.bias",
        f"a.{ending}",
        "a.input_scale",
        "a.scale_input",
        "b.weight",
        "scaled_fp8",
        "x.scaled_fp8",
    ]
    own, scales = split(dict.fromkeys(names, 0) | {f"a.{ending}": 5})
    assert (list(own), scales) == (["a.weight", "a.bias", "b.weight"], {"a.weight": 5})


def test_which_scales_are_for_outputs() -> None:
    shapes = {(): True, (1,): True, (6,): True, (6, 1): True, (1, 4): False, (2, 2): False}
    assert {shape: is_per_output(torch.ones(shape), 6) for shape in shapes} == shapes
