"""Which parts of a film are asked for, and what of that makes no sense."""

from __future__ import annotations

import numpy as np
import pytest

import phonofilm
from phonofilm import Clip, PhonofilmError, Request
from phonofilm.backends.canvas.layout import work_out
from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.backends.canvas.stems import Wanted, wanted
from phonofilm.backends.cascade import Cascade
from phonofilm.backends.fake import FakeBackend
from phonofilm.backends.requests import as_request
from phonofilm.choices import STEMS

FILM = Clip(
    frames=np.zeros((24, 16, 16, 3), np.uint8), fps=12, waveform=np.zeros((2, 32_000), np.float32), sample_rate=16_000
)
WORDS = Clip(waveform=np.full((1, 8_000), 0.1, np.float32), sample_rate=16_000)
EXTEND = {"task": "extend", "source": FILM, "seconds": 1.0}
RETAKE = {"task": "retake", "source": FILM, "span": (1.0, 1.5)}
SILENT = FILM.with_(waveform=None, sample_rate=None)
BROKEN = WORDS.with_(waveform=WORDS.waveform * np.float32("nan"))
LONG = Clip(waveform=np.zeros((1, 7_000), np.float32), sample_rate=10)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, Wanted(True, STEMS, (), ())),
        ({"only": "video"}, Wanted(True, (), (), ())),
        ({"only": "audio"}, Wanted(False, STEMS, (), ())),
        ({"only": "music,effects"}, Wanted(False, ("effects", "music"), (), ())),
        ({"only": "video,speech", "no": "music"}, Wanted(True, ("speech",), ("music",), ())),
        ({"no": "music"}, Wanted(True, ("speech", "effects"), ("music",), ())),
        ({"no": "audio"}, Wanted(True, (), (), ())),
        ({"no": "video,speech"}, Wanted(False, ("effects", "music"), ("speech",), ())),
        ({"given_stems": {"speech": WORDS}}, Wanted(True, ("effects", "music"), (), ("speech",))),
        ({"given_stems": {"speech": WORDS}, "only": "video"}, Wanted(True, (), (), ("speech",))),
        ({"task": "animate", "source": FILM}, Wanted(True, (), (), ())),
        ({"task": "animate", "source": FILM, "effects": "rain"}, Wanted(True, ("effects",), (), ())),
        ({"task": "animate", "source": FILM, "only": "video,music"}, Wanted(True, ("music",), (), ())),
        ({"task": "animate", "source": FILM, "no": "music"}, Wanted(True, (), ("music",), ())),
        ({"task": "animate", "source": FILM, "given_stems": {"music": WORDS}}, Wanted(True, (), (), ("music",))),
    ],
)
def test_the_parts_that_are_asked_for(fields, found):
    request = as_request("a red ball", fields)
    assert wanted(request) == found
    assert found.stems == tuple(stem for stem in STEMS if stem in (*found.made, *found.silent, *found.given))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"only": "smell"}, "no part 'smell' of a film; choose from video, audio, speech, effects, music"),
        ({"no": "smell"}, "no part 'smell'"),
        ({"only": ()}, "nothing is left to make"),
        ({"no": "video,audio"}, "nothing is left to make"),
        ({"no": "video,speech,effects,music"}, "nothing is left to make"),
        ({"only": "speech", "given_stems": {"speech": WORDS}}, "nothing is left to make"),
        ({"only": "music", "no": "music"}, "music is in only and in no"),
        ({"only": "audio", "no": "audio"}, "audio is in only and in no"),
        ({"no": "audio", "given_stems": {"speech": WORDS}}, "speech is given and left out"),
        ({"gain": {"voice": 1}}, "no stem 'voice'; choose from speech, effects, music"),
        ({"gain": {"speech": float("nan")}}, "gain of nan dB"),
        ({"gain": {"speech": 200.0}}, "gain of 200 dB is not possible; choose -96 to 24"),
        ({"only": "video,effects", "gain": {"music": 1.0}}, "no music in what is made"),
        ({"given_stems": {"drums": WORDS}}, "no stem 'drums'"),
        ({"given_stems": {"speech": Clip()}}, "given as speech has no sound"),
        (
            {"given_stems": {"speech": BROKEN}},
            "not finite",
        ),
        ({"given_stems": {"speech": LONG}}, "given lasts 700 s; say how much of it to use, up to 600 s"),
        ({"only": "video,speech", "music": "a waltz"}, "prompt for music, which is not made"),
        ({"music": "a \ud800"}, "not text in UTF-8"),
        ({"only": "effects", "image": np.zeros((8, 8, 3), np.uint8)}, "no picture is made"),
        ({"prompt": "", "effects": "rain"}, "prompt is empty"),
        ({"mix_as": "speech"}, "no sound of a clip to work on"),
        ({"mix_as": "noise"}, "no stem 'noise'"),
        ({"task": "foley", "source": FILM, "only": "video"}, "nothing is left"),
        ({"task": "foley", "source": FILM, "no": "video"}, "video cannot be left out"),
        ({"task": "extend", "source": FILM, "seconds": 1.0, "only": "video"}, "omit it"),
        ({"task": "extend", "source": FILM, "seconds": 1.0, "no": "audio"}, "audio cannot be left out"),
        ({"task": "animate", "source": FILM, "only": "speech"}, "animate makes a picture; add video"),
        ({"task": "animate", "source": FILM, "only": "video,audio"}, "keeps the sound of its clip; name the stems"),
        ({"task": "animate", "source": FILM, "no": "audio"}, "audio cannot be left out"),
        ({"task": "animate", "source": FILM, "gain": {"speech": 1.0}}, "no speech in what is made"),
        (
            {"task": "animate", "source": FILM, "only": "video,effects", "music": "a waltz"},
            "prompt for music, which is",
        ),
        (
            {"task": "animate", "source": FILM, "only": "video,effects,music", "given_stems": {"speech": WORDS}},
            "speech, effects, music are all made, given or silent",
        ),
        ({"task": "animate", "source": FILM, "effects": "rain", "mix_as": "effects"}, "effects, which is made"),
        ({"task": "animate", "source": FILM, "no": "music", "mix_as": "music"}, "music, which is silent"),
        ({"task": "animate", "source": FILM, "given_stems": {"speech": WORDS}, "mix_as": "speech"}, "speech is given"),
        ({**EXTEND, "given_stems": {"music": WORDS}}, "music lasts 0.5 s, and what is made begins 2 s into the clip"),
        ({**RETAKE, "given_stems": {"music": WORDS}}, "music lasts 0.5 s, and what is made begins 1 s into the clip"),
        ({**RETAKE, "given_stems": {"music": WORDS}, "mix_as": "music"}, "choose another mix_as"),
        ({**RETAKE, "source": SILENT, "given_stems": {"speech": WORDS}}, "no sound for a given speech to go with"),
    ],
)
def test_what_makes_no_sense_is_one_line(fields, message):
    with pytest.raises(PhonofilmError, match=message) as caught:
        as_request(Request("a red ball"), fields)
    assert "\n" not in str(caught.value)


