"""A network with experts trains: from weights without, balanced, and the same when resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from phonofilm.checkpoint import load_module, load_tensors
from phonofilm.config import to_dict
from phonofilm.model.moe.config import ExpertsConfig
from phonofilm.model.moe.layer import RoutedExperts
from phonofilm.model.transformer import AVTransformer
from phonofilm.training.loop import fit
from phonofilm.training.optim.muon import orthogonalised
from phonofilm.training.optim.optimizers import OptimConfig, Optimisers
from phonofilm.training.tasks.base import make_task
from tiny_latents import save_tiny_latents


def recipe(latents: Path, output: Path, experts: ExpertsConfig, steps: int = 6, **run: Any) -> dict[str, Any]:
    video = {"channels": 2, "width": 32, "heads": 1, "text_heads": 1, "layers": 2, "text_width": 8, "patch": [2, 4, 4]}
    audio = {"channels": 4, "width": 32, "heads": 1, "text_heads": 1, "layers": 2, "text_width": 8, "stems": 3}
    running = {"output": str(output), "steps": steps, "batch": 2, "precision": "fp32", "save_every": 3}
    return {
        "kind": "generator",
        "run": {**running, "validate_every": steps, "log_every": 1, "export": "float32", **run},
        "data": {"folder": str(latents), "held_out": 2},
        "model": {
            "video": video,
            "audio": audio,
            "exchange_heads": 1,
            "exchange_head_width": 32,
            "experts": to_dict(experts),
        },
    }


@pytest.fixture
def latents(tmp_path: Path) -> Path:
    return save_tiny_latents(tmp_path / "latents")


EXPERTS = ExpertsConfig(count=4, used=2, shared=0.5, width=0.25, rate=0.01)


def test_weights_without_experts_become_some_that_have_them(latents: Path, tmp_path: Path) -> None:
    dense = fit(make_task(recipe(latents, tmp_path / "dense", ExpertsConfig(), steps=3)))
    still = {"optim": {"lr": 0.0, "muon_lr": 0.0, "weight_decay": 0.0}}
    values = recipe(latents, tmp_path / "experts", EXPERTS, steps=1, init=str(dense)) | still
    routed = fit(make_task(values))
    lines = [
        [json.loads(line) for line in (tmp_path / run / "log.jsonl").read_text().splitlines()]
        for run in ("dense", "experts")
    ]
    ends = [next(line for line in reversed(one) if any("validation" in key for key in line)) for one in lines]
    for name, value in ends[0].items():
        if name.startswith("validation"):
            assert abs(ends[1][name] - value) < 1e-4 * abs(value), name
    assert any("least_used" in line for line in lines[1])
    assert load_module(AVTransformer, routed).config.experts == EXPERTS


def test_a_resumed_run_is_the_same(latents: Path, tmp_path: Path) -> None:
    even = {"optim": {"cooldown": 0.0}}  # so that the rate does not know how long a run is
    whole = fit(make_task(recipe(latents, tmp_path / "whole", EXPERTS) | even))
    half = recipe(latents, tmp_path / "parts", EXPERTS) | even
    fit(make_task({**half, "run": {**half["run"], "steps": 3}}))
    parts = fit(make_task(half), resume=True)
    one, other = load_tensors(whole)[0], load_tensors(parts)[0]
    assert any(name.endswith("balance") and value.any() for name, value in one.items())
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_muon_moves_each_expert_by_itself() -> None:
    torch.manual_seed(0)
    network = nn.ModuleList([RoutedExperts(ExpertsConfig(count=3, used=1), 16, 24, "gelu", True)])
    layer: Any = network[0]
    optimisers = Optimisers(network, OptimConfig(muon="matrices", weight_decay=0.0, clip=1e9))
    assert set(optimisers.matrices) == {f"0.{name}.{i}" for name in ("up", "down") for i in range(3)}
    assert set(optimisers.parts["adamw"][1]) == {"0.router", "0.up_bias"}
    before, gradient = layer.up.detach().clone(), torch.randn_like(layer.up)
    layer.up.grad, layer.down.grad = gradient.clone(), torch.zeros_like(layer.down)
    optimisers.step(1.0)
    moved = before - layer.up.detach()
    alone = torch.cat([orthogonalised(gradient[i : i + 1], (3.4445, -4.7750, 2.0315), 5, 1e-7) for i in range(3)])
    assert torch.allclose(moved / moved.norm(), alone.float() / alone.float().norm(), atol=5e-3)
    stored = dict(optimisers.tensors())
    assert "muon.0.up.2.momentum_buffer" in stored
    Optimisers(network, OptimConfig(muon="matrices")).load(stored)
