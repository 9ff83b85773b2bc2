"""Words of a job: said where they are asked for, given to a model with speech, laid over the sound of another."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from phonofilm import PhonofilmError
from phonofilm.app.jobs.batch import read_items
from phonofilm.app.jobs.pool import BackendPool
from phonofilm.app.jobs.runner import check_job, run
from phonofilm.app.jobs.soundtrack import SoundtrackSpec, make_soundtrack
from phonofilm.app.jobs.spec import RequestSpec
from phonofilm.app.jobs.speech import laid_over, told
from phonofilm.backends.base import JobContext
from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.backends.fake import FakeBackend
from phonofilm.media import read_clip, write_clip
from phonofilm.media.sound.loudness import loudness
from phonofilm.media.sound.reading import sound_pieces
from phonofilm.media.subtitle_files import read_subtitles
from phonofilm.perception.speech.plan import speak
from phonofilm.perception.speech.registry import TextToSpeech
from phonofilm.perception.speech.script import Line
from phonofilm.types import Clip

TALK = 'A woman says "hello", then a man answers "yes".'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tone(hertz: float, seconds: float, rate: int, level: float = 0.2) -> np.ndarray:
    wave = level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.stack([wave, wave]).astype(np.float32)


def film(name: str, seconds: float = 3.0, sound: np.ndarray | None = None, rate: int = 24_000) -> str:
    frames = np.zeros((round(12 * seconds), 16, 16, 3), np.uint8)
    frames[::6] = 255
    write_clip(Clip(frames, Fraction(12), sound, rate if sound is not None else None), name)
    return name


def at(waveform: np.ndarray, rate: int, hertz: float, start: float, end: float) -> float:
    """How loud a pitch is in a stretch of sound, as the amplitude of a sine."""
    part = waveform[0, round(start * rate) : round(end * rate)]
    turn = np.exp(-2j * np.pi * hertz * np.arange(len(part)) / rate)
    return float(2 * abs((part * turn).mean()))


def test_words_in_quotes_are_given_to_a_model_as_its_speech():
    spec = RequestSpec(TALK, model="fake", seconds=2, voices=("fake", "fake+5"), subtitles=True)
    facts = run(spec, "talk.mkv")
    assert [(line["text"], line["voice"]) for line in facts["said"]] == [("hello", "fake"), ("yes", "fake+5")]
    clip = read_clip("talk.mkv")
    words = [event for event in clip.events if event.kind == "word"]
    assert [word.label for word in words] == ["hello", "yes"]
    for word in words:  # heard when it is said to be
        start, end = (round(time * clip.sample_rate) for time in (word.time + 0.02, word.end - 0.02))
        assert np.abs(clip.waveform[:, start:end]).max() > 0.05
    assert facts["subtitles"] == "talk.vtt"
    for source in ("talk.vtt", "talk.mkv"):
        assert [cue.text for cue in read_subtitles(source) if cue.text[0] != "["] == ["hello", "yes"]
    assert json.loads(clip.metadata["said"]) == facts["said"]


def test_a_few_words_do_not_make_a_clip_shorter():
    run(RequestSpec('A woman says "hi".', model="fake", voices=("fake",)), "whole.mkv")
    assert read_clip("whole.mkv").seconds == pytest.approx(4.0, abs=0.1)


def test_say_places_a_quote_and_words_take_the_place_that_is_left():
    spec = RequestSpec(TALK, model="fake", seconds=2, voices=("fake", "fake"), say=("yes@0.1",))
    starts = {line["text"]: line["start"] for line in run(spec, "talk.wav")["said"]}
    assert starts == {"yes": 0.1, "hello": pytest.approx(0.55, abs=0.06)}


def test_a_model_of_one_mix_gives_way_to_words_that_are_laid_over_it():
    placed = speak([Line("hello", at=1.0)], ["fake"], 3.0, TextToSpeech())
    clip = Clip(waveform=tone(1000, 3, 16_000), sample_rate=16_000)
    notices: list[str] = []
    backend = FakeBackend(ModelDefaults())
    made = told(clip, placed, backend, JobContext(tell=notices.append))
    assert made.waveform.shape == clip.waveform.shape
    assert at(made.waveform, 16_000, 1000, 0.2, 0.9) == pytest.approx(0.2, rel=0.02)
    assert at(made.waveform, 16_000, 1000, 1.2, 1.4) < 0.2 * 10 ** (-8 / 20)
    assert at(made.waveform, 16_000, 200 + sum(map(ord, "hello")) % 200, 1.02, 1.23) > 0.1
    assert notices == [
        "the model has no speech of its own: the words are laid over its sound, and no mouth moves to them"
    ]
    loud = laid_over(Clip(waveform=tone(1000, 3, 16_000, 0.99), sample_rate=16_000), placed)
    assert np.abs(loud.waveform).max() < 0.9
    silent = laid_over(Clip(np.zeros((36, 8, 8, 3), np.uint8), Fraction(12)), placed)
    assert silent.waveform.shape == (2, 72_000)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"prompt": 'A "Привет"', "voices": ("fake",)}, "does not know the letters"),
        ({"prompt": 'A "hi"', "voices": ("fake", "fake")}, "2 voices are given and 1 person speaks"),
        ({"prompt": "x", "say": ("hi",), "no": ("speech",)}, "speech is not made"),
    ],
)
def test_a_batch_hears_of_words_that_cannot_be_said_before_anything_is_made(fields, problem):
    with pytest.raises(PhonofilmError, match=problem):
        check_job(RequestSpec(model="fake", **fields), FakeBackend())


def test_other_tasks_say_nothing():
    faults = [str(f) for f in RequestSpec(task="foley", source="x.mp4", say=("hi",)).faults()]
    assert faults == ["say: foley says nothing; generate does, and soundtrack puts words into a film"]


def test_a_sound_track_keeps_the_own_sound_gives_way_to_words_and_has_its_loudness():
    source = film("film.mkv", 4.0, tone(1000, 4, 24_000))
    making = RequestSpec(task="foley", source=source)
    spec = SoundtrackSpec(making, make=False, say=("hello hello@1.5",), voices=("fake",), keep=True, subtitles=True)
    facts = make_soundtrack(spec, (out := Path("out.mkv")))
    assert facts["picture"] == "copied"
    assert facts["subtitles"] == "out.vtt"
    clip = read_clip(out)
    assert np.array_equal(clip.frames, read_clip(source).frames)
    assert (clip.sample_rate, clip.waveform.shape) == (48_000, (2, 192_000))
    found = loudness([clip.waveform], 48_000)
    assert found.integrated == pytest.approx(-23.0, abs=0.2)
    before, under, after = (at(clip.waveform, 48_000, 1000, *span) for span in ((0.5, 1.4), (1.8, 2.0), (3.7, 3.9)))
    assert under < 0.4 * before
    assert after == pytest.approx(before, rel=0.1)
    assert [cue.text for cue in read_subtitles("out.mkv")] == ["hello hello"]
    assert clip.metadata["own_sound"] == "kept"
    assert clip.metadata["ai_generated"] == "true"


def test_effects_of_a_model_in_windows_and_music_from_a_file_as_loud_as_on_the_web():
    source = film("film.mp4", 11.0)
    write_clip(Clip(waveform=tone(2000, 2, 16_000, 0.3), sample_rate=16_000), "song.wav")
    spec = SoundtrackSpec(
        RequestSpec("a flash", task="foley", source=source, model="fake"), music_file="song.wav", loudness=-14.0
    )
    facts = make_soundtrack(spec, Path("out.mkv"), pool=BackendPool())
    clip = read_clip("out.mkv")
    assert clip.waveform.shape[1] == 11 * clip.sample_rate
    found = loudness([clip.waveform], clip.sample_rate)
    assert found.true_peak < -1.0
    assert found.integrated == pytest.approx(facts["lufs"], abs=0.1)
    assert at(clip.waveform, clip.sample_rate, 2000, 0.1, 0.4) > 0.05
    assert at(clip.waveform, clip.sample_rate, 2000, 2.1, 2.4) < 0.01
    assert np.abs(clip.waveform[:, round(10.5 * clip.sample_rate) :]).max() > 0.05  # the last beep


def test_of_music_that_is_asked_for_alone_no_effects_come():
    """The film's own sound stays, and a model that keeps stems apart makes nothing but music."""
    source = film("film.mkv", 4.0, tone(1000, 4, 24_000))
    heard = {}
    for name, make in (("music", False), ("both", True)):
        making = RequestSpec("", task="foley", source=source, model="fake", music="a waltz")
        make_soundtrack(SoundtrackSpec(making, make=make, keep=True), Path(f"{name}.mkv"), pool=BackendPool())
        clip = read_clip(f"{name}.mkv")
        own = at(clip.waveform, clip.sample_rate, 1000, 0.1, 0.4)
        heard[name] = [
            np.abs(clip.waveform[:, round(s * clip.sample_rate) :][:, :800]).max() / own for s in (0.1, 0.53)
        ]
        assert at(clip.waveform, clip.sample_rate, 220, 0.1, 0.4) > 0.02 * own, "the hum is the music"
    assert heard["music"][1] == pytest.approx(heard["music"][0], rel=0.3)
    assert heard["both"][1] > 1.5 * heard["both"][0], "effects beep half a second into every second"


