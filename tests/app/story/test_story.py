"""A storyboard becomes a film: shots on the clock, music that goes on, shots that stay while one is made again."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phonofilm.app.cli.main import main
from phonofilm.app.jobs.pool import BackendPool
from phonofilm.app.jobs.spec import RequestSpec
from phonofilm.app.story.board import Placed, read_story, timeline
from phonofilm.app.story.joining import lay, pictures
from phonofilm.app.story.making import StorySpec, make_story
from phonofilm.backends.fake import FakeBackend
from phonofilm.errors import PhonofilmError
from phonofilm.media import read_clip
from phonofilm.types import Clip

BOARD = """
size = 64
fps = 24
[music]
prompt = "slow piano"
[cast]
anna = "Anna is a woman with red hair"
[places]
kitchen = "a yellow kitchen"
[[shot]]
prompt = "she looks up"
seconds = 1
cast = ["anna"]
place = "kitchen"
effects = "a clock"
[[shot]]
prompt = "rain"
seconds = 1
place = "kitchen"
join = "dissolve"
overlap = 0.25
[[shot]]
prompt = "a street"
seconds = 0.75
"""
PLAIN = ["--model", "fake", "--no-watermark", "--no-sign", "--no-log"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "film.toml").write_text(BOARD)
    return tmp_path


def ran(capsys, *arguments: str) -> tuple[int, dict, str]:
    capsys.readouterr()
    code = main([*arguments, "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out), captured.err


def test_shots_lie_on_one_clock(folder) -> None:
    story = read_story("film.toml")
    assert timeline(story, Fraction(24)) == (Placed(0, 24, 0), Placed(18, 24, 6), Placed(42, 18, 0))
    assert story.text(0) == "a yellow kitchen. she looks up. Anna is a woman with red hair."
    assert story.text(2) == "a street."
    assert (story.first_with("kitchen"), story.first_with("anna")) == (0, 0)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("[[shot]]", "[[take]]", "has \\[\\[shot\\]\\] sections"),
        ('prompt = "rain"', 'prompt = " "', "shot 2: the prompt is empty"),
        ("seconds = 0.75", "seconds = 0", "shot 3: 0 s is not possible"),
        ("seconds = 0.75", "", "shot 3: setting seconds is missing"),
        ("overlap = 0.25", "overlap = 2", "shot 2: an overlap of 2 s is not possible"),
        ('join = "dissolve"', 'join = "wipe"', "shot 2: join = 'wipe' is unknown; choose cut or dissolve"),
        ('cast = ["anna"]', 'cast = ["bob"]', "shot 1: nobody in \\[cast\\] is called 'bob'"),
        ('place = "kitchen"', 'place = "hall"', "shot 1: \\[places\\] has no 'hall'|no place"),
        ('prompt = "slow piano"', "", "\\[music\\] has either prompt"),
        ('prompt = "slow piano"', 'file = "none.wav"', "the music none.wav is not there"),
        ("size = 64", "colour = 1", "unknown setting 'colour'"),
        ('anna = "Anna is a woman with red hair"', "anna = 3", "\\[cast\\]"),
        ("effects =", "efects =", "shot 1: unknown setting"),
    ],
)
def test_what_is_wrong_with_a_board_is_told_with_its_shot(folder, before, after, said) -> None:
    assert before in BOARD
    Path("film.toml").write_text(BOARD.replace(before, after))
    with pytest.raises(PhonofilmError, match=said):
        read_story("film.toml")


def test_a_first_shot_does_not_dissolve_and_none_is_shorter_than_its_dissolves() -> None:
    Path("film.toml").write_text('[[shot]]\nprompt = "a"\nseconds = 1\njoin = "dissolve"')
    with pytest.raises(PhonofilmError, match="shot 1 begins the film"):
        read_story("film.toml")
    shots = ['[[shot]]\nprompt = "a"\nseconds = 1\n']
    shots += ['[[shot]]\nprompt = "a"\nseconds = 1\njoin = "dissolve"\noverlap = 0.6\n'] * 2
    Path("film.toml").write_text("".join(shots))
    with pytest.raises(PhonofilmError, match="shot 3: shot 2 is too short for the dissolves on its two sides"):
        read_story("film.toml")


def test_cuts_are_hard_and_dissolves_are_mixtures() -> None:
    shots = [Clip(np.full((count, 2, 2, 3), level, np.uint8), Fraction(24)) for count, level in ((24, 0), (24, 140))]
    cut = [int(frame.max()) for frame in pictures(shots.__getitem__, [Placed(0, 24, 0), Placed(24, 24, 0)])]
    assert cut == [0] * 24 + [140] * 24
    mixed = [int(frame.max()) for frame in pictures(shots.__getitem__, [Placed(0, 24, 0), Placed(18, 24, 6)])]
    assert mixed == [0] * 18 + [20, 40, 60, 80, 100, 120] + [140] * 18


def test_the_sound_of_a_shot_ends_at_its_cut() -> None:
    random, film = np.random.default_rng(0), np.zeros((2, 48_000), np.float32)
    own = random.standard_normal((2, 30_000)).astype(np.float32)
    lay(film, own, Placed(0, 24, 0), 0, Fraction(24), 24_000)
    assert not film[:, 24_000:].any(), "nothing of it is heard in the next shot"
    assert np.array_equal(film[:, :23_000], own[:, :23_000])
    assert abs(film[0, 23_999]) < 0.05, "and it does not click"
    film[:] = 0
    for place, after in ((Placed(0, 24, 0), 12), (Placed(12, 24, 12), 0)):
        lay(film, random.standard_normal((2, 24_000)).astype(np.float32), place, after, Fraction(24), 24_000)
    power = [np.mean(film[:, start : start + 6000] ** 2) for start in range(0, 36_000, 6000)]
    assert max(power) / min(power) < 1.15, "a dissolve is as loud as what it joins"


def test_a_film_of_shots_and_a_retake_that_leaves_the_others(capsys, folder) -> None:
    """The music is one wave over both cuts; after a retake every other frame and sample is the same bit for bit."""
    code, facts, _ = ran(capsys, "story", "film.toml", "-o", "film.mkv", "--sheet", "film.png", *PLAIN)
    assert code == 0, facts
    rate = facts["sample_rate"]
    assert (facts["frames"], facts["samples"], facts["starts"]) == (60, rate * 5 // 2, [0.0, 0.75, 1.75])
    assert facts["made"] == [1, 2, 3]
    (note,) = [line for line in facts["notices"] if "memory" in line]
    assert note.startswith("fake has no memory of kitchen: each shot is told of them in words alone")
    first = read_clip("film.mkv")
    assert first.frames.shape == (60, 64, 64, 3)
    expected = 0.02 * np.sin(2 * np.pi * 220 * np.arange(rate * 5 // 2) / rate)  # as the fake backend hums music
    for second in (1.0, 1.75):  # around the end of the dissolve and the cut, where no effect is heard
        around = slice(int((second - 0.05) * rate), int((second + 0.05) * rate))
        speech = first.waveform[0, around] - expected[around]
        assert np.abs(speech).max() < 0.03, "all that is left is the hum of the speech"
        assert np.abs(first.waveform[0, around]).max() > 0.015
    image = Image.open("film.png")
    assert image.size[0] == 1600
    assert len(np.unique(np.asarray(image).reshape(-1, 3), axis=0)) > 50
    names = facts["shots"]
    before = [Path(name).read_bytes() for name in names]
    code, facts, _ = ran(capsys, "story", "film.toml", "-o", "film.mkv", "--retake", "3:77", *PLAIN)
    assert (code, facts["made"], facts["seeds"]) == (0, [3], [0, 1, 77])
    assert facts["shots"][:2] == names[:2]
    assert [Path(name).read_bytes() for name in names[:2]] == before[:2]
    assert not Path(names[2]).exists(), "the take that was replaced is gone"
    again = read_clip("film.mkv")
    assert np.array_equal(first.frames[:42], again.frames[:42])
    assert not np.array_equal(first.frames[42:], again.frames[42:])
    assert np.array_equal(first.waveform[:, : int(1.7 * rate)], again.waveform[:, : int(1.7 * rate)])
    code, facts, _ = ran(capsys, "story", "film.toml", "-o", "film.mkv", "--resume", *PLAIN)
    assert (facts["made"], facts["seeds"]) == ([], [0, 1, 77]), "a retake stays"
    Path("film.toml").write_text(BOARD.replace('"rain"', '"snow"'))
    code, facts, _ = ran(capsys, "story", "film.toml", "-o", "film.mkv", "--resume", *PLAIN)
    assert facts["made"] == [2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--retake", "9"], "there is no shot 9 to take again; there are 3"),
        (["--retake", "x"], "--retake 'x' is not possible"),
        (["--sheet", "film.jpg"], "a contact sheet is a picture; name it .png"),
    ],
)
def test_what_is_not_possible_is_one_line(capsys, arguments, said) -> None:
    code, facts, _ = ran(capsys, "story", "film.toml", "-o", "film.mkv", *arguments, *PLAIN)
    assert code == 1
    assert said in facts["error"]
    assert not Path("film.mkv").exists()


class Remembers(FakeBackend):
    """Keeps what it was asked to remember, and makes shots with it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[str]] = []

    def remember(self, clip):
        return clip.frames.mean()

    def generate_with(self, request, memories, progress=None, cancel=None):
        self.seen.append(sorted(memories))
        return self.generate(request, progress, cancel)


def test_a_model_with_memory_gets_the_first_appearances(monkeypatch) -> None:
    backend = Remembers()
    monkeypatch.setattr("phonofilm.app.jobs.pool.load", lambda *arguments, **options: backend)
    base = replace(RequestSpec(prompt="-", model="fake"), sign=False, watermark=False, log=False)
    facts = make_story(StorySpec(read_story("film.toml"), base, Path()), Path("film.mkv"), pool=BackendPool())
    assert backend.seen == [[], ["kitchen"], []]
    assert facts["frames"] == 60
