"""The loop: resumed runs are the same run, interrupted ones lose nothing."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_toy import ToyNetwork, ToyTask

from phonofilm.checkpoint import load_module, load_tensors, save_tensors
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


class Bad(ToyTask):
    """Some batches are not finite, though the data is."""

    def __init__(self, folder: Path, bad: set[int], **settings: Any) -> None:
        super().__init__(folder, **({"steps": 12} | settings))
        self.bad = bad

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        batch = super().batch(step)
        return {"x": batch["x"] * torch.inf} if step in self.bad else batch


def test_divergence_ends_the_run_and_one_bad_batch_does_not(tmp_path: Path) -> None:
    fit(Bad(tmp_path / "one", {3}))
    assert all(tensor.isfinite().all() for tensor in tensors(tmp_path / "one").values())
    with pytest.raises(PhonofilmError, match=r"diverged at step 10: 8 steps in a row.*lower optim\.lr"):
        fit(Bad(tmp_path / "all", set(range(3, 12))))
    with pytest.raises(PhonofilmError, match="no step could be taken") as caught:
        fit(Bad(tmp_path / "first", set(range(12))))
    assert "optim.lr" not in str(caught.value)


def test_an_impossible_device_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(PhonofilmError, match="no device 'cuda:99'"):
        fit(ToyTask(tmp_path, device="cuda:99"))


def logged(folder: Path) -> list[dict[str, Any]]:
    """The log, which must be strict JSON."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in (folder / "log.jsonl").read_text().splitlines()]


