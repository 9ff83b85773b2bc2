"""Clips refuse what is no film; requests are named by all that decides their output."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest
import torch

from phonofilm.types import Clip, Latents, Request

FRAMES = np.zeros((6, 4, 4, 3), np.uint8)
SOUND = np.zeros((2, 8000), np.float32)


def test_a_clip_knows_its_durations() -> None:
    clip = Clip(FRAMES, 12, SOUND, 16_000)
    assert (clip.picture_seconds, clip.sound_seconds, clip.seconds) == (Fraction(1, 2), Fraction(1, 2), 0.5)
    assert clip.with_(frames=None).picture_seconds == 0
    assert Clip().seconds == 0
    assert Clip(FRAMES, 29.97).fps == Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frames": FRAMES}, "frames need a frame rate"),
        ({"frames": FRAMES.astype(np.float32), "fps": 12}, "frames must be uint8"),
        ({"frames": FRAMES[..., :2], "fps": 12}, "frames must be uint8"),
        ({"frames": FRAMES, "fps": 0}, "frame rate"),
        ({"waveform": SOUND}, "a waveform needs a sample rate"),
        ({"waveform": SOUND[0], "sample_rate": 16_000}, "waveform must be float32"),
        ({"waveform": SOUND.astype(np.float64), "sample_rate": 16_000}, "waveform must be float32"),
    ],
)
def test_what_is_no_clip(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Clip(**arguments)


def test_latents_map_each_stream_that_is_there() -> None:
    both = Latents(torch.ones(1, 2, 3, 4, 4), torch.ones(1, 1, 2, 5))
    doubled = both.map(torch.add, both)
    assert float(doubled.video.sum() + doubled.audio.sum()) == 2 * (96 + 10)
    assert Latents(audio=both.audio).map(torch.neg).video is None


def test_a_request_is_named_by_everything_that_decides_its_output() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    other = {
        "prompt": "a ball",
        "task": "foley",
        "seconds": 2.0,
        "size": (64, 64),
        "fps": Fraction(12),
        "seed": 1,
        "video_seed": 1,
        "audio_seed": 1,
        "steps": 8,
        "guidance": (2.0, 2.0),
        "modality_guidance": (1.0, 1.0),
        "stg": (1.0, 1.0),
        "negative": "rain",
        "image": picture,
        "source": Clip(FRAMES, 12, SOUND, 16_000),
        "span": (0.0, 1.0),
        "only": "audio",
        "no": "music",
        "effects": "rain",
        "music": "a waltz",
        "given_stems": {"speech": Clip(waveform=SOUND, sample_rate=16_000)},
        "gain": {"speech": -3.0},
        "mix_as": "speech",
        "draft": True,
        "sampler": "heun",
        "model": "small",
        "hits": ((0.5, 1.0),),
        "follow": Clip(waveform=SOUND, sample_rate=16_000),
        "sync": False,
        "control_scale": 0.5,
    }
    assert other.keys() == {field.name for field in fields(Request)}
    digests = {Request(**{name: value}).digest for name, value in other.items()} | {Request().digest}
    assert len(digests) == len(other) + 1
    assert Request(**other).digest == Request(**{**other, "image": picture.copy()}).digest


def test_a_digest_that_was_noted_once_still_names_its_request() -> None:
    retake = Request("a ball", task="retake", span=(0.0, 1.0), only="audio")
    assert Request("a ball").digest == "4cf0be2e20c34ff7feec66bbae0507d03fb9650b291c65effbcef76ec53d27f1"
    assert retake.digest == "1cbe81f5bb01a8bbaa0621cdb87ec318ef7fa05fdb80d22f7c6ae5c486abc995"
    assert retake.only == ("audio",)


def test_parts_are_named_in_their_own_order_each_once() -> None:
    one, other = Request(only="music, effects,music"), Request(only=["effects", "music"])
    assert one.only == other.only == ("effects", "music")
    assert one.digest == other.digest
    assert Request(no=("music", "smoke", "video")).no == ("video", "music", "smoke")


def test_a_request_sees_its_stems() -> None:
    bare = Clip(FRAMES, 12, SOUND, 16_000)
    sources = [bare, bare.with_(stems={"speech": SOUND}), bare.with_(stems={"music": SOUND})]
    given = [{"speech": Clip(waveform=SOUND + level, sample_rate=16_000)} for level in (0, np.float32(0.5))]
    requests = [Request(source=source) for source in sources] + [Request(given_stems=stems) for stems in given]
    assert len({request.digest for request in requests}) == 5


def test_a_request_sees_a_single_changed_pixel_and_sample() -> None:
    first = Request(source=Clip(FRAMES, 12, SOUND, 16_000))
    changed, louder = FRAMES.copy(), SOUND.copy()
    changed[3, 2, 1, 0], louder[1, 77] = 1, 0.1
    assert Request(source=Clip(changed, 12, SOUND, 16_000)).digest != first.digest
    assert Request(source=Clip(FRAMES, 12, louder, 16_000)).digest != first.digest
    assert Request(source=Clip(FRAMES.copy(), 12, SOUND.copy(), 16_000)).digest == first.digest


def test_a_clip_and_a_request_are_shown_in_one_line():
    clip = Clip(np.zeros((48, 32, 64, 3), np.uint8), 12, np.zeros((2, 64_000), np.float32), 16_000, prompt="one\ntwo")
    assert repr(clip) == "Clip(48 frames 64x32 at 12 fps, stereo at 16000 Hz, 4 s, prompt='one\\ntwo')"
    assert repr(Clip(waveform=np.zeros((6, 100), np.float32), sample_rate=48_000)).startswith(
        "Clip(6 channels at 48000"
    )
    assert repr(Clip()) == "Clip(empty)"
    request = Request("x", task="foley", source=clip, image=np.zeros((4, 6, 3), np.uint8), seed=3)
    assert repr(request).startswith("Request(prompt='x', task='foley', seed=3, image='6x4', source=Clip(48 frames")
    assert "\n" not in repr(request)
    assert len(repr(request)) < 300


def test_the_public_names_are_listed():
    import phonofilm

    assert {*phonofilm.__all__, "__version__"} <= set(dir(phonofilm))
    assert [name for name in dir(phonofilm) if not name.startswith("_")] == sorted(phonofilm.__all__)


def test_a_clip_shows_itself_in_a_notebook():
    shown = Clip(np.zeros((6, 16, 16, 3), np.uint8), 12, prompt="<b>")._repr_html_()
    assert shown.startswith("<figure><video controls")
    assert "&lt;b&gt;" in shown
    assert "<audio controls" in Clip(waveform=np.zeros((1, 800), np.float32), sample_rate=16_000)._repr_html_()
    assert Clip()._repr_html_() == "<em>an empty clip</em>"
