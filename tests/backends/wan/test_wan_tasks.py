"""Wan from disk through the command that users type: alone, and with sound after it."""

from __future__ import annotations

import json

import numpy as np
import pytest

import phonofilm
from phonofilm.app.cli.main import main
from phonofilm.backends.wan import backend as module
from phonofilm.errors import Cancelled
from phonofilm.media import read_clip

SMALL = {"seconds": 0.5, "size": (48, 32), "steps": 2, "seed": 1}
FLAGS = ["--seconds", "1", "--size", "48x32", "--steps", "2", "--device", "cpu"]


def ran(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_text_to_silent_film_and_one_line_says_so(tiny_wan, capsys):
    assert ran("generate", "a red ball", "--model", tiny_wan, "-o", "a.mp4", *FLAGS) == 0
    said = capsys.readouterr().err
    assert f"{tiny_wan.name} makes silent film; --model {tiny_wan.name}+foley adds sound to it" in said
    clip = read_clip("a.mp4")
    assert clip.waveform is None
    assert clip.frames.shape == (16, 32, 48, 3)
    assert clip.fps == 16
    assert clip.metadata["model"] == tiny_wan.name


def test_with_foley_picture_and_sound_end_together(tiny_wan, capsys):
    assert ran("generate", "a red ball", "--model", f"{tiny_wan}+foley", "-o", "a.mkv", *FLAGS, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    clip = read_clip("a.mkv")
    assert clip.picture_seconds == 1
    assert abs(clip.picture_seconds - clip.sound_seconds) <= 1 / clip.sample_rate
    assert np.abs(clip.waveform).max() > 1e-3
    assert clip.metadata["model"] == f"{tiny_wan.name}+foley"
    parts = [phonofilm.load(str(tiny_wan), device="cpu").fingerprint, phonofilm.load("nano").parts.weights]
    assert said["outputs"][0]["weights"] == "+".join(parts)
    assert not [line for line in said["notices"] if "silent" in line]


def test_the_picture_of_a_cascade_is_the_pictures_model_own(tiny_wan):
    alone = phonofilm.load(str(tiny_wan), device="cpu").generate("a red ball", **SMALL)
    film = phonofilm.load(f"{tiny_wan}+fake", device="cpu").generate("a red ball", **SMALL)
    assert (film.frames == alone.frames).all()
    assert film.fps == alone.fps
    expected = phonofilm.load("fake").generate("a red ball", task="foley", source=alone, seed=1)
    assert (film.waveform == expected.waveform).all()


def test_foley_alone_is_the_sounds_model(tiny_wan):
    film = phonofilm.load("fake").generate("x", seconds=1)
    made = phonofilm.load(f"{tiny_wan}+fake", device="cpu").generate("x", task="foley", source=film, seed=4)
    assert (made.waveform == phonofilm.load("fake").generate("x", task="foley", source=film, seed=4).waveform).all()


def test_a_picture_becomes_the_first_frame(tiny_wan_5b):
    """Its codec with random weights keeps little of it; what counts is that it is the given latent."""
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    model = phonofilm.load(str(tiny_wan_5b), device="cpu")
    small = {**SMALL, "size": (32, 32)}
    with_it = [model.generate("a ball", image=picture, **{**small, "seed": seed}).frames[0] for seed in (1, 2)]
    other = model.generate("a ball", image=255 - picture, **small).frames[0]
    assert (with_it[0] == with_it[1]).all()
    assert (with_it[0] != other).any()


def test_a_picture_beside_the_latents_changes_the_film(tiny_wan_i2v):
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    model = phonofilm.load(str(tiny_wan_i2v), device="cpu")
    one, other = (model.generate("a ball", image=image, **SMALL).frames for image in (picture, 255 - picture))
    assert (one != other).any()


@pytest.mark.parametrize(
    ("fixture", "words", "message"),
    [
        ("tiny_wan", ["generate", "x", "--image", "p.png"], "takes no picture; wan2.2-i2v and wan2.2-5b do"),
        ("tiny_wan", ["generate", "x", "--seconds", "8"], "makes up to 5 s"),
        ("tiny_wan_i2v", ["generate", "x"], "needs a picture to start from: add --image"),
        ("tiny_wan", ["foley", "film.mkv"], "makes film from text, and cannot foley"),
        ("tiny_wan", ["extend", "film.mkv", "--seconds", "1"], "cannot extend"),
        ("tiny_wan", ["generate", "x", "--network", "diffusers"], "network is for LTX-2"),
    ],
)
def test_what_it_cannot_do_gets_one_line(fixture, words, message, request, capsys):
    from PIL import Image

    Image.new("RGB", (32, 32)).save("p.png")
    phonofilm.load("fake").generate("x", seconds=1).save("film.mkv")
    folder = request.getfixturevalue(fixture)
    assert ran(*words, "--model", folder, "-o", "a.mp4", "--device", "cpu") == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert message in lines[0]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("nano+foley", "nano makes no silent film"),
        ("{wan}+nothing", "no model 'nothing'"),
        ("wan2.2+foley", "wan2.2 is not here (about 126 GB); fetch it with: phonofilm weights get wan2.2"),
    ],
)
def test_a_cascade_of_what_is_not_there_gets_one_line(model, message, tiny_wan, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PHONOFILM_MODELS", str(tmp_path / "none"))
    assert ran("generate", "x", "--model", model.format(wan=tiny_wan), "-o", "a.mp4", *FLAGS) == 1
    assert message in capsys.readouterr().err


class TestGoingOn:
    def test_killed_while_decoding_it_is_not_sampled_again(self, tiny_wan, monkeypatch):
        model = phonofilm.load(f"{tiny_wan}+fake", device="cpu")
        with monkeypatch.context() as patched:

            def decode(*arguments):
                raise KeyboardInterrupt

            patched.setattr(module, "decode_video", decode)
            with pytest.raises(KeyboardInterrupt):
                model.generate("a ball", **SMALL)
        monkeypatch.setattr(module.WanBackend, "_sample", lambda *arguments: pytest.fail("sampled again"))
        again = model.generate("a ball", **SMALL)
        monkeypatch.undo()
        monkeypatch.setattr("phonofilm.backends.published.store.Store.load", lambda *arguments: None)
        assert (again.frames == model.generate("a ball", **SMALL).frames).all()

    def test_a_cancel_stops_between_evaluations(self, tiny_wan):
        seen: list[str] = []
        model = phonofilm.load(str(tiny_wan), device="cpu")
        with pytest.raises(Cancelled):
            model.generate(
                "a ball", progress=lambda stage, *_: seen.append(stage), cancel=lambda: "sampling" in seen, **SMALL
            )
        assert seen.count("sampling") == 1

    def test_out_of_memory_takes_smaller_tiles_once(self, tiny_wan, monkeypatch):
        tried = []
        real = module.decode_video

        def decode(vae, latents, tile):
            tried.append(tile)
            if len(tried) == 1:
                raise RuntimeError("CUDA out of memory")
            return real(vae, latents, tile)

        monkeypatch.setattr(module, "decode_video", decode)
        clip = phonofilm.load(str(tiny_wan), device="cpu").generate("a ball", **{**SMALL, "size": (160, 96)})
        assert clip.frames.shape == (8, 96, 160, 3)
        assert tried[1].space < 20
