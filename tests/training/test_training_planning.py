"""Plans on paper agree with what the same network takes, and fall as they should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training_parallel import recipe
from training_toy import ToyTask

from phonofilm.errors import PhonofilmError
from phonofilm.training.learner import Learner, Progress
from phonofilm.training.loop import fit
from phonofilm.training.planning.devices import GPUS, parse
from phonofilm.training.planning.paper import step_cost
from phonofilm.training.planning.plan import Plan, plan_of
from phonofilm.training.tasks.base import generator_for, make_task
from tiny_latents import save_tiny_latents

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_latents(tmp_path_factory.mktemp("planning") / "latents")


def task_of(folder: Path, latents: Path, **run: Any) -> Any:
    return make_task(recipe(folder, latents, **run))


def planned(folder: Path, latents: Path, count: int = 1, **run: Any) -> Plan:
    task = task_of(folder, latents, **run)
    return plan_of(task, step_cost(task, CPU), count, GPUS["h100"], 0.4)


@pytest.mark.parametrize("precision", ["fp32", "autocast"])
def test_memory_on_paper_is_what_is_there(tmp_path: Path, latents: Path, precision: str) -> None:
    task = task_of(tmp_path, latents, accumulate=1, precision=precision)
    plan = plan_of(task, step_cost(task, CPU), 1, GPUS["h100"], 0.4)
    learner = Learner(task, task.build(), CPU)
    batch = next(b for n in range(64) if len(b := task.batch(n)) == 4)
    kept: dict[int, int] = {p.untyped_storage().data_ptr(): 0 for p in learner.model.parameters()}
    alive = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes())
        alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), learner.autocast():
        task.loss(learner.model, batch, generator_for("plan"))
    assert plan.memory["activations"] == pytest.approx(sum(kept.values()), rel=0.1)
    learner.step(Progress(), [(0, batch)])
    sizes = {name: tensor.nbytes for name, tensor in learner.tensors().items()}
    for part, begin in (("weights", "model."), ("average", "ema."), ("optimiser", "optim.")):
        there = sum(size for name, size in sizes.items() if name.startswith(begin))
        assert plan.memory[part] == pytest.approx(there, rel=0.01)


def test_shares_and_computing_again_take_less(tmp_path: Path, latents: Path) -> None:
    copies = planned(tmp_path, latents, 4, accumulate=4)
    shares = planned(tmp_path, latents, 4, accumulate=4, placement="shares")
    for part in ("weights", "gradients", "average", "optimiser"):
        assert shares.memory[part] == pytest.approx(copies.memory[part] / 4)
    assert shares.memory["gathered"] > copies.memory["gathered"] == 0
    again = planned(tmp_path, latents, 4, accumulate=4, recompute=True)
    assert again.memory["activations"] < 0.8 * copies.memory["activations"]
    assert again.seconds["computing"] == pytest.approx(4 / 3 * copies.seconds["computing"])
    twice = planned(tmp_path, latents, 2, accumulate=4)
    assert twice.seconds["computing"] == pytest.approx(2 * copies.seconds["computing"])
    larger = planned(tmp_path, latents, 4, accumulate=4, batch=4)
    assert larger.seconds["computing"] == pytest.approx(2 * copies.seconds["computing"], rel=0.02)
    assert "4 x H100, copies" in copies.lines()[0]


def test_the_share_of_the_peak_is_logged_where_it_is_known(tmp_path: Path, latents: Path) -> None:
    fit(task_of(tmp_path / "known", latents, steps=2, peak_tflops=1.0))
    lines = (tmp_path / "known" / "log.jsonl").read_text().splitlines()
    line = next(line for line in map(json.loads, lines) if "loss" in line)
    task = task_of(tmp_path, latents)
    per_clip = 3 * step_cost(task, CPU).flops / 2
    assert line["tflops"] == pytest.approx(line["clips_per_second"] * per_clip / 1e12)
    assert line["mfu"] == pytest.approx(line["tflops"])
    fit(task_of(tmp_path / "unknown", latents, steps=1))
    assert "mfu" not in (tmp_path / "unknown" / "log.jsonl").read_text()


def test_what_cannot_be_planned(tmp_path: Path) -> None:
    class Codec(ToyTask):
        def loss(self, model, batch, generator):  # type: ignore[no-untyped-def]
            return model.encode(batch["x"]), {}

    with pytest.raises(PhonofilmError, match="cannot be planned: give a recipe of a generator"):
        step_cost(Codec(tmp_path), CPU)
    for wrong in ("8xZ80", "0xH100", "H100x8", ""):
        with pytest.raises(PhonofilmError, match="say how many of what, as 8xH100"):
            parse(wrong)
    assert parse("8xh100") == (8, GPUS["h100"])
    assert parse("cpu")[1].tflops > 0
