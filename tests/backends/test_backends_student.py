"""A student's weights: one pass an evaluation, guidance told to the network, a second pass for a negative prompt."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from phonofilm import PhonofilmError
from phonofilm.backends.canvas.model_defaults import KEY
from phonofilm.backends.native import NativeBackend
from phonofilm.checkpoint import load_module, load_tensors, save_module
from phonofilm.model import AVTransformer
from phonofilm.training.students.distill import INPUTS


@pytest.fixture(scope="module")
def student(tiny_stems_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with the inputs of a student, shaken so that what it is told shows."""
    folder = tmp_path_factory.mktemp("student") / "model"
    shutil.copytree(tiny_stems_model, folder)
    path = folder / "transformer.safetensors"
    metadata = load_tensors(path)[1]
    network = load_module(AVTransformer, path, condition_inputs=INPUTS)
    torch.manual_seed(0)
    with torch.no_grad():
        for name in network.condition_parameters():
            torch.nn.init.normal_(network.get_parameter(name), std=0.2)
    trained = {**json.loads(metadata.get(KEY, "{}")), "student": True, "steps": 4, "sampler": "euler"}
    kept = {name: value for name, value in metadata.items() if name not in ("kind", "config")}
    save_module(path, network, metadata={**kept, KEY: json.dumps(trained)})
    return folder


@pytest.fixture
def model(student: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[NativeBackend, list[int]]:
    passes: list[int] = []
    forward = AVTransformer.forward

    def counted(self, latents, *rest, **options):
        passes.append(len(latents.video))
        return forward(self, latents, *rest, **options)

    monkeypatch.setattr(AVTransformer, "forward", counted)
    return NativeBackend.load(student, device="cpu"), passes


def test_an_evaluation_is_one_pass(model):
    backend, passes = model
    clip = backend.generate("a red ball", seed=1, guidance=(1.5, 1.5))
    assert sum(passes) == 4
    assert set(clip.stems) == {"speech", "effects", "music"}
    passes.clear()
    other = backend.generate("a red ball", seed=1, guidance=(2.5, 2.5))
    assert sum(passes) == 4
    assert not np.array_equal(clip.frames, other.frames)


def test_a_negative_prompt_costs_a_second_pass(model):
    backend, passes = model
    clip = backend.generate("a red ball", seed=1, negative="rain", guidance=(1.5, 1.5))
    assert sum(passes) == 8
    assert not np.array_equal(clip.frames, backend.generate("a red ball", seed=1, guidance=(1.5, 1.5)).frames)


def test_samplers_of_second_order_are_refused(model):
    backend, _ = model
    with pytest.raises(PhonofilmError, match="omit --sampler"):
        backend.generate("a red ball", sampler="heun")
