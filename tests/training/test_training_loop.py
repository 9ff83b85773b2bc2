"""The loop: resumed runs are the same run, interrupted ones lose nothing."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from training_toy import ToyNetwork, ToyTask

from phonofilm.checkpoint import load_module, load_tensors
from phonofilm.errors import Cancelled, PhonofilmError
from phonofilm.training.loop import CHECKPOINT, fit
from phonofilm.training.optim.optimizers import OptimConfig


class PowerCutError(Exception):
    """Nothing is saved any more."""


def power_cut_at(step: int):  # type: ignore[no-untyped-def]
    def cut(current: int) -> None:
        if current == step:
            raise PowerCutError

    return cut


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_tensors(folder / CHECKPOINT)[0]


def assert_same(one: Path, other: Path) -> None:
    """Weights, averages and optimiser state are equal bit for bit; so is the export."""
    mine, theirs = tensors(one), tensors(other)
    assert mine.keys() == theirs.keys()
    assert any(name.startswith("optim.adamw") for name in mine)
    for name, tensor in mine.items():
        assert torch.equal(tensor, theirs[name]), name
    exports = [load_tensors(folder / "toy.safetensors")[0] for folder in (one, other)]
    assert all(torch.equal(tensor, exports[1][name]) for name, tensor in exports[0].items())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optim": OptimConfig(muon="all", warmup=3)},
        {"precision": "autocast", "accumulate": 2},
        {"optim": OptimConfig(muon="none", schedule="cosine")},
        {"prefetch": 2},
    ],
    ids=["fp32", "muon-all", "autocast-accumulate", "adamw-cosine", "prefetch"],
)
def test_killed_and_resumed_is_the_same_bit_for_bit(tmp_path: Path, settings: dict[str, Any]) -> None:
    fit(ToyTask(tmp_path / "whole", **settings))
    stop = 7 * settings.get("accumulate", 1)
    with pytest.raises(PowerCutError):
        fit(ToyTask(tmp_path / "cut", power_cut_at(stop), **settings))
    assert json.loads(load_tensors(tmp_path / "cut" / CHECKPOINT)[1]["progress"])["step"] == 4
    fit(ToyTask(tmp_path / "cut", **settings), resume=True)
    assert_same(tmp_path / "whole", tmp_path / "cut")


def test_the_log_of_a_resumed_run_tells_every_step_once(tmp_path: Path) -> None:
    fit(ToyTask(tmp_path / "whole"))
    with pytest.raises(PowerCutError):
        fit(ToyTask(tmp_path / "cut", power_cut_at(7)))
    fit(ToyTask(tmp_path / "cut"), resume=True)
    lines = [
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("whole", "cut")
    ]
    assert [line["step"] for line in lines[1]] == [*range(1, 11), 10]
    assert [line.get("loss") for line in lines[0]] == [line.get("loss") for line in lines[1]]


def test_an_interrupt_saves_after_the_step_and_says_how_to_go_on(tmp_path: Path) -> None:
    fit(ToyTask(tmp_path / "whole"))

    def interrupt(step: int) -> None:
        if step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Cancelled, match=r"step 6.*--resume"):
        fit(ToyTask(tmp_path / "cut", interrupt))
    assert signal.getsignal(signal.SIGINT) is before
    again = ToyTask(tmp_path / "cut")
    fit(again, resume=True)
    assert again.batches == [6, 7, 8, 9]
    assert_same(tmp_path / "whole", tmp_path / "cut")


def test_a_batch_is_taken_once_for_each_step_and_accumulation(tmp_path: Path) -> None:
    task = ToyTask(tmp_path, steps=3, accumulate=4)
    fit(task)
    assert task.batches == list(range(12))


def test_accumulated_small_batches_are_a_large_one(tmp_path: Path) -> None:
    """Dropout and noise aside, which differ by place; here the gradient's course decides alone."""

    class Quiet(ToyTask):
        def build(self) -> ToyNetwork:
            network = super().build()
            network.dropout.p = 0.0
            return network

        def loss(self, model, batch, generator):  # type: ignore[no-untyped-def]
            loss = (model(batch["x"]) - batch["x"].square()).square().mean()
            return loss, {}

    fit(Quiet(tmp_path / "large", steps=4, batch=8))
    fit(Quiet(tmp_path / "small", steps=4, batch=4, accumulate=2))
    large, small = tensors(tmp_path / "large"), tensors(tmp_path / "small")
    for name, tensor in large.items():
        if name.startswith("model."):
            torch.testing.assert_close(tensor, small[name], atol=2e-3, rtol=2e-2)


