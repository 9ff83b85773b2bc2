"""One clear line for a folder of Wan that is wrong, partial or swapped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from phonofilm.app.cli.main import main
from phonofilm.backends.wan.folder import WanFolder


@pytest.fixture
def copy(tiny_wan, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_wan, tmp_path / "model"))


def refused(capsys, folder: Path, message: str) -> None:
    words = ["generate", "a ball", "--model", str(folder), "--seconds", "0.5", "--size", "32x32", "--steps", "4"]
    assert main([*words, "--device", "cpu", "-o", "out.mp4"]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert message in lines[0]
    assert not Path("out.mp4").exists()


@pytest.mark.parametrize("name", ["transformer_2", "vae", "tokenizer", "text_encoder"])
def test_a_component_is_missing(copy, capsys, name):
    shutil.rmtree(copy / name)
    refused(capsys, copy, f"lacks the folder {name}")


def test_weights_are_missing_or_cut_off(copy, capsys):
    path = next((copy / "transformer_2").glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(capsys, copy, "transformer_2")
    path.unlink()
    refused(capsys, copy, "holds no .safetensors weights")


@pytest.mark.parametrize("name", ["transformer", "transformer_2", "text_encoder", "vae"])
def test_a_tensor_is_missing(copy, capsys, name):
    path = next((copy / name).glob("*.safetensors"))
    tensors = load_file(path)
    tensors.pop(next(key for key in sorted(tensors) if key.endswith("weight") and "embed" not in key))
    save_file(tensors, path, metadata={"format": "pt"})
    refused(capsys, copy, "tensors are missing, first")


def test_components_are_swapped(copy, capsys):
    (copy / "vae").rename(copy / "x")
    (copy / "transformer_2").rename(copy / "vae")
    (copy / "x").rename(copy / "transformer_2")
    refused(capsys, copy, "is a AutoencoderKLWan, where WanTransformer3DModel is needed")


def test_an_expert_of_another_model(copy, capsys, tiny_wan_i2v):
    shutil.rmtree(copy / "transformer_2")
    shutil.copytree(tiny_wan_i2v / "transformer_2", copy / "transformer_2")
    refused(capsys, copy, "do not belong together: channels of the two experts are 4 and 12")


def test_a_codec_of_another_model(copy, capsys, tiny_wan_5b):
    shutil.rmtree(copy / "vae")
    shutil.copytree(tiny_wan_5b / "vae", copy / "vae")
    refused(capsys, copy, "do not belong together: latents that come out are 4 and 8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_class_name": "WanVACEPipeline"}, "holds a WanVACEPipeline, not a Wan that makes film"),
        ({"_class_name": "FluxPipeline"}, "holds a FluxPipeline, which Phonofilm does not run"),
    ],
)
def test_another_pipeline(copy, capsys, change, message):
    path = copy / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    refused(capsys, copy, message)


def test_sizes_in_memory_are_those_of_the_dtype_it_runs_in(tiny_wan):
    folder = WanFolder.open(tiny_wan)
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert folder.dtype("transformer", cpu) == torch.float32
    assert folder.dtype("transformer", gpu) == torch.bfloat16
    assert folder.bytes("transformer", cpu) == 2 * folder.bytes("transformer", gpu)
    assert folder.bytes("vae", cpu) == folder.bytes("vae", gpu)
