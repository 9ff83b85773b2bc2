"""Several processes train the same network as one: same losses, same data, and a checkpoint that any number reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import in_processes, train_recipe, train_toy
from training_toy import ToyTask

from phonofilm.checkpoint import load_tensors
from phonofilm.errors import PhonofilmError
from phonofilm.training.loop import CHECKPOINT, fit
from phonofilm.training.optim.optimizers import OptimConfig
from phonofilm.training.parallel.processes import Processes
from tiny_latents import save_tiny_latents

SIGKILL = -9
TOY: dict[str, Any] = {"steps": 10, "batch": 4, "accumulate": 4, "optim": OptimConfig(warmup=3, muon="all")}


def logged(folder: Path, name: str = "loss") -> list[float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


def assert_close(one: Path, other: Path, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    """All that two checkpoints hold, to the rounding of sums in another order."""
    mine, theirs = (load_tensors(folder / CHECKPOINT)[0] for folder in (one, other))
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=rtol, atol=atol, msg=lambda m, name=name: f"{name}: {m}")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy, trained by one process."""
    folder = tmp_path_factory.mktemp("alone")
    task = ToyTask(folder, **TOY)
    fit(task)
    (folder / "batches-0.txt").write_text(" ".join(map(str, task.batches)))
    return folder


@pytest.mark.parametrize("placement", ["copies", "shares"])
def test_two_processes_are_one(tmp_path: Path, alone: Path, placement: str) -> None:
    assert in_processes(2, train_toy, tmp_path, TOY | {"placement": placement, "validate_every": 5}) == [0, 0]
    assert logged(tmp_path) == pytest.approx(logged(alone), abs=1e-5)
    assert logged(tmp_path, "gradient") == pytest.approx(logged(alone, "gradient"), rel=1e-4)
    assert len(logged(tmp_path, "validation/error")) == 2
    assert_close(tmp_path, alone)
    exported, wanted = (load_tensors(folder / "toy.safetensors") for folder in (tmp_path, alone))
    assert exported[1]["kind"] == wanted[1]["kind"]
    for name, tensor in wanted[0].items():
        torch.testing.assert_close(exported[0][name].float(), tensor.float(), rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 4), (4, 2)])
def test_killed_and_resumed_by_another_number(tmp_path: Path, alone: Path, first: int, then: int) -> None:
    placements = {1: "copies", 2: "shares", 4: "copies"}
    codes = in_processes(first, train_toy, tmp_path, TOY | {"placement": placements[first]}, 7 * 4 + 1)
    assert SIGKILL in codes
    assert 0 not in codes
    assert json.loads(load_tensors(tmp_path / CHECKPOINT)[1]["progress"])["step"] == 4
    settings = TOY | {"placement": placements[then]}
    assert in_processes(then, train_toy, tmp_path, settings, None, True) == [0] * then
    taken = sorted(int(n) for rank in range(then) for n in (tmp_path / f"batches-{rank}.txt").read_text().split())
    assert taken == list(range(16, 40)), "every batch once, and none of those before the checkpoint"
    assert logged(tmp_path) == pytest.approx(logged(alone), abs=1e-5)
    assert_close(tmp_path, alone)


def recipe(folder: Path, latents: Path, **run: Any) -> dict[str, Any]:
    """A tiny generator with all of its ways of seeing a batch: stems that are absent, chunks, one stream alone."""
    video = {"channels": 2, "width": 64, "heads": 2, "text_heads": 1, "layers": 2, "text_width": 8}
    audio = {"channels": 4, "width": 32, "heads": 1, "text_heads": 1, "layers": 2, "text_width": 8, "stems": 3}
    model = {"video": video, "audio": audio, "exchange_heads": 1, "exchange_head_width": 32}
    settings = {"output": str(folder), "batch": 2, "accumulate": 2, "precision": "fp32", "log_every": 1}
    return {
        "kind": "generator",
        "run": settings | {"validate_every": 0, "save_every": 0} | run,
        "data": {"folder": str(latents), "held_out": 2},
        "model": model,
        "optim": {"warmup": 3},
        "noise": {"without_video": 0.2, "without_audio": 0.2, "stems": {"absent": 0.3, "own_text": 0.3}},
        "chunks": {"share": 0.3, "seconds": 0.25},
        "samples": {"count": 0},
    }


def compare_generators(tmp_path: Path, placements: list[tuple[str, bool]], steps: int) -> None:
    latents = save_tiny_latents(tmp_path / "latents")
    train_recipe(recipe(tmp_path / "alone", latents, steps=steps))
    wanted = logged(tmp_path / "alone")
    assert len(wanted) == steps
    for placement, recompute in placements:
        folder = tmp_path / f"{placement}-{recompute}"
        values = recipe(folder, latents, steps=steps, placement=placement, recompute=recompute)
        assert in_processes(2, train_recipe, values) == [0, 0]
        assert logged(folder) == pytest.approx(wanted, abs=1e-4)
        assert_close(folder, tmp_path / "alone", rtol=1e-2, atol=1e-3)


def test_a_generator_in_shares_that_computes_again(tmp_path: Path) -> None:
    compare_generators(tmp_path, [("shares", True)], steps=8)


@pytest.mark.slow
def test_a_generator_over_fifty_steps(tmp_path: Path) -> None:
    compare_generators(tmp_path, [("copies", False), ("shares", False), ("shares", True)], steps=50)


def test_batches_that_cannot_be_shared() -> None:
    with pytest.raises(PhonofilmError, match=r"run\.accumulate = 3 .*multiple of 2"):
        Processes(1, 2).share(3)
    assert [list(Processes(rank, 2).share(4)) for rank in range(2)] == [[0, 2], [1, 3]]
