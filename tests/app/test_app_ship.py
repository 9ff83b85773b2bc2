"""Putting the weights of a model together in one folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phonofilm.app.experiments import export_model
from phonofilm.backends.native import NativeBackend
from phonofilm.checkpoint import file_sha256, load_tensors
from phonofilm.weights import PARTS, locate


def test_what_ships_belongs_together_and_says_how_to_use_it(tmp_path: Path) -> None:
    here = locate("nano")
    given = ["--transformer", str(here / "transformer.safetensors"), "-o", str(tmp_path), "--set", "steps=5"]
    export_model.main(given)
    assert {path.stem for path in tmp_path.iterdir()} == set(PARTS)
    (old, before), (new, after) = (load_tensors(folder / "transformer.safetensors") for folder in (here, tmp_path))
    assert all((new[name] == tensor).all() for name, tensor in old.items())
    for part in PARTS[1:]:
        assert after[part] == file_sha256(tmp_path / f"{part}.safetensors")
    trained, shipped = json.loads(after["trained"]), json.loads(before["trained"])
    assert trained["steps"] == 5
    assert trained["reconstruction_error"] == pytest.approx(shipped["surprise"], rel=0.1)
    backend = NativeBackend.load(tmp_path, "cpu")
    assert backend.parts.trained.steps == 5
    assert backend.parts.trained.reconstruction_error == tuple(trained["reconstruction_error"])