def test_training_learns_and_the_export_is_the_finished_average(tmp_path: Path) -> None:
    path = fit(ToyTask(tmp_path, steps=300, log_every=50, validate_every=100, export="float32"))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    errors = [line["validation/error"] for line in lines if "validation/error" in line]
    assert len(errors) == 3
    assert errors[-1] < 0.5 * errors[0]
    network = load_module(ToyNetwork, path)
    average = tensors(tmp_path)
    assert torch.equal(network.enter.weight, average["ema.enter.weight"])
    assert network.seen == 50, "finish() has the last word"
    metadata = load_tensors(path)[1]
    assert metadata["data"] == "toy"
    assert json.loads(metadata["recipe"])["run"]["steps"] == 300


def test_a_time_limit_ends_the_run_with_the_learning_rate_down(tmp_path: Path) -> None:
    fit(ToyTask(tmp_path, steps=10**9, max_minutes=0.01, log_every=10**6, save_every=0))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] < 10**6
    progress = json.loads(load_tensors(tmp_path / CHECKPOINT)[1]["progress"])
    assert 0.6 <= progress["seconds"] < 20
    assert fit(ToyTask(tmp_path, steps=10**9, max_minutes=0.01, save_every=0), resume=True).exists()


def test_weights_can_be_started_from(tmp_path: Path) -> None:
    first = fit(ToyTask(tmp_path / "first", export="float32"))
    frozen = OptimConfig(lr=0.0, muon_lr=0.0)
    fit(ToyTask(tmp_path / "second", init=first, steps=1, optim=frozen, seed=9))
    start, finish = load_tensors(first)[0], tensors(tmp_path / "second")
    assert all(torch.equal(tensor, finish[f"model.{name}"]) for name, tensor in start.items())


def test_a_folder_with_a_run_is_not_overwritten(tmp_path: Path) -> None:
    fit(ToyTask(tmp_path))
    with pytest.raises(PhonofilmError, match="--resume"):
        fit(ToyTask(tmp_path))


def test_a_checkpoint_of_another_recipe_is_refused_but_a_longer_run_is_not(tmp_path: Path) -> None:
    fit(ToyTask(tmp_path, steps=2))
    with pytest.raises(PhonofilmError, match=r"run\.batch"):
        fit(ToyTask(tmp_path, batch=4), resume=True)
    task = ToyTask(tmp_path, steps=3)
    fit(task, resume=True)
    assert task.batches == [2]


def test_other_weights_cannot_be_started_from(tmp_path: Path) -> None:
    first = fit(ToyTask(tmp_path / "first"))
    task = ToyTask(tmp_path / "second", init=first)
    task.build = lambda: torch.nn.Linear(4, 4)  # type: ignore[method-assign,assignment,return-value]
    with pytest.raises(PhonofilmError, match="does not fit"):
        fit(task)


def test_divergence_ends_the_run_and_one_bad_batch_does_not(tmp_path: Path) -> None:
    class Bad(ToyTask):
        def __init__(self, folder: Path, bad: set[int]) -> None:
            super().__init__(folder, steps=12)
            self.bad = bad

        def batch(self, step: int) -> dict[str, torch.Tensor]:
            batch = super().batch(step)
            return {"x": batch["x"] * torch.inf} if step in self.bad else batch

    fit(Bad(tmp_path / "one", {3}))
    assert all(tensor.isfinite().all() for tensor in tensors(tmp_path / "one").values())
    with pytest.raises(PhonofilmError, match="diverged"):
        fit(Bad(tmp_path / "all", set(range(3, 12))))


def test_an_impossible_device_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(PhonofilmError, match="device=cpu"):
        fit(ToyTask(tmp_path, device="cuda:99"))