def test_subtitles_of_a_film_are_its_words():
    source = film("film.mp4", 6.0)
    Path("film.srt").write_text(
        "1\n00:00:01,000 --> 00:00:01,200\nMAN: hello hello hello\n\n"
        "2\n00:00:01,500 --> 00:00:02,000\n[thunder] yes\n\n3\n00:00:04,000 --> 00:00:05,000\n(sighs)\n",
        encoding="utf-8",
    )
    spec = SoundtrackSpec(RequestSpec(task="foley", source=source, model="fake"), say=("subtitles",), voices=("fake",))
    facts = make_soundtrack(spec, Path("out.wav"))
    assert [(line["text"], line["start"]) for line in facts["said"]] == [
        ("hello hello hello", 1.0), ("yes", pytest.approx(1.9, abs=0.02)),
    ]  # fmt: skip


def test_a_late_sound_and_its_gap_are_silence(tmp_path):
    write_clip(Clip(waveform=tone(500, 2, 16_000), sample_rate=16_000), "sound.wav")
    whole = np.concatenate(list(sound_pieces("sound.wav", 16_000)), axis=1)
    later = np.concatenate(list(sound_pieces("sound.wav", 16_000, Fraction(1, 2), Fraction(3))), axis=1)
    assert whole.shape == (2, 32_000)
    assert later.shape == (2, 48_000)
    assert np.array_equal(later[:, :24_000], whole[:, 8000:])
    assert not later[:, 24_000:].any()
    early = np.concatenate(list(sound_pieces("sound.wav", 16_000, Fraction(-1), Fraction(2))), axis=1)
    assert not early[:, :16_000].any()
    assert np.array_equal(early[:, 16_000:], whole[:, :16_000])


