"""Stems that are given to animate, extend and retake: what the film has of them, to the sample, and what is said."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from phonofilm import Clip, PhonofilmError, Request
from phonofilm.backends.canvas.canvas import KEEP, MAKE
from phonofilm.backends.canvas.layout import lay_out, work_out
from phonofilm.backends.canvas.loop import Part
from phonofilm.backends.cascade import Cascade
from phonofilm.backends.fake import FakeBackend
from phonofilm.backends.native import NativeBackend
from phonofilm.provenance.watermark.given import made_of, mark_clip

RATE = 16_000
FADE = RATE // 100
"""Samples over which a clip's own sound goes over into what is given; they lie before it and after it."""


def tone(pitch: float, seconds: float, rate: int = RATE, level: float = 0.1, channels: int = 2) -> Clip:
    times = np.arange(round(seconds * rate)) / rate
    wave = level * np.sin(2 * np.pi * pitch * times)
    return Clip(waveform=np.stack([wave] * channels).astype(np.float32), sample_rate=rate)


def film(seconds: float = 2.0, **sound: object) -> Clip:
    frames = np.full((round(12 * seconds), 16, 16, 3), 90, np.uint8)
    return tone(300, seconds).with_(frames=frames, fps=12, **sound)


def sums(clip: Clip) -> bool:
    return bool(np.abs(np.sum([*clip.stems.values()], axis=0) - clip.waveform).max() <= 1e-6)


VOICE = tone(200, 2.0)
SONG = tone(440, 4.0)


def test_animate_keeps_a_voice_and_makes_what_is_named():
    made = FakeBackend().generate(
        "rain", task="animate", source=VOICE, mix_as="speech", effects="rain", music="a waltz"
    )
    assert (len(made.frames), made.waveform.shape) == (24, (2, 32_000))
    assert tuple(made.stems) == ("speech", "effects", "music")
    assert (made.stems["speech"] == VOICE.waveform).all()
    assert made.stems["effects"].any()
    assert made.stems["music"].any()
    assert sums(made)
    some = FakeBackend().generate("x", task="animate", source=VOICE, mix_as="speech", only="video,effects")
    assert tuple(some.stems) == ("speech", "effects")
    plain = FakeBackend().generate("x", task="animate", source=VOICE, mix_as="speech")
    assert tuple(plain.stems) == ("speech",)
    assert (plain.waveform == VOICE.waveform).all()
    assert plain.frames.shape == made.frames.shape


def test_animate_is_given_stems_beside_its_sound():
    made = FakeBackend().generate(
        "x", task="animate", source=VOICE, mix_as="speech", given_stems={"music": SONG}, gain={"music": -6.0}
    )
    assert (made.stems["speech"] == VOICE.waveform).all()
    assert np.allclose(made.stems["music"], 10 ** (-6 / 20) * SONG.waveform[:, :32_000], atol=1e-7)
    assert made.metadata["notices"] == "the given music lasts 4 s, the clip 2 s: the rest is cut"
    assert sums(made)
    apart = VOICE.with_(stems={"speech": VOICE.waveform, "music": np.zeros_like(VOICE.waveform)})
    again = FakeBackend().generate("x", task="animate", source=apart, given_stems={"music": SONG})
    assert (again.stems["music"] == SONG.waveform[:, :32_000]).all(), "a given stem takes the place of the clip's own"
    loud = VOICE.with_(stems={"speech": VOICE.waveform * 0, "effects": VOICE.waveform})
    quiet = FakeBackend().generate("x", task="animate", source=loud, no="effects", music="a waltz")
    assert not quiet.stems["effects"].any()
    assert quiet.stems["music"].any()


def test_a_mix_is_not_taken_for_what_is_made_or_given():
    for fields, taken in (
        ({"effects": "rain"}, "speech"),
        ({"only": "video,effects,speech"}, "music"),
        ({"given_stems": {"effects": VOICE}}, "speech"),
        ({"no": "effects", "music": "a waltz"}, "speech"),
    ):
        made = FakeBackend().generate("x", task="animate", source=VOICE, **fields)
        assert f"one mix, and is taken for {taken}; mix_as" in made.metadata["notices"]
        assert (made.stems[taken] == VOICE.waveform).all()


def test_extend_goes_on_under_a_given_stem():
    source = film()
    made = FakeBackend().generate("x", task="extend", source=source, seconds=2.0, given_stems={"music": SONG})
    assert (len(made.frames), made.waveform.shape) == (48, (2, 64_000))
    assert tuple(made.stems) == ("effects", "music")
    assert (made.stems["music"][:, 32_000:] == SONG.waveform[:, 32_000:]).all(), "it begins with the clip"
    assert not made.stems["music"][:, : 32_000 - FADE].any(), "the clip itself stays as it is"
    assert (made.waveform[:, : 32_000 - FADE] == source.waveform[:, : 32_000 - FADE]).all()
    assert made.stems["effects"][:, 32_000:].any()
    assert sums(made)
    # a film that was made under the same music: the join cannot be heard, since it is not there
    music = SONG.waveform[:, :32_000]
    apart = source.with_(waveform=source.waveform + music, stems={"effects": source.waveform, "music": music})
    whole = FakeBackend().generate("x", task="extend", source=apart, seconds=2.0, given_stems={"music": SONG})
    assert np.abs(whole.stems["music"] - SONG.waveform).max() < 1e-7
    short = FakeBackend().generate(
        "x", task="extend", source=source, seconds=2.0, given_stems={"music": tone(440, 3.0)}
    )
    assert "the given music lasts 3 s, the clip 4 s: silence follows" in short.metadata["notices"]
    assert not short.stems["music"][:, 48_000:].any()


