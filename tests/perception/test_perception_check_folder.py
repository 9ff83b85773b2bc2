"""The parity checker itself: it finds faults, hides none, and runs no code from a fixture."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from phonofilm.errors import PhonofilmError
from phonofilm.parity.fixtures import check_folder
from phonofilm.parity.recipe import evaluate, gain_of, pseudo_tensor, pseudo_weights
from phonofilm.perception.common import ported_checkpoints

DRAW = "rng=numpy.random.Generator(numpy.random.PCG64(7)); x=rng.standard_normal((2,3),dtype=numpy.float32)"


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x):
        return self.layer(x)


def run_tiny(fixture, device):
    network = ported_checkpoints.build(Tiny, fixture.weights(), device)
    return {"y": network(torch.from_numpy(fixture.draw("x")).to(device))}


def write(folder, name, change=0.0, **fields):
    keys = [["layer.weight", [4, 3], "float32"], ["layer.bias", [4], "float32"]]
    weights = pseudo_weights(keys)
    y = evaluate(DRAW)["x"] @ weights["layer.weight"].T + weights["layer.bias"] + np.float32(change)
    description = {
        "name": name,
        "recipe": {"weight_gain": 1.0},
        "keys": keys,
        "inputs": {"x": {"numpy": DRAW}},
        "outputs": {"y": {}},
        "determinism": {"tolerance_hint": {"y": {"atol": 1e-5}}},
        **fields,
    }
    (folder / f"{name}.json").write_text(json.dumps(description))
    np.savez(folder / f"{name}.npz", y=y, probe_inside=y)


def test_anyone_can_add_a_fixture_and_a_runner(tmp_path):
    write(tmp_path, "tiny")
    write(tmp_path, "tiny_again", network="tiny")
    write(tmp_path, "wrong", change=1e-3, network="tiny")
    write(tmp_path, "stranger")
    write(tmp_path, "loose", network="tiny", keys=[["layer.weight", [4, 3], "float32"]])
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "notes.json").write_text("{}")
    reports = {report["name"]: report for report in check_folder(tmp_path, {"tiny": run_tiny})}
    assert json.loads(json.dumps(reports)) == reports
    status = {name: report["status"] for name, report in reports.items()}
    assert status == {
        "tiny": "pass",
        "tiny_again": "pass",
        "wrong": "fail",
        "stranger": "no port",
        "loose": "error",
        "empty": "error",
    }
    assert [report["ok"] for report in reports.values()].count(True) == 2
    assert reports["wrong"]["outputs"][0]["max_abs_diff"] == pytest.approx(1e-3, rel=1e-2)
    assert "layer.bias" in reports["loose"]["error"]
    assert reports["empty"]["error"].count("\n") == 0


def test_missing_and_misshapen_outputs_fail(tmp_path):
    write(tmp_path, "tiny")
    for outputs, problem in (({}, "missing"), ({"y": np.zeros(3)}, "shape (3,), not (2, 4)")):
        (report,) = check_folder(tmp_path, {"tiny": lambda fixture, device, outputs=outputs: outputs})
        assert report["status"] == "fail"
        assert report["outputs"][0]["problem"] == problem


def test_a_nan_fails(tmp_path):
    write(tmp_path, "tiny")
    (report,) = check_folder(tmp_path, {"tiny": lambda fixture, device: {"y": np.full((2, 4), np.nan)}})
    assert report["status"] == "fail"


def test_folders_that_cannot_be_checked(tmp_path):
    with pytest.raises(PhonofilmError, match="not a folder"):
        check_folder(tmp_path / "none", {})
    with pytest.raises(PhonofilmError, match="no parity fixture"):
        check_folder(tmp_path, {})
    write(tmp_path, "tiny")
    with pytest.raises(PhonofilmError, match="no fixture other; it holds tiny"):
        check_folder(tmp_path, {}, names=["other"])


@pytest.mark.parametrize(
    "code",
    [
        "x = __import__('os').system('true')",
        "x = numpy.load('/etc/passwd')",
        "x = numpy.zeros(3).tofile('stolen')",
        "x = numpy.zeros.__globals__",
        "x = (lambda: 1)()",
        "x = [i for i in (1, 2)]",
        "import os",
        "x = open('stolen', 'w')",
        "not python at all",
    ],
)
def test_inputs_are_read_not_executed(code):
    with pytest.raises(PhonofilmError, match="a fixture's input"):
        evaluate(code)


def test_inputs_equal_numpy():
    line = "t=numpy.arange(8)/4; y=(0.5*numpy.sin(2*numpy.pi*t)-t**2).astype(numpy.float32)[1:7:2]  # a comment"
    t = np.arange(8) / 4
    wanted = (0.5 * np.sin(2 * np.pi * t) - t**2).astype(np.float32)[1:7:2]
    np.testing.assert_array_equal(evaluate(line)[""], wanted)


def test_recipe_rules():
    assert pseudo_tensor("a.running_var", (1000,), 1.0).min() >= 1.0
    assert pseudo_tensor("norm.weight", (4000,), 1.0).mean() == pytest.approx(1.0, abs=0.01)
    assert pseudo_tensor("norm.bias", (4000,), 1.0).std() == pytest.approx(0.02, rel=0.05)
    assert pseudo_tensor("cls_token", (1, 1, 4000), 1.0).std() == pytest.approx(0.02, rel=0.05)
    assert pseudo_tensor("attn.in_proj_weight", (100, 400), 1.0).std() == pytest.approx(0.05, rel=0.05)
    assert pseudo_tensor("conv.weight", (50, 4, 5, 5), 2.0).std() == pytest.approx(0.2, rel=0.05)
    assert pseudo_tensor("scale", (), 1.0).shape == ()
    assert pseudo_weights([("n", [], "int64")])["n"].dtype == np.int64
    assert gain_of("sqrt(2.0)") == pytest.approx(2**0.5)