class TestSkippedSteps:
    def test_they_are_counted_and_told_with_the_row(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        task = ToyTask(tmp_path, steps=14, log_every=1000)
        task.inputs[37] = torch.nan
        hit = {step for step in range(14) if 37 in task._rows(step)}
        assert 0 < len(hit) < 14
        fit(task)
        said = capsys.readouterr().err
        assert f"note: step {min(hit)} was skipped: values are not finite in row 37 of toy" in said
        assert f"{len(hit)} of 14 steps were skipped, with values that are not finite in row 37 of toy" in said
        assert logged(tmp_path)[0]["skipped"] == len(hit)
        assert json.loads(load_tensors(tmp_path / CHECKPOINT)[1]["progress"])["skipped"] == len(hit)
        assert all(tensor.isfinite().all() for tensor in tensors(tmp_path).values())

    def test_where_every_batch_has_one_the_data_is_blamed(self, tmp_path: Path) -> None:
        task = ToyTask(tmp_path, steps=12, batch=50)
        task.inputs[3] = torch.inf
        with pytest.raises(PhonofilmError, match="values are not finite in row 3 of toy; mend these clips") as caught:
            fit(task)
        assert "optim.lr" not in str(caught.value)
        assert logged(tmp_path)[0]["loss"] is None

    def test_prefetched_batches_are_looked_at_too(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        task = ToyTask(tmp_path, steps=14, prefetch=2, accumulate=2)
        task.inputs[37] = torch.nan
        fit(task)
        assert "row 37 of toy" in capsys.readouterr().err

    def test_a_validation_that_is_not_finite_names_the_clips(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        task = ToyTask(tmp_path, steps=1)
        task.inputs[next(row for row in range(50) if row not in task._rows(0))] = torch.nan
        fit(task)
        assert "note: validation/error is not finite: values are not finite in row" in capsys.readouterr().err
        assert logged(tmp_path)[-1] == {"step": 1, "validation/error": None}


class TestResume:
    @pytest.mark.parametrize(
        "change",
        [
            {"export": "float32"},
            {"export": "bfloat16"},
            {"device": "cpu"},
            {"max_minutes": 5.0},
            {"log_every": 3},
            {"save_every": 1},
            {"validate_every": 2},
            {"prefetch": 1},
            {"threads": 1},
            {"init": Path("gone.safetensors")},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_what_training_does_not_depend_on_may_change(self, tmp_path: Path, change: dict[str, Any]) -> None:
        fit(ToyTask(tmp_path, steps=2, device="auto"))
        path = fit(ToyTask(tmp_path, **({"steps": 3, "device": "auto"} | change)), resume=True)
        load_module(ToyNetwork, path)
        assert json.loads(load_tensors(path)[1]["recipe"])["run"]["init"] is None, "what the run began with"

    def test_so_may_what_a_task_says(self, tmp_path: Path) -> None:
        fit(ToyTask(tmp_path, steps=2))
        task = ToyTask(tmp_path, steps=3)
        task.recipe = replace(task.recipe, model=replace(task.recipe.model, note="other"))
        fit(task, resume=True)
        task.recipe = replace(task.recipe, model=replace(task.recipe.model, width=25))
        with pytest.raises(PhonofilmError, match=r"made with another model\.width"):
            fit(task, resume=True)

    @pytest.mark.parametrize("change", [{"batch": 4}, {"seed": 1}, {"accumulate": 2}, {"precision": "autocast"}])
    def test_what_it_depends_on_may_not(self, tmp_path: Path, change: dict[str, Any]) -> None:
        fit(ToyTask(tmp_path, steps=2))
        with pytest.raises(PhonofilmError, match=rf"another run\.{next(iter(change))}"):
            fit(ToyTask(tmp_path, steps=3, **change), resume=True)
        with pytest.raises(PhonofilmError, match=r"another optim\.lr"):
            fit(ToyTask(tmp_path, steps=3, optim=OptimConfig(warmup=3, lr=0.5)), resume=True)

    def test_a_rate_that_goes_up_again_is_told_and_logged(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fit(ToyTask(tmp_path, steps=100, save_every=0))
        capsys.readouterr()
        fit(ToyTask(tmp_path, steps=200, save_every=0), resume=True)
        said = capsys.readouterr().err
        assert "the learning rate goes up again, from 5.3e-05 to 0.001 (19 times)" in said
        rates = {line["step"]: line["learning_rate"] for line in logged(tmp_path) if "learning_rate" in line}
        assert rates[1] == pytest.approx(1e-3 / 3)
        assert rates[100] == pytest.approx(5.27e-5, rel=1e-2)
        assert rates[101] == pytest.approx(1e-3)
        assert logged(tmp_path)[0]["muon_learning_rate"] == pytest.approx(1.5e-3 / 3)

    def test_an_unchanged_run_says_nothing_of_the_rate(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(PowerCutError):
            fit(ToyTask(tmp_path, power_cut_at(7)))
        fit(ToyTask(tmp_path), resume=True)
        assert "learning rate" not in capsys.readouterr().err

    def test_tensorboard_has_the_steps_of_the_log(self, tmp_path: Path) -> None:
        pytest.importorskip("tensorboard", reason="TensorBoard needs the extra: train")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        fit(ToyTask(tmp_path, steps=4, validate_every=2))
        with pytest.raises(PowerCutError):  # saved at 8, killed at 9
            fit(ToyTask(tmp_path, power_cut_at(9), steps=12, validate_every=2), resume=True)
        fit(ToyTask(tmp_path, steps=12, validate_every=2), resume=True)
        board = EventAccumulator(str(tmp_path / "tensorboard"))
        board.Reload()
        for name in ("loss", "validation/error", "learning_rate"):
            lines = [line["step"] for line in logged(tmp_path) if name in line]
            assert [event.step for event in board.Scalars(name)] == lines
        assert [line["step"] for line in logged(tmp_path) if "loss" in line] == list(range(1, 13))

    @pytest.mark.parametrize("cut", [4, 8, 10], ids=["due", "due-again", "last"])
    def test_a_validation_that_was_missed_is_made(self, tmp_path: Path, cut: int) -> None:
        class Killed(ToyTask):
            def validate(self, model: torch.nn.Module, step: int, folder: Path) -> dict[str, float]:
                if step == cut:
                    raise PowerCutError
                return super().validate(model, step, folder)

        fit(ToyTask(tmp_path / "whole", validate_every=4))
        with pytest.raises(PowerCutError):
            fit(Killed(tmp_path / "cut", validate_every=4))
        fit(ToyTask(tmp_path / "cut", validate_every=4), resume=True)
        found = [
            [(line["step"], line["validation/error"]) for line in logged(tmp_path / name) if "validation/error" in line]
            for name in ("whole", "cut")
        ]
        assert [step for step, _ in found[0]] == [4, 8, 10]
        assert found[0] == found[1]
        fit(ToyTask(tmp_path / "cut", validate_every=4), resume=True)
        assert len(logged(tmp_path / "cut")) == 13, "what was made is not made again"

    def test_weights_that_do_not_fit_the_export_are_exported_wider(self, tmp_path: Path) -> None:
        fit(ToyTask(tmp_path, steps=2))
        state, metadata = load_tensors(tmp_path / CHECKPOINT)
        state["ema.enter.weight"][0, 0] = 1e5
        save_tensors(tmp_path / CHECKPOINT, state, metadata)
        with pytest.raises(PhonofilmError, match=r"not finite as torch\.float16.*--resume --set run\.export=float32"):
            fit(ToyTask(tmp_path, steps=2), resume=True)
        path = fit(ToyTask(tmp_path, steps=2, export="float32"), resume=True)
        assert load_module(ToyNetwork, path).enter.weight[0, 0] == 1e5

    @pytest.mark.parametrize(
        "metadata",
        [
            {},
            {"recipe": "7", "progress": "{}"},
            {"recipe": "{}", "progress": "[]"},
            {"recipe": "{}", "progress": '{"step": -1}'},
            {"recipe": "{}", "progress": '{"step": "one"}'},
            {"recipe": "no", "progress": "{}"},
        ],
        ids=["none", "number", "list", "negative", "text", "no-json"],
    )
    def test_a_file_that_is_no_checkpoint(self, tmp_path: Path, metadata: dict[str, str]) -> None:
        save_tensors(tmp_path / CHECKPOINT, {"x": torch.zeros(1)}, metadata)
        with pytest.raises(PhonofilmError, match=r"choose another run\.output"):
            fit(ToyTask(tmp_path), resume=True)

    def test_optimiser_state_of_another_shape(self, tmp_path: Path) -> None:
        fit(ToyTask(tmp_path, steps=2))
        state, metadata = load_tensors(tmp_path / CHECKPOINT)
        name = next(name for name in state if name.endswith("exp_avg"))
        save_tensors(tmp_path / CHECKPOINT, {**state, name: torch.zeros(3, 3, 3)}, metadata)
        with pytest.raises(PhonofilmError, match="optimiser"):
            fit(ToyTask(tmp_path, steps=3), resume=True)

    def test_a_log_that_is_damaged_is_gone_on_with(self, tmp_path: Path) -> None:
        fit(ToyTask(tmp_path, steps=2))
        with (tmp_path / "log.jsonl").open("ab") as log:
            log.write(b'7\n"x"\n{"step": "a"}\n{"step": NaN}\n\xff\n{"step": 2, "loss": NaN}\n{"step": 2, "lo')
        fit(ToyTask(tmp_path, steps=3), resume=True)
        assert [line["step"] for line in logged(tmp_path)] == [1, 2, 2, 2, 3, 3]
