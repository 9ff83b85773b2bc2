"""The onset detector: what it may look at, how its marks become times, how they are scored, and that it learns."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from phonofilm.app.cli.main import main
from phonofilm.checkpoint import save_module
from phonofilm.control.onset.detect import Detector, at_rate, peaks, to_detector_frames
from phonofilm.control.onset.network import FRAMES_AT_ONCE, Marks, OnsetConfig, OnsetNet
from phonofilm.control.onset.score import Counts, agreement
from phonofilm.data.manifest import ClipRecord, write_manifest
from phonofilm.errors import PhonofilmError
from phonofilm.media import write_clip
from phonofilm.training.loop import fit
from phonofilm.training.tasks.base import make_task
from phonofilm.types import Clip, Event

SMALL = OnsetConfig(size=16, fold=2, widths=(4, 6, 8), width=16, dilations=(1, 2))


def network() -> OnsetNet:
    torch.manual_seed(0)
    made = OnsetNet(SMALL)
    torch.nn.init.normal_(made.leave.weight, std=0.3)
    return made.eval()


@torch.no_grad()
def test_a_mark_depends_on_no_picture_beyond_the_delay() -> None:
    net, frames = network(), torch.randn(1, 12, 3, 16, 16)
    other = frames.clone()
    other[:, 8:] = 0
    one, two = net(frames).logits[0], net(other).logits[0]
    assert torch.equal(one[: 8 - SMALL.delay], two[: 8 - SMALL.delay])
    assert (one[8 - SMALL.delay :] != two[8 - SMALL.delay :]).any()


def test_long_films_are_looked_at_in_parts_and_say_the_same() -> None:
    net, frames = network(), torch.randn(1, FRAMES_AT_ONCE + 9, 3, 16, 16)
    whole = net(frames)
    with torch.no_grad():
        torch.testing.assert_close(net(frames).logits, whole.logits, atol=1e-5, rtol=1e-4)


def test_peaks_are_times() -> None:
    likely = torch.tensor([0.1, 0.9, 0.6, 0.2, 0.7, 0.8, 0.1, 0.6])
    marks = Marks(likely.logit(), torch.tensor([0.0, 0.25, 0, 0, 0, -0.5, 0, 0]), torch.full((8,), 1.5))
    found = peaks(marks)
    assert [round(one.time * 24, 4) for one in found] == [1.25, 4.5, 7.0]
    assert [one.strength for one in found] == [1.0] * 3
    assert [round(one.time * 24, 4) for one in peaks(marks, 0.85)] == [1.25]


@pytest.mark.parametrize("fps", ["12", "24", "25", "60", "24000/1001"])
def test_any_rate_is_seen_at_24(fps: str) -> None:
    rate = Fraction(fps)
    frames = np.arange(round(2 * rate))[:, None, None, None].repeat(3, 3)
    seen = at_rate(frames, rate)[:, 0, 0, 0]
    assert len(seen) == pytest.approx(24 * 2, abs=1)
    assert np.abs(seen / float(rate) - np.arange(len(seen)) / 24).max() <= 1 / float(rate) + 1e-6
    assert (at_rate(frames, Fraction(24)) == frames).all() if rate == 24 else True


def test_pictures_of_any_size_are_averaged() -> None:
    frames = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    expected = frames.float().unflatten(1, (16, 2)).unflatten(3, (16, 2)).mean((2, 4)) / 127.5 - 1
    torch.testing.assert_close(to_detector_frames(frames, 16), expected.permute(0, 3, 1, 2), atol=1e-5, rtol=1e-4)
    assert to_detector_frames(frames[:, :30, :20], 16).shape == (3, 3, 16, 16)


times = st.lists(st.integers(0, 400).map(lambda n: n / 100), max_size=8)


@given(times, times)
def test_agreement_is_the_largest_matching(found: list[float], true: list[float]) -> None:
    from scipy.optimize import linear_sum_assignment

    counts = agreement(found, true, within=0.04)
    near = np.abs(np.subtract.outer(found, true)).reshape(len(found), len(true)) <= 0.04
    rows, columns = linear_sum_assignment(near, maximize=True)
    assert counts == Counts(int(near[rows, columns].sum()), len(found), len(true))


def test_what_may_be_found_does_not_count() -> None:
    counts = agreement([0.1, 0.5, 1.0], [0.1], ignored=[0.52])
    assert counts == Counts(1, 2, 1)
    assert (counts.precision, counts.recall, round(counts.f1, 4)) == (0.5, 1.0, 0.6667)
    assert Counts().f1 == 0


def store(folder: Path, fps: str = "24") -> Path:
    """Sixteen clips of 24 frames of 32 pixels, in which a flash lights up once."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    frames, records = np.full((16, 24, 32, 32, 3), 40, np.uint8), []
    for row in range(16):
        at = int(draw.integers(3, 20))
        for age in range(4):
            if at + age < 24:
                frames[row, at + age, 8:24, 8:24] = 240 - 50 * age
        events = (Event(at / 24, "flash", (0.2, 0.2, 0.8, 0.8), 0.0, -8.0), Event(0.5, "word"))
        records.append(ClipRecord(row, "", row, "blast", row, "a flash", events))
    save_file(
        {"frames": torch.from_numpy(frames), "waveform": torch.zeros(16, 1, 8)}, folder / "clips-00000.safetensors"
    )
    write_manifest(folder / "manifest.jsonl", records)
    (folder / "store.json").write_text(json.dumps({"kind": "raw", "fps": fps, "sample_rate": 8000, "count": 16}))
    return folder


