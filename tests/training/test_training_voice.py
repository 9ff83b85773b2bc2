"""The vocoder's voice is trained from stems, alone or with the bank, and heard through a codec."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from phonofilm.checkpoint import load_module, save_module
from phonofilm.codecs.audio_vae import AudioVAE, AudioVAEConfig
from phonofilm.codecs.common.mel import MelConfig
from phonofilm.codecs.vocoder import Vocoder
from phonofilm.codecs.voice.pulses import pulse_train
from phonofilm.data.manifest import ClipRecord, write_manifest
from phonofilm.errors import PhonofilmError
from phonofilm.training.loop import fit
from phonofilm.training.tasks.base import make_task

MEL = {"bins": 32}


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Six clips of half a second at 16 kHz: a voice, a noise, and no music."""
    folder = tmp_path / "raw"
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    pitch = (100 + 100 * torch.rand(6, 1, generator=generator)).double().expand(-1, 20)
    speech = 0.2 * pulse_train(pitch, 400, 16_000, 4_000.0)[0]
    noise = 0.1 * torch.randn(6, 8_000, generator=generator)
    stems = torch.stack([speech, noise, torch.zeros_like(noise)], 1)[:, :, None].expand(-1, -1, 2, -1)
    frames = torch.zeros(6, 6, 32, 32, 3, dtype=torch.uint8)
    kept = {"frames": frames, "waveform": stems.sum(1).half(), "stems": stems.half().contiguous()}
    save_file(kept, folder / "clips-00000.safetensors")
    write_manifest(folder / "manifest.jsonl", [ClipRecord(i, "", i, "talk", i, f"talk {i}") for i in range(6)])
    (folder / "store.json").write_text(json.dumps({"fps": "12", "sample_rate": 16_000}))
    return folder


def recipe(clips: Path, output: Path, **settings: Any) -> dict[str, Any]:
    voice = {"width": 16, "blocks": 1, "classes": 40}
    return {
        "kind": "vocoder",
        "run": {
            "output": str(output),
            "steps": 3,
            "batch": 2,
            "precision": "fp32",
            "log_every": 1,
            "export": "float32",
        },
        "data": {"folder": str(clips), "window": 9, "held_out": 2, "stems": True, "speech": 0.7},
        "model": {"oscillators": 8, "width": 16, "blocks": 1, "mel": MEL, "voice": voice},
        **settings,
    }


@pytest.mark.parametrize("learn", ["all", "voice"])
def test_the_voice_is_learnt_with_the_bank_or_alone(learn: str, clips: Path, tmp_path: Path) -> None:
    codec = AudioVAE(AudioVAEConfig(latents=8, width=16, mel=MelConfig(bins=32)))
    save_module(tmp_path / "audio_vae.safetensors", codec)
    task = make_task(recipe(clips, tmp_path / "run", learn=learn, codec=str(tmp_path / "audio_vae.safetensors")))
    torch.manual_seed(task.recipe.run.seed)
    fresh = dict(task.build().named_parameters())
    trained = load_module(Vocoder, fit(task))
    moved = {name.partition(".")[0] for name, p in trained.named_parameters() if (p - fresh[name]).abs().max() > 1e-7}
    assert "voice" in moved
    assert moved == {"voice"} or learn == "all"
    with torch.no_grad():
        found = task.validate(trained, 0, tmp_path)
    assert set(found) == {"mel_db", "mel_db_talk"}


def test_speech_of_a_batch_is_a_part_of_its_sound(clips: Path, tmp_path: Path) -> None:
    task = make_task(recipe(clips, tmp_path / "run"))
    batch = task.batch(0)
    assert batch["speech"].shape == batch["waveform"].shape == (2, 2, 9 * 400)
    assert any(task.batch(step)["speech"].abs().max() > 0.01 for step in range(4))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"data": {"window": 9, "held_out": 2}}, r"set data\.stems = true"),
        ({"learn": "voice", "model": {"mel": MEL}}, r"set \[model\.voice\]"),
        ({"codec": "other.safetensors"}, "another mel"),
        ({"codec": "same.safetensors", "data": {"window": 10, "held_out": 2, "stems": True}}, r"must be 1 \+ 4·n"),
    ],
)
def test_what_cannot_be_trained_is_refused(settings: dict[str, Any], said: str, clips: Path, tmp_path: Path) -> None:
    for name, bins in (("other", 40), ("same", 32)):
        save_module(
            tmp_path / f"{name}.safetensors", AudioVAE(AudioVAEConfig(latents=8, width=16, mel=MelConfig(bins=bins)))
        )
    if "codec" in settings:
        settings = settings | {"codec": str(tmp_path / settings["codec"])}
    if "data" in settings:
        settings = settings | {"data": settings["data"] | {"folder": str(clips)}}
    with pytest.raises(PhonofilmError, match=said):
        make_task(recipe(clips, tmp_path / "run", **settings))
