"""A model whose numbers overflow gives one line, and never a film or a sound."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from phonofilm.app.cli.main import main
from phonofilm.media import write_clip
from phonofilm.types import Clip


def broken(tiny: Path, folder: Path, component: str, part: str, value: float) -> Path:
    """The model with one number of one component replaced."""
    model = Path(shutil.copytree(tiny, folder / "model"))
    path = next((model / component).glob("*.safetensors"))
    tensors = load_file(path)
    tensors[next(name for name in tensors if name.startswith(part) and name.endswith("weight"))].flatten()[0] = value
    save_file(tensors, path, metadata={"format": "pt"})
    return model


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("component", "part", "task", "suffixes", "stream"),
    [
        ("vae", "decoder.conv_in", "generate", [".mp4", ".gif"], "picture"),
        ("vae", "decoder.conv_in", "animate", [".mp4"], "picture"),
        ("vocoder", "conv_out", "foley", [".wav", ".mkv", ".mp4", ".webm"], "sound"),
        ("vocoder", "conv_out", "generate", [".mkv"], "sound"),
        ("transformer", "proj_out", "generate", [".mkv"], "picture"),
        ("transformer", "audio_proj_out", "retake", [".mkv"], "sound"),
    ],
)
def test_it_is_refused_in_one_line(
    tiny_ltx2, tmp_path, capsys, monkeypatch, component, part, task, suffixes, stream, value
):
    monkeypatch.setenv("PHONOFILM_WORK", str(tmp_path / "work"))
    model = broken(tiny_ltx2, tmp_path, component, part, value)
    frames = np.repeat(np.arange(12, dtype=np.uint8)[:, None, None, None] * 8, 64, 1).repeat(64, 2).repeat(3, 3)
    sound = np.zeros((2, 12 * 48_000 // 24), np.float32)
    write_clip(Clip(frames, 24, sound, 48_000), tmp_path / "film.mkv")
    source = {"generate": ["a red ball", "--seconds", "0.5", "--size", "64x64"], "foley": [str(tmp_path / "film.mkv")]}
    source |= {"animate": [str(tmp_path / "film.mkv"), "--size", "64x64"]}
    source |= {"retake": [str(tmp_path / "film.mkv"), "--from", "0", "--to", "0.5", "--audio-only"]}
    for suffix in suffixes:
        output = tmp_path / f"out{suffix}"
        words = [task, *source[task], "--model", str(model), "--steps", "1", "--device", "cpu", "-o", str(output)]
        assert main(words) == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]
        assert len(lines) == 1, lines
        assert f"the {stream} holds values that are not finite; nothing was written" in lines[0]
        assert not list(tmp_path.glob("*out*"))
    assert not list((tmp_path / "work").glob("*")) or component != "transformer", "latents like these are not kept"