def recipe(data: Path, output: Path) -> dict[str, Any]:
    model = {"size": 16, "fold": 2, "widths": [8, 8, 12], "width": 24, "dilations": [1, 2]}
    run = {"output": str(output), "steps": 60, "batch": 8, "precision": "fp32", "validate_every": 0, "log_every": 0}
    optim = {"warmup": 5, "muon": "all", "lr": 4e-3, "muon_lr": 4e-3, "ema": 0.9}
    kept = {"train": [str(data)], "held_out": [str(data)], "frames": 16}
    return {"kind": "onset", "run": run, "optim": optim, "data": kept, "model": model}


def test_it_learns_flashes_and_the_command_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = store(tmp_path / "data")
    weights = fit(make_task(recipe(data, tmp_path / "run")))
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    last = {key: value for line in lines for key, value in line.items()}
    f1 = next(value for key, value in last.items() if key.endswith("f1") and "blast" not in key)
    assert f1 > 0.8
    frames = np.full((24, 32, 32, 3), 40, np.uint8)
    for age in range(4):
        frames[10 + age, 8:24, 8:24] = 240 - 50 * age
    write_clip(Clip(frames, Fraction(24)), tmp_path / "a.mkv")
    capsys.readouterr()
    assert main(["onsets", str(tmp_path / "a.mkv"), "--weights", str(weights), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["onsets"]
    assert any(abs(one["time"] - 10 / 24) < 0.04 for one in found)
    assert main(["onsets", str(tmp_path / "a.mkv"), "--weights", str(weights), "--threshold", "1"]) == 1
    assert "a threshold of 1 is not between 0 and 1" in capsys.readouterr().err


def test_bad_input_gets_a_line(tmp_path: Path) -> None:
    with pytest.raises(PhonofilmError, match="has 12 fps; the onset detector learns at 24"):
        make_task(recipe(store(tmp_path / "slow", "12"), tmp_path / "run"))
    values = recipe(store(tmp_path / "data"), tmp_path / "run")
    with pytest.raises(PhonofilmError, match="have 24 frames, not 99"):
        make_task(values | {"data": values["data"] | {"frames": 99}})
    path = save_module(tmp_path / "onset.safetensors", OnsetNet(SMALL))
    with pytest.raises(PhonofilmError, match="no pictures to look at"):
        Detector.load(path).onsets(np.zeros((0, 8, 8, 3), np.uint8), Fraction(24))