def test_a_stem_that_is_made_alone_needs_its_own_prompt_only():
    assert as_request("", {"only": "effects", "effects": "rain"}).effects == "rain"
    assert as_request("", {"only": "effects,music", "effects": "rain", "music": "a waltz"}).prompt == ""


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"only": "video,effects"}, "only effects"),
        ({"no": "music"}, "no music"),
        ({"effects": "rain"}, "a prompt for effects"),
        ({"given_stems": {"speech": WORDS}}, "speech that is given"),
        ({"gain": {"music": -3.0}}, "a gain for music"),
    ],
)
def test_a_model_of_one_mix_says_that_it_has_no_stems(fields, what):
    request = as_request("a red ball", {"model": "nano", **fields})
    with pytest.raises(PhonofilmError, match=f"nano has one mix of sound: {what} needs a model with speech, effects"):
        work_out(request, ModelDefaults())


def test_a_cascade_hands_each_model_its_part():
    """The picture's model hears nothing of stems, and the sound's makes those that are asked for."""
    silent = FakeBackend(ModelDefaults())
    both = Cascade("one+two", silent, FakeBackend())
    made = both.generate("a ball", seconds=0.5, no=("music",), gain={"speech": -6.0}, given_stems={"speech": WORDS})
    assert tuple(made.stems) == STEMS
    assert not made.stems["music"].any()
    assert np.abs(made.stems["speech"]).max() == pytest.approx(0.05, abs=2e-3)
    assert made.frames is not None
    assert both.generate("a ball", seconds=0.5, only="video").stems == {}
    assert tuple(both.generate("a ball", seconds=0.5, only="effects,music").stems) == ("effects", "music")
    both.check(Request("a ball", music="a waltz"))
    with pytest.raises(PhonofilmError, match="all of it is given"):
        both.check(Request("a ball", only="video", given_stems={"speech": WORDS}))
    for backend in (Cascade("one+two", silent, silent), silent):
        with pytest.raises(PhonofilmError, match="has one mix of sound: a prompt for music needs"):
            backend.check(Request("a ball", music="a waltz"))


def test_a_model_of_one_mix_makes_picture_alone_or_sound_alone(tiny_model):
    model = phonofilm.load(str(tiny_model), device="cpu")
    both, silent, heard = (model.generate("x", seconds=0.5, only=only) for only in (None, "video", "audio"))
    assert silent.waveform is None
    assert heard.frames is None
    assert silent.frames.shape == both.frames.shape
    assert heard.waveform.shape == both.waveform.shape
    # what is absent has no tokens: it is neither seen nor heard by the other
    assert (silent.frames != both.frames).any()
    assert (heard.waveform != both.waveform).any()
    other = model.generate("x", seconds=0.5, only="video", audio_seed=7)
    assert (other.frames == silent.frames).all()
