"""From nothing to weights: what travels, what is joined again, and a rehearsal of both stages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from phonofilm.checkpoint import load_tensors, save_tensors
from phonofilm.config import from_dict, read_toml
from phonofilm.errors import PhonofilmError
from phonofilm.training.grow import parts
from phonofilm.training.grow.__main__ import main
from phonofilm.training.grow.recipe import CODECS, GrowRecipe, beside
from phonofilm.training.tasks.base import open_task
from phonofilm.world.people import phrases

RECIPES = Path(__file__).parents[2] / "recipes"


def test_weights_are_split_and_joined(tmp_path: Path) -> None:
    tensors = {f"layer{i}.weight": torch.randn(50, 100) for i in range(20)}
    whole = save_tensors(tmp_path / "net.safetensors", tensors, {"kind": "Net", "config": "{}"})
    (tmp_path / "out").mkdir()
    files = parts.split(whole, tmp_path / "out", limit=250_000)
    assert len(files) > 2
    assert max(file.stat().st_size for file in files) <= 250_000
    again, facts = load_tensors(tmp_path / "out" / "net.safetensors")
    assert facts == {"kind": "Net", "config": "{}"}
    assert all(torch.equal(again[name], tensors[name]) for name in tensors)
    files[1].unlink()
    with pytest.raises(PhonofilmError, match="missing"):
        load_tensors(tmp_path / "out" / "net.safetensors")
    with pytest.raises(PhonofilmError, match="more than fit"):
        parts.split(whole, tmp_path / "out", limit=110_000)


def test_weights_that_fit_stay_one_file(tmp_path: Path) -> None:
    whole = save_tensors(tmp_path / "net.safetensors", {"w": torch.ones(3)}, {"kind": "Net"})
    (tmp_path / "out").mkdir()
    assert [file.name for file in parts.split(whole, tmp_path / "out")] == ["net.safetensors"]


def test_decoded_phrases_are_what_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phrase = phrases.phrases()[3]
    monkeypatch.setattr(phrases, "phrases", lambda: (phrase,))
    before = phrases.recorded(phrase)
    phrases.save_decoded(tmp_path / "decoded.npz")
    monkeypatch.setattr(phrases, "DECODED", tmp_path / "decoded.npz")
    monkeypatch.setattr("phonofilm.media.read_clip", None)
    for cache in (phrases._decoded, phrases._recording):
        cache.cache_clear()
    try:
        assert (phrases.recorded(phrase) == before).all()
    finally:
        phrases._decoded.cache_clear()


def test_minutes_must_be_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["codecs", "--minutes", "0", "-o", str(tmp_path)]) == 1
    assert "needs some time" in capsys.readouterr().err
    assert main(["network", "--minutes", "1", "-o", str(tmp_path), "--work", str(tmp_path / "w")]) == 1
    assert "--init" in capsys.readouterr().err


def test_all_that_a_run_needs_is_imported_without_a_media_library() -> None:
    """On a bare machine there is no PyAV; the world, the codecs' tasks and the generator's must do without it."""
    code = (
        "import sys; sys.modules['av'] = None\n"
        "import phonofilm.training.grow.stages, phonofilm.training.tasks.generator\n"
        "import phonofilm.training.tasks.audio_vae, phonofilm.training.tasks.video_vae\n"
        "from phonofilm import world\n"
        "[world.family(name) for name in world.FAMILIES]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_recipe_names_recipes_and_settings_that_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = RECIPES / "nano_gpu.toml"
    recipe = from_dict(GrowRecipe, read_toml(path))
    monkeypatch.chdir(tmp_path)
    for name in (*CODECS, "network"):
        with pytest.raises(PhonofilmError, match="data/"):  # all that is missing is the data
            open_task(beside(path, recipe.part(name)), recipe.part(name).set)
