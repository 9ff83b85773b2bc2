"""Every task with a published LTX-2 from disk, through the command that users type."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import phonofilm
from phonofilm.app.cli.main import main
from phonofilm.media import read_clip
from phonofilm.types import Clip

SHORT = ["--steps", "2"]


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("PHONOFILM_WORK", str(tmp_path / "work"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def no_network(monkeypatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)


def ran(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def checked(path: str, seconds: float, size: tuple[int, int] = (64, 64)) -> Clip:
    """Picture and sound are there, last as long as each other, and as asked."""
    clip = read_clip(path)
    assert clip.frames is not None
    assert clip.waveform is not None
    assert (clip.frames.shape[2], clip.frames.shape[1]) == size
    assert abs(clip.picture_seconds - clip.sound_seconds) <= 1 / 24_000
    assert clip.picture_seconds == pytest.approx(seconds)
    return clip


@pytest.fixture(scope="module")
def film(tiny_ltx2, tmp_path_factory) -> Path:
    """A clip of one second, made by the model itself."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    clip = phonofilm.load(str(tiny_ltx2), device="cpu").generate("a ball", seconds=1, size=(64, 64), steps=2, seed=9)
    return clip.save(path)


@pytest.mark.parametrize("preset", ["ltx2", "ltx2_3"])
def test_text_to_picture_and_sound(preset, tiny_ltx2, request, capsys):
    folder = tiny_ltx2 if preset == "ltx2" else request.getfixturevalue("tiny_ltx2_3")
    words = ["generate", "a red ball", "--model", folder, "--seconds", 1, "--size", "64x64", "-o", "a.mp4", *SHORT]
    words.insert(1, "--no-sign")  # a signature has a name of its own each time
    assert ran(*words, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["outputs"][0]["sample_rate"] == 24_000
    clip = checked("a.mp4", 1)
    assert clip.metadata["model"] == folder.name
    assert ran(*words[:-3], "b.mp4", *SHORT) == 0
    assert Path("a.mp4").read_bytes() == Path("b.mp4").read_bytes()


def test_picture_to_picture_and_sound(tiny_ltx2, film):
    from PIL import Image

    Image.fromarray(read_clip(film).frames[0]).save("first.png")
    words = ["generate", "a ball", "--model", tiny_ltx2, "--image", "first.png", "--seconds", 1, "--size", "64x64"]
    assert ran(*words, "-o", "a.mp4", *SHORT) == 0
    checked("a.mp4", 1)


def test_video_to_sound_keeps_the_picture(tiny_ltx2, film):
    assert ran("foley", film, "--model", tiny_ltx2, "-p", "a ball", "-o", "a.mkv", *SHORT, "--seed", 3) == 0
    clip = checked("a.mkv", 1)
    assert (clip.frames == read_clip(film).frames).all()
    assert np.abs(clip.waveform - read_clip(film).waveform).max() > 1e-4


def test_sound_to_video_keeps_the_sound(tiny_ltx2, film):
    source = read_clip(film)
    source.with_(frames=None, fps=None).save("sound.wav")
    assert ran("animate", "sound.wav", "--model", tiny_ltx2, "--size", "64x64", "-o", "a.mkv", *SHORT) == 0
    clip = checked("a.mkv", 1)
    assert np.abs(clip.waveform - read_clip("sound.wav").waveform).max() < 1e-4


def test_extend_keeps_what_was(tiny_ltx2, film):
    assert ran("extend", film, "--model", tiny_ltx2, "--seconds", 0.5, "-o", "a.mkv", *SHORT) == 0
    clip, source = checked("a.mkv", 1.5), read_clip(film)
    assert (clip.frames[:24] == source.frames).all()
    assert np.abs(clip.waveform[:, :23_000] - source.waveform[:, :23_000]).max() < 1e-4
    assert (clip.frames[24:] != clip.frames[23]).any()


@pytest.mark.parametrize("only", [None, "--audio-only", "--video-only"])
def test_retake_keeps_the_rest(tiny_ltx2, film, only):
    words = ["retake", film, "--from", 0.4, "--to", 0.8, "--model", tiny_ltx2, "-o", "a.mkv", "--seed", 5]
    assert ran(*words, *SHORT, *([only] if only else [])) == 0
    clip, source = checked("a.mkv", 1), read_clip(film)
    changed = (clip.frames != source.frames).any(axis=(1, 2, 3))
    assert changed[10:19].all() == (only != "--audio-only")
    assert not changed[:9].any()
    assert not changed[20:].any()
    sound = np.abs(clip.waveform - source.waveform).max(0) > 1e-4
    assert sound[11_000:18_000].any() == (only != "--video-only")
    assert not sound[:9_000].any()


def test_odd_sizes_and_rates_are_made_near_by(tiny_ltx2, capsys):
    words = ["generate", "a ball", "--model", tiny_ltx2, "--seconds", 0.5, "--size", "70x50", "--fps", "30000/1001"]
    assert ran(*words, "-o", "a.mkv", *SHORT) == 0
    assert "made at 96x64" in capsys.readouterr().err
    clip = read_clip("a.mkv")
    assert clip.frames.shape[1:3] == (50, 70)
    assert abs(clip.picture_seconds - clip.sound_seconds) <= 1 / 24_000


def test_guidance_of_each_kind_changes_the_film(tiny_ltx2):
    model = phonofilm.load(str(tiny_ltx2), device="cpu")
    plain = {"seconds": 0.5, "size": (64, 64), "steps": 2, "seed": 1}
    long = "a red ball bounces on wood and hears the mallet " * 20  # a few words weigh little beside 1024 registers
    none = model.generate(long, guidance=1.0, modality_guidance=(1.0, 1.0), **plain)
    text = model.generate(long, guidance=(1.0, 7.0), modality_guidance=(1.0, 1.0), **plain)
    both = model.generate(long, guidance=(1.0, 1.0), modality_guidance=(3.0, 3.0), **plain)
    assert np.abs(none.waveform - text.waveform).max() > 1e-4
    assert np.abs(none.waveform - both.waveform).max() > 1e-4


@pytest.mark.parametrize("offload", ["model", "sequential", "disk"])
def test_where_parts_wait_changes_nothing(tiny_ltx2, monkeypatch, tmp_path, offload):
    plain = {"seconds": 0.5, "size": (64, 64), "steps": 1, "seed": 1}
    first = phonofilm.load(str(tiny_ltx2), device="cpu", offload="none").generate("a ball", **plain)
    monkeypatch.setenv("PHONOFILM_WORK", str(tmp_path / "other"))
    again = phonofilm.load(str(tiny_ltx2), device="cpu", offload=offload).generate("a ball", **plain)
    # with blocks on their way all rows of a batch run at once, which rounds otherwise
    assert np.abs(first.frames.astype(int) - again.frames).max() <= (offload == "sequential")
    np.testing.assert_allclose(first.waveform, again.waveform, atol=1e-6 if offload != "sequential" else 1e-4)