def test_retake_of_a_span_has_the_given_samples_there():
    source = film()
    words = tone(200, 2.0, rate=48_000, channels=1)
    made = FakeBackend().generate(
        "x", task="retake", source=source, span=(0.5, 1.25), only="video", given_stems={"speech": words}
    )
    start, end = 8_000, 20_000
    expected = tone(200, 2.0).waveform[:, start:end]
    assert np.abs(made.stems["speech"][:, start:end] - expected)[:, 200:-200].max() < 1e-3, "48 kHz brought to 16"
    outside = np.r_[: start - FADE, end + FADE : 32_000]
    assert not made.stems["speech"][:, outside].any()
    assert (made.stems["effects"] == source.waveform).all()
    assert "the given speech is brought from 48000 to 16000 Hz" in made.metadata["notices"]
    assert "lasts" not in made.metadata["notices"]
    assert sums(made)
    same = FakeBackend().generate("x", task="retake", source=source, span=(0.5, 1.25), given_stems={"speech": VOICE})
    assert (same.stems["speech"][:, start:end] == VOICE.waveform[:, start:end]).all(), "at the clip's rate to the bit"
    short = FakeBackend().generate(
        "x", task="retake", source=source, span=(0.5, 1.25), given_stems={"speech": tone(200, 1.0)}
    )
    assert "the given speech lasts 1 s, what is made ends at 1.25 s: silence follows" in short.metadata["notices"]


def test_marks_are_in_what_was_made_alone():
    """A voice that is kept has all its bits, also where the clip is a little longer than it."""
    voice = tone(200, 1.99)
    request = Request("x", task="animate", source=voice, mix_as="speech", effects="rain")
    made = FakeBackend().generate(request)
    assert made.waveform.shape[1] > voice.waveform.shape[1]
    found = made_of(made, request)
    assert (found.stems, found.part) == (("effects",), True)
    marked = mark_clip(made, found, [b"1" * 32])
    assert (marked.stems["speech"] == made.stems["speech"]).all()
    assert (marked.stems["effects"] != made.stems["effects"]).any()
    retake = Request("x", task="retake", source=film(), span=(0.5, 1.0), only="video", given_stems={"music": SONG})
    found = made_of(FakeBackend().generate(retake), retake)
    assert (found.stems, found.samples) == ((), (0, 0))
    assert found.frames[1] > found.frames[0]


def test_the_model_is_given_what_the_film_will_have(tiny_stems_model: Path):
    model = NativeBackend.load(tiny_stems_model, device="cpu")
    trained = model.parts.trained
    times = np.arange(24_000) / 24_000
    wave = np.stack([0.1 * np.sin(2 * np.pi * 300 * times)] * 2).astype(np.float32)
    source = Clip(np.zeros((24, 128, 128, 3), np.uint8), Fraction(24), wave, 24_000)
    song = tone(440, 1.0, rate=24_000)
    request = Request(
        "x", task="retake", source=source, span=(0.25, 0.75), mix_as="effects", given_stems={"music": song}
    )
    canvas = lay_out(work_out(request, trained), trained)
    assert canvas.stems == (1, 2)
    effects, music = canvas.sample_states
    assert (music == KEEP).all()
    assert (effects[6_000:18_000] == MAKE).all()
    assert (canvas.waveform[1][:, 6_000:18_000] == song.waveform[:, 6_000:18_000]).all()
    given = model._given(Part(0, 1, range(24), trained.grid(24), canvas))
    assert given.mask.audio[0, 1].all()
    assert not given.mask.audio[0, 0].all()
    made = model.generate(request)
    level = made.stems["music"][:, 6_000:18_000].std() / song.waveform[:, 6_000:18_000].std()
    assert np.allclose(made.stems["music"][:, 6_500:17_500], level * song.waveform[:, 6_500:17_500], atol=1e-6)
    other = model.generate(request, given_stems={"music": tone(990, 1.0, rate=24_000)})
    assert (other.frames[7:17] != made.frames[7:17]).any(), "the picture hears it"


def test_a_cascade_says_that_it_adds_nothing_to_a_clip():
    both = Cascade("one+two", FakeBackend(), FakeBackend())
    for fields in (
        {"task": "animate", "source": VOICE, "effects": "rain", "mix_as": "speech"},
        {"task": "extend", "source": film(), "seconds": 1.0, "given_stems": {"music": SONG}},
    ):
        with pytest.raises(PhonofilmError, match=r"is two models, of which neither can (animate|extend) with"):
            both.generate("x", **fields)
