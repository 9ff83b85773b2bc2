"""Wan's experts as 8-bit repacks and variants, and numbers that are not finite."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from phonofilm.app.cli.main import main
from phonofilm.backends.wan.folder import WanFolder
from phonofilm.backends.wan.parts import WanParts
from phonofilm.errors import PhonofilmError

CPU = torch.device("cpu")
SCALES = {
    "[out]": lambda weight: weight.abs().amax(1),
    "[out,1]": lambda weight: weight.abs().amax(1, keepdim=True),
    "scalar": lambda weight: weight.abs().amax(),
}


@pytest.fixture
def copy(tiny_wan, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_wan, tmp_path / "model"))


def repack(folder: Path, dtype: torch.dtype, way: str | None) -> dict[str, torch.Tensor]:
    """One expert's matrices in 8 bits; returns what they stand for."""
    path, exact = next(folder.glob("*.safetensors")), {}
    tensors = load_file(path)
    for name in [n for n in tensors if n.startswith("blocks.") and n.endswith("weight") and tensors[n].ndim == 2]:
        weight, largest = tensors[name], 127 if dtype == torch.int8 else 448
        scale = SCALES[way](weight) / largest if way else torch.ones(())
        full = scale[:, None] if scale.ndim == 1 else scale
        codes = weight / full
        tensors[name] = (codes.round() if dtype == torch.int8 else codes).to(dtype)
        exact[name] = tensors[name].float() * full
        if way:
            tensors[name.removesuffix("weight") + "weight_scale"] = scale
    save_file(tensors, path, metadata={"format": "pt"})
    return exact


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8], ids=["fp8", "int8"])
@pytest.mark.parametrize("way", SCALES)
def test_every_scale_gives_the_matrix_back(copy, dtype, way):
    exact = repack(copy / "transformer", dtype, way)
    parts = WanParts(WanFolder.open(copy), CPU)
    found = parts._load("transformer").state_dict()
    for name, weight in exact.items():
        assert (found[name].float() - weight).norm() <= 0.004 * weight.norm(), name
    assert {tensor.dtype for tensor in found.values()} <= {torch.bfloat16, torch.float32}


def test_float8_without_a_scale_is_what_it_says(copy):
    exact = repack(copy / "transformer_2", torch.float8_e4m3fn, None)
    found = WanParts(WanFolder.open(copy), CPU)._load("transformer_2").state_dict()
    assert all(torch.equal(found[name].float(), weight) for name, weight in exact.items())


def test_what_is_not_known_is_one_line(copy):
    repack(copy / "transformer", torch.int8, None)
    with pytest.raises(PhonofilmError, match="is stored in int8 without a scale beside it"):
        WanParts(WanFolder.open(copy), CPU)._load("transformer")
    path = next((copy / "transformer").glob("*.safetensors"))
    save_file({"blocks.0.x.weight": torch.ones(2, 2, dtype=torch.int32)}, path)
    with pytest.raises(PhonofilmError, match="is stored in I32, which is not supported"):
        WanParts(WanFolder.open(copy), CPU)._load("transformer")


@pytest.mark.parametrize("alone", [False, True], ids=["beside", "alone"])
def test_a_variant(copy, alone):
    size = WanFolder.open(copy).bytes("transformer", CPU)
    for component in ("transformer", "vae", "text_encoder"):
        path = next((copy / component).glob("*.safetensors"))
        half = {name: tensor.half() for name, tensor in load_file(path).items()}
        save_file(half, path.with_suffix(".fp16.safetensors"), metadata={"format": "pt"})
        if alone:
            path.unlink()
    folder = WanFolder.open(copy)
    parts = WanParts(folder, CPU)
    assert folder.dtype("transformer", CPU) == (torch.float16 if alone else torch.float32)
    assert folder.bytes("transformer", CPU) == size // (2 if alone else 1)
    dtypes = {
        p.dtype for name, p in parts._load("transformer").named_parameters() if "attn" in name and "norm" not in name
    }
    assert dtypes == {torch.float16 if alone else torch.float32}
    parts._load("vae"), parts._load("text_encoder")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(("component", "part"), [("vae", "decoder.conv_in"), ("transformer", "proj_out")])
def test_a_picture_that_is_not_finite_is_refused(copy, tmp_path, capsys, component, part, value):
    path = next((copy / component).glob("*.safetensors"))
    tensors = load_file(path)
    tensors[next(name for name in tensors if name.startswith(part) and name.endswith("weight"))].flatten()[0] = value
    save_file(tensors, path, metadata={"format": "pt"})
    words = ["generate", "a ball", "--model", str(copy), "--seconds", "0.5", "--size", "32x32", "--steps", "2"]
    assert main([*words, "--device", "cpu", "-o", str(tmp_path / "out.mp4")]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1, lines
    assert "the picture holds values that are not finite; nothing was written" in lines[0]
    assert not list(tmp_path.glob("*out*"))
