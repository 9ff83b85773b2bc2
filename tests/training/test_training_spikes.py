"""Gradients that are far longer than usual: a step is not taken, and a row of them is taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from test_training_loop import PowerCutError, power_cut_at
from training_toy import ToyTask

from phonofilm.checkpoint import load_tensors
from phonofilm.errors import PhonofilmError
from phonofilm.training.loop import CHECKPOINT, fit
from phonofilm.training.optim.optimizers import OptimConfig

OPTIM = OptimConfig(warmup=3, spike=20.0)


class Wild(ToyTask):
    """The toy with batches at which the loss is a thousand times what it should be."""

    def __init__(self, folder: Path, wild: set[int], **settings: Any) -> None:
        super().__init__(folder, **({"optim": OPTIM, "steps": 40} | settings))
        self.wild = wild

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        return super().batch(step) | {"wild": torch.tensor(1e3 if step in self.wild else 1.0)}

    def loss(self, model, batch, generator):  # type: ignore[no-untyped-def]
        loss, metrics = super().loss(model, batch, generator)
        return loss * batch["wild"], metrics


def state(folder: Path) -> dict[str, torch.Tensor]:
    return load_tensors(folder / CHECKPOINT)[0]


def progress(folder: Path) -> dict[str, Any]:
    return json.loads(load_tensors(folder / CHECKPOINT)[1]["progress"])


def test_a_spike_is_skipped_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(Wild(tmp_path, {20, 33}, steps=36))
    said = capsys.readouterr().err
    assert "note: step 20 was skipped: its gradient is" in said
    assert "2 of 36 steps were skipped" in said
    assert (progress(tmp_path)["skipped"], progress(tmp_path)["spikes"]) == (2, 0)
    fit(Wild(tmp_path / "never", {20}, steps=21, optim=OptimConfig(warmup=3)))
    assert progress(tmp_path / "never")["skipped"] == 0, "without the setting every step is taken"
    assert progress(tmp_path / "never")["norms"] == []


def test_a_row_of_them_takes_the_run_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Saved after step 20, of which the next is not a spike yet; after four spikes its weights are there again."""
    fit(Wild(tmp_path, {21, 22, 23, 24}, steps=25, save_every=20))
    assert "weights are those of step 20 again, and the run goes on with the batches after step 24" in (
        capsys.readouterr().err
    )
    before = Wild(tmp_path / "before", set(), steps=25, save_every=20)
    before.on_batch = power_cut_at(21)
    with pytest.raises(PowerCutError):
        fit(before)
    saved = state(tmp_path / "before")
    for name, tensor in state(tmp_path).items():
        if name.startswith("model.") or name.endswith("momentum_buffer"):
            assert torch.equal(tensor, saved[name]), name


def test_resumed_in_the_middle_of_a_row_is_the_same(tmp_path: Path) -> None:
    wild = {18, 19, 20, 21}
    fit(Wild(tmp_path / "whole", wild, steps=30, save_every=10))
    cut = Wild(tmp_path / "cut", wild, steps=30, save_every=10)
    cut.on_batch = power_cut_at(20)
    with pytest.raises(PowerCutError):
        fit(cut)
    assert progress(tmp_path / "cut")["spikes"] == 2
    fit(Wild(tmp_path / "cut", wild, steps=30, save_every=10), resume=True)
    for name, tensor in state(tmp_path / "whole").items():
        assert torch.equal(tensor, state(tmp_path / "cut")[name]), name


def test_too_many_in_a_row_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(PhonofilmError, match=r"diverged at step 35: 16 steps in a row.*lower optim\.lr"):
        fit(Wild(tmp_path, set(range(20, 40))))
    with pytest.raises(PhonofilmError, match=r"optim\.spike = 0\.5 is not possible"):
        OptimConfig(spike=0.5)
