"""Weights in 8 and 4 bits: how far off, how large, and that layers with them compute what their weights say."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from phonofilm.choices import QUANTIZATIONS
from phonofilm.model import PRESETS, AVTransformer
from phonofilm.model.quantized import (
    GROUP,
    QuantizedLinear,
    bytes_of,
    dequantize,
    normal_levels,
    quantizable,
    quantize,
    quantize_blocks,
)

# bytes a weight: codes, and the scales of a row of 256 (float32) or of a group of 64 (float16)
BYTES = {"int8": 1 + 4 / 256, "fp8": 1 + 4 / 256, "nf4": 0.5 + 2 / GROUP}


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_no_weight_is_off_by_more_than_half_a_step(kind):
    weight = drawn(48, 256)
    found = dequantize(*quantize(weight, kind), kind, torch.float32)
    if kind == "int8":
        allowed = weight.abs().amax(1, keepdim=True) / 127 / 2
    elif kind == "fp8":  # three bits after the leading one; below 2^-6 of what 448 stands for, an even grid
        allowed = weight.abs() / 16 + weight.abs().amax(1, keepdim=True) / 448 * 2**-10
    else:
        widest = normal_levels().diff().max() / 2
        allowed = (weight.unflatten(1, (-1, GROUP)).abs().amax(-1, keepdim=True) * widest).expand(-1, -1, GROUP)
        allowed = allowed.flatten(1) * (1 + 2**-10)  # the scale is float16
    assert ((found - weight).abs() <= allowed * 1.001).all()


def test_four_bits_err_more_than_eight_but_not_much():
    weight = drawn(64, 512)
    errors = {
        kind: ((dequantize(*quantize(weight, kind), kind, torch.float32) - weight).std() / weight.std()).item()
        for kind in QUANTIZATIONS
    }
    assert errors["int8"] < 0.01
    assert errors["int8"] < errors["fp8"] < 0.03
    assert errors["fp8"] < errors["nf4"] < 0.1


@pytest.mark.parametrize("kind", QUANTIZATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_layer_computes_with_the_weights_its_codes_stand_for(kind, dtype):
    linear = nn.Linear(256, 48).to(dtype)
    layer = QuantizedLinear.of(linear.weight.detach(), kind, linear.bias)
    x = drawn(3, 256, seed=1).to(dtype)
    expected = F.linear(x.double(), dequantize(layer.codes, layer.scale, kind, torch.float64), linear.bias.double())
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 0.03, torch.float16: 0.004}[dtype]
    torch.testing.assert_close(layer(x).double(), expected, atol=tolerance, rtol=tolerance)
    assert layer(x).dtype == dtype


@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_rows_of_nothing_and_odd_widths(kind):
    weight = drawn(4, 24)
    weight[1] = 0
    found = dequantize(*quantize(weight, kind), kind, torch.float32)
    assert found.isfinite().all()
    assert (found[1] == 0).all()


def test_the_levels_are_those_of_qlora():
    published = [-1.0, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.0910500, 0.0, 0.0795803,
                 0.1609302, 0.2461123, 0.3379152, 0.4407098, 0.5626170, 0.7229568, 1.0]  # fmt: skip
    torch.testing.assert_close(normal_levels(), torch.tensor(published), atol=2e-5, rtol=0)


@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_a_network_shrinks_by_what_its_blocks_save(kind):
    with torch.device("meta"):
        network = AVTransformer(PRESETS["nano"])
        whole = bytes_of(network)
        matrices = sum(linear.weight.nbytes for _, linear in quantizable(network))
        small = bytes_of(quantize_blocks(network, kind))
    assert matrices > 0.7 * whole
    saved = matrices * (1 - BYTES[kind] / 4)
    assert whole - small == pytest.approx(saved, rel=0.01)


def test_what_was_planned_leaves_nothing_behind():
    with torch.device("meta"):
        quantize_blocks(AVTransformer(PRESETS["nano"]), "nf4")
    with FakeTensorMode():
        QuantizedLinear.of(torch.empty(8, 64), "nf4")(torch.empty(2, 64))
    assert quantize(drawn(8, 64), "nf4")[0].any()
    assert normal_levels()[-1] == 1
