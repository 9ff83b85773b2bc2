"""The sync network: windows whose offset is what is said, training that learns it, and the same run when resumed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from phonofilm.checkpoint import load_module, load_tensors
from phonofilm.data.manifest import ClipRecord, write_manifest
from phonofilm.errors import Cancelled, PhonofilmError
from phonofilm.perception.audiovisual.syncnet import RATE, SAMPLE_RATE, SyncNet
from phonofilm.training.loop import fit
from phonofilm.training.tasks.base import generator_for, make_task
from phonofilm.training.tasks.syncnet import SyncAugment, _disturbed

CLIPS, SECONDS, SIDE = 24, 3, 16
MODEL = {"size": SIDE, "fold": 4, "spatial": [16, 16], "width": 32, "blocks": 1, "bands": 16, "heads": 4, "reach": 0.4}


@pytest.fixture(scope="module")
def flashes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw store of flashes, each of one picture, and a click at each of them."""
    folder = tmp_path_factory.mktemp("flashes")
    rng = np.random.default_rng(0)
    frames = np.full((CLIPS, SECONDS * RATE, SIDE, SIDE, 3), 90, np.uint8)
    sound = 1e-3 * rng.standard_normal((CLIPS, 2, SECONDS * SAMPLE_RATE))
    for clip in range(CLIPS):
        for frame in np.flatnonzero(rng.random(SECONDS * RATE) < 0.06):
            frames[clip, frame] = 230
            start = frame * SAMPLE_RATE // RATE
            sound[clip, :, start : start + 200] += rng.standard_normal(len(sound[clip, 0, start : start + 200]))
    tensors = {"frames": torch.from_numpy(frames), "waveform": torch.from_numpy(sound).half()}
    save_file(tensors, folder / "clips-00000.safetensors")
    write_manifest(folder / "manifest.jsonl", [ClipRecord(i, "", i, "flash", i, "") for i in range(CLIPS)])
    (folder / "store.json").write_text(json.dumps({"fps": RATE, "sample_rate": SAMPLE_RATE}))
    return folder


def recipe(store: Path, output: Path, **run: Any) -> dict[str, Any]:
    return {
        "kind": "syncnet",
        "run": {"output": str(output), "steps": 4, "batch": 4, "precision": "fp32", "log_every": 1, **run},
        "optim": {"lr": 4e-3, "muon_lr": 4e-3, "warmup": 5, "ema": 0.8, "muon": "all"},
        "data": {"train": {str(store): 1.0}, "held_out": [str(store)], "seconds": 1.6, "attribution": "a film, CC-BY"},
        "model": MODEL,
    }


def test_a_window_is_cut_apart_by_its_offset(flashes: Path, tmp_path: Path) -> None:
    task = make_task(recipe(flashes, tmp_path / "run"))
    batch = task.batch(3)
    assert batch["frames"].shape == (4, 40, SIDE, SIDE)
    assert batch["waveform"].shape == (4, 1.6 * SAMPLE_RATE)
    assert all(torch.equal(batch[name], again) for name, again in task.batch(3).items())
    assert (batch["offset"].abs() <= MODEL["reach"]).all()
    # positive = audio early: a flash at t is heard at t - offset
    for row, offset in ((0, 0.3), (1, -0.2)):
        frames, sound, _ = task._cut(task.stores[0], row, 0.5, offset)
        seen = np.flatnonzero(frames[:, 0, 0, 0].numpy() > 200) / RATE
        heard = np.abs(sound.numpy()) > 0.5
        expected = [t - offset for t in seen if 0.05 < t - offset < 1.5]
        assert expected
        assert all(heard[int(t * SAMPLE_RATE) - 40 : int(t * SAMPLE_RATE) + 240].any() for t in expected)


def test_where_a_window_lies_says_nothing_of_its_offset(flashes: Path, tmp_path: Path) -> None:
    task = make_task(recipe(flashes, tmp_path / "run"))
    frames = [task._cut(task.stores[0], 0, 0.0, offset)[0] for offset in (-0.4, 0.0, 0.4)]
    assert torch.equal(frames[0], frames[1])
    assert torch.equal(frames[0], frames[2])


def test_it_learns_flashes_and_clicks(flashes: Path, tmp_path: Path) -> None:
    values = recipe(flashes, tmp_path / "run", steps=70, batch=8, log_every=70)
    values["augment"] = {"slow": 0.0, "shaken": 0.0, "mixed": 0.0}
    task = make_task(values)
    network = load_module(SyncNet, fit(task))
    near = task.validate(network, 0, tmp_path)["flash_near"]
    assert near > 0.5, "chance is 0.15"


def test_a_resumed_run_is_the_same_run(flashes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, about = load_tensors(fit(make_task(recipe(flashes, tmp_path / "whole"))))
    stopped = make_task(recipe(flashes, tmp_path / "parts"))
    draw = stopped.batch

    def interrupted(step: int) -> dict[str, torch.Tensor]:
        if step == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return draw(step)

    monkeypatch.setattr(stopped, "batch", interrupted)
    with pytest.raises(Cancelled, match="step 2"):
        fit(stopped)
    parts, _ = load_tensors(fit(make_task(recipe(flashes, tmp_path / "parts")), resume=True))
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())
    assert about["attribution"] == "a film, CC-BY"
    assert flashes.name in about["data"]


def test_disturbed_pictures_stay_pictures(flashes: Path, tmp_path: Path) -> None:
    frames = make_task(recipe(flashes, tmp_path / "run")).stores[0].shards.row("frames", 0)
    still = SyncAugment(slow=0, crop=1, shaken=0, flip=0, grain=0)
    same = _disturbed(frames, still, generator_for("same"))
    bright = frames[:, 0, 0, 0] > 200
    assert same[bright].mean() > same[~bright].mean()
    assert torch.allclose(same[~bright], same[~bright].mean(), atol=1e-4), "a bare ground stays bare"
    for step in range(5):
        shown = _disturbed(frames, SyncAugment(), generator_for(step))
        assert shown.shape == frames.shape[:3]
        assert shown.isfinite().all()


def test_stores_that_do_not_fit_get_one_line(flashes: Path, tmp_path: Path) -> None:
    values = recipe(flashes, tmp_path / "run")
    values["data"]["seconds"] = 2.9
    with pytest.raises(PhonofilmError, match=r"windows with reach need 3\.7 s"):
        make_task(values)
    values = recipe(flashes, tmp_path / "run")
    values["model"] = {**MODEL, "size": 32}
    with pytest.raises(PhonofilmError, match="must hold 32 px at 25 fps and 16 kHz"):
        make_task(values)
