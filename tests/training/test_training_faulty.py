"""Every task names the clips whose values are not finite, by row and store, in training and among the held-out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from phonofilm.data.manifest import ClipRecord, write_manifest
from phonofilm.training.loop import train
from phonofilm.training.tasks.base import make_task

CLIPS, SIDE, RATE = 10, 16, 25
SYNC = {"size": SIDE, "fold": 4, "spatial": [16, 16], "width": 32, "blocks": 1, "bands": 16, "heads": 4, "reach": 0.4}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Ten clips of noise; row 5 has a sound, and row 1, which is held out, too, that is no number now and then."""
    folder = tmp_path / "raw"
    folder.mkdir()
    random = np.random.default_rng(0)
    sound = torch.from_numpy(random.standard_normal((CLIPS, 2, 3 * 16_000))).half() / 10
    sound[[1, 5], :, ::400] = torch.nan
    frames = torch.from_numpy(random.integers(0, 256, (CLIPS, 3 * RATE, SIDE, SIDE, 3), np.uint8))
    save_file({"frames": frames, "waveform": sound}, folder / "clips-00000.safetensors")
    write_manifest(folder / "manifest.jsonl", [ClipRecord(i, "", i, "noise", i, "") for i in range(CLIPS)])
    (folder / "store.json").write_text(json.dumps({"fps": str(RATE), "sample_rate": 16_000}))
    return folder


def recipe(kind: str, raw: Path, **run: Any) -> dict[str, Any]:
    run = {"output": str(raw.parent / "run"), "steps": 6, "batch": 3, "precision": "fp32", "device": "cpu", **run}
    data: dict[str, Any] = {"folder": str(raw), "window": 41, "held_out": 2}
    if kind == "syncnet":
        data = {"train": {str(raw): 1.0}, "held_out": [str(raw)], "seconds": 1.6}
    model = {"syncnet": SYNC, "audio_vae": {"width": 16}, "vocoder": {"width": 16, "blocks": 1, "oscillators": 16}}
    return {"kind": kind, "run": run, "optim": {"warmup": 1}, "data": data, "model": model[kind]}


@pytest.mark.parametrize("kind", ["audio_vae", "vocoder", "syncnet"])
def test_rows_of_sound(raw: Path, kind: str) -> None:
    task = make_task(recipe(kind, raw))
    named = {f"row {row} of {raw}" for row in (1, 5)}
    for step in range(8):
        found, broken = task.faulty(step), not task.batch(step)["waveform"].isfinite().all()
        assert set(found) <= named
        assert bool(found) >= broken, "a batch that is not finite has a clip that is not"
    assert {name for step in range(8) for name in task.faulty(step)} >= {f"row 5 of {raw}"}
    assert task.faulty(None) == [f"row 1 of {raw}"] + ([f"row 5 of {raw}"] if kind == "syncnet" else [])


def test_training_goes_on_without_the_clip(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import tomllib

    path = raw.parent / "recipe.toml"
    path.write_text(
        f'kind = "audio_vae"\n[run]\noutput = "{raw.parent / "run"}"\nsteps = 6\nbatch = 3\nprecision = "fp32"\n'
        f'device = "cpu"\nlog_every = 100\nvalidate_every = 0\n[optim]\nwarmup = 1\n[model]\nwidth = 16\n'
        f'[data]\nfolder = "{raw}"\nwindow = 41\nheld_out = 2\n'
    )
    assert tomllib.loads(path.read_text())["kind"] == "audio_vae"
    weights = load_file(train(path))
    assert all(tensor.isfinite().all() for tensor in weights.values()), "latents are scaled by finite clips"
    said = capsys.readouterr().err
    assert f"was skipped: values are not finite in row 5 of {raw}" in said
    assert f"note: validation/error_db is not finite: values are not finite in row 1 of {raw}" in said