def test_the_subtitles_of_a_film_that_is_read_are_not_replaced(tmp_path):
    source = film("own.mp4", 1.0, tone(200, 1.0, 24_000))
    Path("own.vtt").write_text("WEBVTT\n\n00:00:00.100 --> 00:00:00.900\nMy own words.\n")
    spec = SoundtrackSpec(
        RequestSpec("", "foley", model="fake", source=source), make=False, keep=True, say=("Other@0.1",),
        voices=("fake",), subtitles=True,
    )  # fmt: skip
    with pytest.raises(PhonofilmError, match="is read and would be replaced"):
        make_soundtrack(spec, Path("own.mkv"))
    assert "My own words." in Path("own.vtt").read_text()
    assert not Path("own.mkv").exists()


def test_words_that_nobody_says_are_told_of():
    notes: list[str] = []
    run(RequestSpec(TALK, model="fake", seconds=1, only=("video",)), "mute.mp4", JobContext(tell=notes.append))
    assert any("words in quotes are not spoken" in note for note in notes)


def test_two_clips_of_a_batch_do_not_share_a_file_of_subtitles(tmp_path):
    lines = tmp_path / "lines.jsonl"
    names = ("words", "words.mkv", "others.mkv")
    lines.write_text("".join(json.dumps({"prompt": "a", "name": name, "subtitles": True}) + "\n" for name in names))
    items, faults = read_items(lines, RequestSpec("", model="fake"), tmp_path / "out")
    assert [item.path.name for item in items] == ["words.mp4", "others.mkv"]
    assert len(faults) == 1
    assert "'words.vtt' is the name of line 1 already" in faults[0]
