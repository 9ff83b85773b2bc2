"""The local denoiser by itself, and as the beginning of a network that has one."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from phonofilm.checkpoint import load_module
from phonofilm.errors import PhonofilmError
from phonofilm.model.detail.local import LocalDenoiser
from phonofilm.model.transformer import AVTransformer
from phonofilm.training.loop import fit
from phonofilm.training.tasks.base import make_task
from phonofilm.training.tasks.local import LocalRecipe
from tiny_latents import save_tiny_latents

RECIPES = Path(__file__).parents[2] / "recipes"
VIDEO = {"channels": 2, "width": 32, "heads": 2, "text_heads": 1, "layers": 2, "patch": [2, 4, 4], "text_width": 8}
AUDIO = {"channels": 4, "width": 24, "heads": 1, "text_heads": 1, "layers": 2, "stems": 3, "text_width": 8}


def _generator(store: Path, output: Path, video: dict[str, Any], **settings: Any) -> dict[str, Any]:
    estimating = {"detail": [2, 4], "estimates": True}
    return {
        "kind": "generator",
        "network": "transformer",
        "run": {"output": str(output), "steps": 2, "batch": 2, "precision": "fp32", **settings.pop("run", {})},
        "model": {"video": VIDEO | estimating | video, "audio": AUDIO},
        "data": {"folder": str(store), "held_out": 2},
        "samples": {"count": 0},
        **settings,
    }


def _local(store: Path, output: Path, **settings: Any) -> dict[str, Any]:
    run = {"output": str(output), "steps": 150, "batch": 4, "precision": "fp32", "validate_every": 1000}
    return {
        "kind": "local",
        "run": run,
        "data": {"folder": str(store), "held_out": 2},
        "width": 6,
        "blocks": 2,
        "optim": {"lr": 1e-2, "warmup": 1},
        **settings,
    }


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Tiny latents whose pictures are the same everywhere in a frame."""
    folder = save_tiny_latents(tmp_path / "latents")
    tensors = load_file(folder / "latents-00000.safetensors")
    tensors["video"] = tensors["video"][..., :1, :1].expand_as(tensors["video"]).contiguous()
    save_file(tensors, folder / "latents-00000.safetensors")
    return folder


def test_it_learns_what_the_clips_have_in_common(store: Path, tmp_path: Path) -> None:
    task = make_task(_local(store, tmp_path / "local"))
    trained = load_module(LocalDenoiser, fit(task))
    with torch.no_grad():
        fresh, learnt = (task.validate(model, 0, tmp_path) for model in (task.build(), trained))
    assert set(fresh) == {f"{name}_{level}" for name in ("error", "moving") for level in (0.8, 0.6, 0.4)}
    assert learnt["moving_0.8"] < 0.7 * fresh["moving_0.8"]


def test_a_generator_goes_on_with_it(store: Path, tmp_path: Path) -> None:
    older = fit(make_task(_generator(store, tmp_path / "older", {})))
    local = fit(make_task(_local(store, tmp_path / "local")))
    begun = {"run": {"init": str(older), "steps": 1}, "optim": {"lr": 0.0, "muon_lr": 0.0}, "local": str(local)}
    task = make_task(_generator(store, tmp_path / "newer", {"local": [6, 2]}, **begun))
    newer = load_module(AVTransformer, fit(task))
    for name, tensor in load_module(LocalDenoiser, local).state_dict().items():
        assert torch.equal(newer.state_dict()[f"video.detail.local.{name}"], tensor), name
    before, after = (task.validate(net, 0, tmp_path) for net in (load_module(AVTransformer, older), newer))
    assert before == pytest.approx(after, rel=1e-5)


def test_what_does_not_fit_is_said(store: Path, tmp_path: Path) -> None:
    older = fit(make_task(_generator(store, tmp_path / "older", {})))
    local = fit(make_task(_local(store, tmp_path / "local")))
    begun = {"run": {"init": str(older)}}
    with pytest.raises(PhonofilmError, match="give its weights as local"):
        fit(make_task(_generator(store, tmp_path / "without", {"local": [6, 2]}, **begun)))
    with pytest.raises(PhonofilmError, match=r"width=6.*width=8"):
        fit(make_task(_generator(store, tmp_path / "wider", {"local": [8, 2]}, **begun, local=str(local))))
    with pytest.raises(PhonofilmError, match="a local denoiser is one more estimate"):
        make_task(_generator(store, tmp_path / "plain", {"local": [6, 2], "estimates": False}))


@pytest.mark.parametrize("name", ["nano_128_student", "nano_128_live", "nano_128_levels", "experts"])
def test_recipes_that_go_on_from_the_generator_have_its_network(name: str) -> None:
    read = lambda name: tomllib.loads((RECIPES / f"{name}.toml").read_text())["model"]  # noqa: E731
    assert read(name) | {"experts": None} == read("nano_128") | {"experts": None}


def test_the_recipe_trains_the_denoiser_that_the_network_has() -> None:
    local = tomllib.loads((RECIPES / "nano_128_local.toml").read_text())
    video = tomllib.loads((RECIPES / "nano_128.toml").read_text())["model"]["video"]
    assert [local["width"], local["blocks"]] == video["local"]
    assert LocalRecipe.steps == video["patch"][0]
