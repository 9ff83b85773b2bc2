"""Wan's experts in 8 and 4 bits, from files to film."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import phonofilm
from phonofilm.app.cli.main import main
from phonofilm.backends.published.parts import load_diffusers
from phonofilm.backends.registry import plan as plan_of
from phonofilm.backends.wan.folder import WanFolder
from phonofilm.backends.wan.quantize import expert_bytes, load_quantized
from phonofilm.choices import QUANTIZATIONS
from phonofilm.errors import PhonofilmError
from phonofilm.media import read_clip
from phonofilm.model.quantized import QuantizedLinear, bytes_of, dequantize
from phonofilm.types import Request

CPU = torch.device("cpu")
ERRORS = {"int8": 0.02, "fp8": 0.05, "nf4": 0.2}
"""Of each matrix, relative to its spread."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_what_is_read_is_what_was_stored(tiny_wan, kind, dtype, monkeypatch):
    from diffusers import WanTransformer3DModel

    monkeypatch.setattr(WanFolder, "dtype", lambda *arguments: dtype)
    folder = WanFolder.open(tiny_wan)
    whole = load_diffusers(WanTransformer3DModel, tiny_wan / "transformer_2", dtype)
    network = load_quantized(folder, "transformer_2", kind, CPU)
    layers = {name: m for name, m in network.named_modules() if isinstance(m, QuantizedLinear)}
    assert len(layers) == 2 * 10  # in each block two attentions of four matrices, and two of the feed-forward
    found = dict(network.state_dict())
    for name, layer in layers.items():
        found[f"{name}.weight"] = dequantize(layer.codes, layer.scale, kind, torch.float32)
    assert found.keys() == whole.state_dict().keys()
    for name, tensor in whole.state_dict().items():
        if name.removesuffix(".weight") in layers:
            assert (found[name] - tensor.float()).std() <= ERRORS[kind] * tensor.float().std(), name
        else:
            assert found[name].dtype == tensor.dtype, name
            assert torch.equal(found[name], tensor), name
    for (name, one), (_, other) in zip(network.named_buffers(), whole.named_buffers(), strict=False):
        if "codes" not in name and "scale" not in name:
            assert torch.equal(one, other), name
    assert bytes_of(network) == expert_bytes(folder, "transformer_2", kind, CPU) < 0.85 * bytes_of(whole)


def test_the_plan_counts_them(tiny_wan):
    options = {"device": "cpu", "offload": "disk", "quantize": "nf4"}
    plan = plan_of(Request("a ball", seconds=0.5, size=(48, 32), steps=8, model=str(tiny_wan)), **options)
    needed = expert_bytes(WanFolder.open(tiny_wan), "transformer", "nf4", CPU)
    assert [stage.weights for stage in plan.stages if stage.name.endswith("noise")] == [needed, needed]


@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_a_film_by_one_command(tiny_wan_i2v, kind, tmp_path, capsys):
    from PIL import Image

    Image.fromarray(np.full((32, 48, 3), 90, np.uint8)).save(tmp_path / "first.png")
    made = {}
    for name, options in {"small": ["--quantize", kind], "whole": []}.items():
        words = ["generate", "a red ball", "--model", str(tiny_wan_i2v), "--seconds", "0.5", "--size", "48x32"]
        words += ["--image", "first.png", "--steps", "4", "--seed", "1", "--json", "-o", f"{name}.mkv", *options]
        assert main(words) == 0
        made[name] = (read_clip(tmp_path / f"{name}.mkv"), json.loads(capsys.readouterr().out)["outputs"][0]["weights"])
    (small, quantized), (whole, full) = made["small"], made["whole"]
    assert quantized != full
    difference = np.abs(small.frames.astype(int) - whole.frames.astype(int)).mean()
    assert 0 < difference < {"int8": 4, "fp8": 8, "nf4": 24}[kind]


def test_the_parts_of_a_cascade_are_quantised(tiny_wan):
    backend = phonofilm.load(f"{tiny_wan}+foley", device="cpu", quantize="int8")
    assert backend.picture.parts.quantize == "int8"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("blocks.0.attn1.to_q.weight"), "1 tensors are missing, first blocks.0.attn1"),
        (lambda tensors: tensors.update(more=torch.zeros(1)), "1 tensors are unexpected, first more"),
        (lambda tensors: tensors.update({"proj_out.bias": torch.zeros(3)}), r"proj_out.bias does not fit"),
    ],
)
def test_weights_of_another_network_get_one_line(tiny_wan, change, message, tmp_path):
    import shutil

    folder = shutil.copytree(tiny_wan, tmp_path / "other")
    file = next((folder / "transformer").glob("*.safetensors"))
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)
    with pytest.raises(PhonofilmError, match=message):
        load_quantized(WanFolder.open(folder), "transformer", "int8", CPU)
