"""Control modules learn beside a network that stays as it is, from what is found in a store."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phonofilm.checkpoint import file_sha256, load_module, load_tensors, save_module
from phonofilm.codecs.audio_vae import AudioVAE
from phonofilm.codecs.common.mel import log_mel
from phonofilm.control.inputs.files import ControlConfig, load_control
from phonofilm.control.timing import loudness_signal, power_signal
from phonofilm.data.manifest import ClipRecord, read_manifest, write_manifest
from phonofilm.errors import PhonofilmError
from phonofilm.model.config import StreamConfig, TransformerConfig
from phonofilm.model.transformer import AVTransformer
from phonofilm.training.conditions.signals import Signals, SignalsConfig, hits_of, mel_power
from phonofilm.training.loop import fit
from phonofilm.training.tasks.base import make_task
from phonofilm.types import Event, Geometry, Grid
from phonofilm.weights import codecs_folder
from tiny_latents import save_tiny_latents

HITS = {"hears": "hits", "blocks": [0, 1], "slots": 4}


@pytest.fixture
def latents(tmp_path: Path) -> Path:
    folder = save_tiny_latents(tmp_path / "latents")
    records = read_manifest(folder / "manifest.jsonl")
    told = [replace(one, events=(Event(0.1 * (1 + n % 2), "impact", loudness=-8.0),)) for n, one in enumerate(records)]
    write_manifest(folder / "manifest.jsonl", told)
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    torch.manual_seed(2)
    video = StreamConfig(2, 32, 1, 1, 2, (2, 4, 4), (20.0, 2048.0, 2048.0), 8)
    audio = StreamConfig(4, 32, 1, 1, 2, (1,), (20.0,), 8, stems=3)
    network = AVTransformer(TransformerConfig(video, audio, 1, 32))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return save_module(tmp_path / "base.safetensors", network)


def recipe(base: Path, latents: Path, output: Path, control: dict[str, Any], **run: Any) -> dict[str, Any]:
    running = {"output": str(output), "steps": 4, "batch": 2, "precision": "fp32", "validate_every": 4, "log_every": 1}
    return {
        "kind": "control",
        "base": str(base),
        "control": control,
        "run": {**running, "export": "float32", **run},
        "data": {"folder": str(latents), "held_out": 2},
        "optim": {"lr": 1e-2, "muon": "none", "warmup": 1},
        "untold": 0.3,
    }


@pytest.mark.parametrize(
    "control",
    [HITS, {**HITS, "hears": "follow"}, {"hears": "sync", "hidden": 8}, {"hears": "semantic", "blocks": [1]}],
    ids=["hits", "follow", "sync", "semantic"],
)
def test_each_module_learns_and_the_network_stays(
    control: dict[str, Any], base: Path, latents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if control["hears"] != "hits":  # the tiny store's latents are no codec's
        widths = {"follow": (13, 4), "sync": (13, 128), "semantic": (8, 128)}
        monkeypatch.setattr(
            Signals, "_of", lambda self, row: torch.full((1, *widths[self.control.hears]), 0.1 * (1 + row))
        )
    before = file_sha256(base)
    path = fit(make_task(recipe(base, latents, tmp_path / "run", control)))
    assert path.name == f"{control['hears']}.safetensors"
    network = load_module(AVTransformer, base)
    module, config = load_control(path, network)
    assert config == ControlConfig(**{**control, "blocks": tuple(control.get("blocks", ()))})
    moved = [name for name, tensor in module.named_parameters() if tensor.any()]
    assert any("leave" in name or "to_out" in name for name in moved)  # what was zero at first
    saved = load_tensors(tmp_path / "run" / "checkpoint.safetensors")[0]
    assert not any(".network." in name for name in saved)
    assert file_sha256(base) == before
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    last = next(line for line in lines if "validation/foley_told_audio" in line)
    assert last["validation/foley_told_audio"] != last["validation/foley_shuffled_audio"]


def test_a_resumed_run_is_the_same(base: Path, latents: Path, tmp_path: Path) -> None:
    values = recipe(base, latents, tmp_path / "whole", HITS)
    values["optim"] |= {"cooldown": 0.0}
    whole = fit(make_task(values))
    parts = {**values, "run": {**values["run"], "output": str(tmp_path / "parts")}}
    fit(make_task({**parts, "run": {**parts["run"], "steps": 2}}))
    again = fit(make_task(parts), resume=True)
    one, other = load_tensors(whole)[0], load_tensors(again)[0]
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_hits_are_events_that_are_heard() -> None:
    events = (
        Event(0.5, "impact", loudness=-10.0),
        Event(0.7, "talk", loudness=-10.0),
        Event(0.9, "strike", loudness=-90.0),
        Event(1.0, "strike"),
        Event(5.0, "strike", loudness=0.0),
    )
    found = hits_of(events, ("impact", "strike"), 4.0)
    assert [(hit.time, round(hit.strength, 3)) for hit in found] == [(0.5, 0.75), (0.9, 0.02)]


def test_the_loudness_of_latents_is_that_of_the_sound() -> None:
    """The codec's mel spectrogram tells the loudness that the request measures on samples."""
    vae = load_module(AudioVAE, codecs_folder("nano-128") / "audio_vae.safetensors").eval()
    mel, rate = vae.config.mel, vae.config.mel.sample_rate
    draw = np.random.default_rng(3)
    envelope = np.repeat([0.0, 0.5, 0.02, 0.2, 0.0, 0.7, 0.05, 0.3], rate // 4).astype(np.float32)
    sound = envelope * (0.3 * draw.standard_normal(len(envelope)) + np.sin(np.arange(len(envelope)) * 0.2))
    stereo = torch.from_numpy(np.stack([sound, sound]).astype(np.float32).clip(-1, 1))
    bounds = Grid.of(2, 128, 24, Geometry(2, 8, (2, 8, 8), rate, mel.hop, 8, 4)).positions().audio
    power = mel_power(log_mel(stereo[None], mel), mel)[0].numpy()
    found = power_signal(power, rate / mel.hop, bounds).flatten().numpy()
    true = loudness_signal(stereo.numpy(), rate, bounds).flatten().numpy()
    assert np.corrcoef(found, true)[0, 1] > 0.93  # steps are smeared by a window of 64 ms
    assert abs(float(np.mean(found - true)) * 60) < 4  # dB
    middles = [place + 6 for place in range(0, 96, 12)]
    assert np.abs(found - true)[middles].max() * 60 < 2.5


def test_what_does_not_fit_is_refused(base: Path, latents: Path, tmp_path: Path) -> None:
    values = recipe(base, latents, tmp_path / "run", HITS)
    for changed, said in (
        ({"run": {**values["run"], "init": str(base)}}, "leave out run.init"),
        ({"conditions": ["motion"]}, "no conditions"),
        ({"control": {"hears": "sync", "blocks": [1]}}, "sync needs no blocks"),
        ({"control": {"hears": "hits"}}, "hits needs blocks to work on"),
        ({"base": "gone"}, "no model 'gone'"),
    ):
        with pytest.raises(PhonofilmError, match=said):
            make_task({**values, **changed})
    with pytest.raises(PhonofilmError, match="block 7 has no sound to attach to; choose from 0, 1"):
        make_task({**values, "control": {**HITS, "blocks": [7]}}).build()
    write_manifest(latents / "manifest.jsonl", [ClipRecord(i, "", i, "toy", i, "x") for i in range(6)])
    with pytest.raises(PhonofilmError, match="knows no events"):
        make_task(values).batch(0)


@pytest.mark.parametrize("hears", ["follow", "sync", "semantic"])
def test_sound_and_picture_of_latents_are_decoded_in_full_precision(hears: str) -> None:
    """With the codecs that ship, also where training computes in bfloat16."""
    geometry = Geometry(2, 8, (2, 8, 8), 24_000, 250, 8, 4)
    grid = Grid.of(0.5, 128, 24, geometry)
    draw = torch.Generator().manual_seed(0)
    latents = {
        "video": torch.randn(1, 8, *grid.video_shape, generator=draw).half(),
        "audio": torch.randn(1, 3, 64, grid.audio_length, generator=draw).half(),
    }

    class Store:
        def latents(self, name: str, rows: list[int]) -> torch.Tensor:
            return latents[name][rows]

    blocks = () if hears == "sync" else (0,)
    signals = Signals(ControlConfig(hears, blocks), SignalsConfig(), Store(), grid)  # type: ignore[arg-type]
    with torch.autocast("cpu", torch.bfloat16):
        found = signals.of([0, 0])
    length = {"follow": grid.audio_length, "sync": grid.audio_length, "semantic": 8}[hears]
    assert found.shape == (2, length, 4 if hears == "follow" else 128)
    assert found.dtype == torch.float32
    assert found.isfinite().all()
    assert found.std() > 0
