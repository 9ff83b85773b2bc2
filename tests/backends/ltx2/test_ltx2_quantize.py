"""LTX-2's transformer in 8 and 4 bits, from files to film."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_ltx2_files import originals

import phonofilm
from phonofilm.app.cli.main import main
from phonofilm.backends.ltx2.folder import Folder
from phonofilm.backends.ltx2.network import load_network
from phonofilm.backends.ltx2.plan import make_plan
from phonofilm.backends.ltx2.quantize import load_quantized, network_bytes
from phonofilm.choices import QUANTIZATIONS
from phonofilm.control.lora.files import Lora
from phonofilm.errors import PhonofilmError
from phonofilm.media import read_clip
from phonofilm.model.names import PREFIX, published_name
from phonofilm.model.quantized import QuantizedLinear, bytes_of, dequantize, quantize
from phonofilm.types import Request

ERRORS = {"int8": 0.02, "fp8": 0.05, "nf4": 0.2}
"""Of each matrix, relative to its spread."""


def widened(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The state dict that the codes stand for."""
    found = dict(network.state_dict())
    for name, module in network.named_modules():
        if isinstance(module, QuantizedLinear):
            found[f"{name}.weight"] = dequantize(module.codes, module.scale, module.kind, torch.float32)
    return found


@pytest.fixture(scope="module")
def lora(tiny_ltx2, tmp_path_factory):
    """One that changes a whole matrix visibly."""
    network = load_network(Folder.open(tiny_ltx2))
    name = next(name for name in network.state_dict() if name.startswith("blocks.") and "to_q.weight" in name)
    rows, columns = network.state_dict()[name].shape
    layer = published_name(name, "diffusers").removesuffix(".weight")
    torch.manual_seed(0)
    factors = {"lora_A.weight": torch.randn(4, columns), "lora_B.weight": torch.randn(rows, 4)}
    path = tmp_path_factory.mktemp("lora") / "lora.safetensors"
    save_file({f"transformer.{layer}.{key}": value for key, value in factors.items()}, path)
    return path


@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_what_is_read_is_what_was_stored(tiny_ltx2, lora, kind):
    folder, loras = Folder.open(tiny_ltx2), [Lora(lora, 0.5)]
    expected, network = load_network(folder, loras).state_dict(), load_quantized(folder, kind, loras)
    found = widened(network)
    assert found.keys() == expected.keys()
    codes = {f"{name}.weight" for name, module in network.named_modules() if isinstance(module, QuantizedLinear)}
    for name, tensor in expected.items():
        error = (found[name] - tensor).std() / tensor.std() if name in codes else (found[name] - tensor).abs().max()
        assert error <= (ERRORS[kind] if name in codes else 0), name
    assert bytes_of(network) == network_bytes(folder, kind) < 0.75 * network_bytes(folder, None)


def test_8_bit_files_stay_as_they_are(tiny_ltx2, tmp_path):
    tensors = originals(tiny_ltx2)
    matrices = [n for n in tensors if ".attn1.to_q.weight" in n]
    for name in matrices:
        codes, scale = quantize(tensors[name], "fp8")
        tensors[name] = codes
        tensors[name.removesuffix(".weight") + ".weight_scale"] = scale.amax().reshape(())  # one a matrix, as published
    save_file(tensors, tmp_path / "tiny8.safetensors")
    network = load_quantized(Folder.open(tmp_path / "tiny8.safetensors", tiny_ltx2), "fp8")
    names = {PREFIX + published_name(f"{name}.weight", "original"): m for name, m in network.named_modules()
             if isinstance(m, QuantizedLinear)}  # fmt: skip
    assert matrices
    for name in matrices:
        assert torch.equal(names[name].codes.view(torch.uint8), tensors[name].view(torch.uint8))
        assert names[name].scale.flatten() == tensors[name.removesuffix(".weight") + ".weight_scale"]


def test_the_plan_counts_them(tiny_ltx2):
    backend = phonofilm.load(str(tiny_ltx2), device="cpu", offload="disk", quantize="nf4")
    plan = make_plan(backend, Request("a ball", seconds=0.5, size=(64, 64), steps=1))
    weights = next(stage.weights for stage in plan.stages if stage.name == "sampling")
    assert weights == network_bytes(Folder.open(tiny_ltx2), "nf4")


@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_a_film_by_one_command(tiny_ltx2, kind, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PHONOFILM_WORK", str(tmp_path / "work"))
    made = {}
    for name, options in {"small": ["--quantize", kind], "whole": []}.items():
        words = ["generate", "a red ball", "--model", str(tiny_ltx2), "--seconds", "0.5", "--size", "64x64"]
        words += ["--steps", "2", "--seed", "1", "--json", "-o", str(tmp_path / f"{name}.mkv"), *options]
        assert main(words) == 0
        output = json.loads(capsys.readouterr().out)["outputs"][0]
        made[name] = (read_clip(tmp_path / f"{name}.mkv"), output["weights"])
    (small, quantized), (whole, full) = made["small"], made["whole"]
    assert quantized != full
    assert small.frames.shape == whole.frames.shape
    assert small.waveform.shape == whole.waveform.shape
    difference = np.abs(small.frames.astype(int) - whole.frames.astype(int)).mean()
    assert 0 < difference < {"int8": 4, "fp8": 8, "nf4": 24}[kind]


def test_a_wrong_choice_gets_one_line(tiny_ltx2, tmp_path, capsys):
    words = ["generate", "x", "--model", str(tiny_ltx2), "-o", str(tmp_path / "a.mp4"), "--quantize"]
    assert main([*words, "int3"]) == 1
    assert capsys.readouterr().err.strip() == (
        "phonofilm: quantize: 'int3' is not possible; choose one of int8, fp8, nf4"
    )
    assert main([*words, "int8", "--network", "diffusers"]) == 1
    assert "omit --network diffusers" in capsys.readouterr().err
    assert not list(tmp_path.glob("a*"))


def test_a_file_that_is_cut_off(tiny_ltx2, tmp_path):
    tensors = originals(tiny_ltx2)
    path = tmp_path / "tiny.safetensors"
    save_file(tensors, path)
    with path.open("r+b") as opened:
        opened.truncate(path.stat().st_size - 100)
    with pytest.raises(PhonofilmError, match=r"tiny\.safetensors"):
        load_quantized(Folder.open(path, tiny_ltx2), "int8")
