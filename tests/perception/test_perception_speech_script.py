"""Words in quotes: which are spoken, by whom, and when."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from phonofilm import PhonofilmError
from phonofilm.perception.speech.plan import LOUDNESS, after_one_another, events, leveled, place, speak, stem
from phonofilm.perception.speech.registry import TextToSpeech
from phonofilm.perception.speech.script import Line, Speaker, cast, given_line, quoted_lines, script

WOMAN, MAN = Speaker("woman"), Speaker("man")


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ('A woman says "hi", then a man answers "hello"', [("hi", WOMAN), ("hello", MAN)]),
        ('A woman with red hair says "hello there" while it rains.', [("hello there", WOMAN)]),
        ("“Good morning,” says an old man. A girl answers “Hi!”", [("Good morning", MAN), ("Hi!", WOMAN)]),
        ('"Hello", says a woman, and a man answers "yes"', [("Hello", WOMAN), ("yes", MAN)]),
        ('A woman tells a man "come here", and he says "no"', [("come here", WOMAN), ("no", MAN)]),
        ('A man says "a". She smiles. He says "b".', [("a", MAN), ("b", MAN)]),
        ('The first man says "a", the second "b".', [("a", MAN), ("b", Speaker("man", 2))]),
        ("A man says ‘it’s me’, another man ‘who’s there’", [("it’s me", MAN), ("who’s there", Speaker("man", 2))]),
        ('The first says "a". The second says "b".', [("a", Speaker()), ("b", Speaker("", 2))]),
        ("«Bonjour» says a woman. „Tag“", [("Bonjour", WOMAN), ("Tag", WOMAN)]),
        ('A sign reads "open"', [("open", Speaker())]),
        ("A 5\" pipe and a 3\" nail; it's the dogs' day", []),
        ('An empty "" and a lone " mark', []),
    ],
)
def test_words_in_quotes_and_who_says_them(prompt, said):
    assert [(line.text, line.speaker) for line in quoted_lines(prompt)] == said


def test_a_given_line_says_when_and_who():
    assert given_line("hello") == Line("hello")
    assert given_line("hello @ 1.5") == Line("hello", at=1.5)
    assert given_line("second woman: hello@2") == Line("hello", Speaker("woman", 2), 2.0)
    assert given_line("hello@5e-1") == Line("hello", at=0.5)
    assert given_line("write to me@home") == Line("write to me@home")
    assert given_line("Note: be careful") == Line("Note: be careful")


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("hi@-1", "-1 s; choose 0 or later"),
        ("hi@inf", "inf s"),
        ("hi@1e400", "inf s"),
        ("@2", "says nothing"),
        ("@x", "says nothing"),
        ("  ", "says nothing"),
    ],
)
def test_a_line_that_cannot_be_said(said, problem):
    with pytest.raises(PhonofilmError, match=problem):
        given_line(said)


def test_a_given_line_places_the_quote_with_its_words():
    lines = script('A man says "Hello there".', ["hello there!@2", "bye@3"])
    assert lines == (Line("Hello there", MAN, 2.0), Line("bye", Speaker(), 3.0))


def test_each_speaker_has_a_voice_of_their_own():
    lines = quoted_lines('A woman says "a", another woman "b", a man "c".')
    assert list(cast(lines).values()) == ["heart", "heart-3", "joe"]
    assert list(cast(lines, ["joe", "fake"]).values()) == ["joe", "fake", "joe"]
    with pytest.raises(PhonofilmError, match="2 voices are given and 1 person speaks"):
        cast(lines[:1], ["heart", "joe"])


def test_lines_follow_one_another_and_give_way_to_those_that_have_a_time():
    assert place([1.0, 1.0], [None, None], 4.0) == pytest.approx([0.3, 1.6])
    assert place([1.0, 1.0], [None, 0.5], 4.0) == pytest.approx([1.8, 0.5])
    assert place([1.0, 1.0], [None, None], 2.3) == pytest.approx([0.15, 1.3])  # with shorter pauses
    starts = place([0.5, 0.7, 0.4], [None, 1.0, None], 3.0)
    spans = sorted(zip(starts, np.add(starts, [0.5, 0.7, 0.4]), strict=True))
    assert all(later[0] >= earlier[1] for earlier, later in itertools.pairwise(spans))


@pytest.mark.parametrize(
    ("lengths", "asked", "problem"),
    [
        ([3.0, 2.0], [None, None], r"the words take 5.1 s and the clip has 4 s; use fewer words or a longer clip"),
        ([1.0], [3.5], r"'a' at 3.5 s takes 1.0 s and the clip ends at 4 s"),
        ([1.0, 1.0], [1.0, 1.5], r"'b' at 1.5 s begins before 'a' at 1 s ends, at 2.00 s; say it later"),
    ],
)
def test_lines_that_do_not_fit_are_one_line(lengths, asked, problem):
    with pytest.raises(PhonofilmError, match=problem):
        place(lengths, asked, 4.0, ["a", "b"][: len(lengths)])


def test_lines_become_one_stem_in_which_every_word_is_where_it_is_said():
    lines = script("", ["woman: hello you@0.5", "man: yes@1.5"])
    placed = speak(lines, ["fake", "fake+5"], 3.0, TextToSpeech())
    placed = tuple(one.at_rate(24_000) for one in placed)
    sound = stem(placed, 0, 72_000, 24_000)
    assert sound.dtype == np.float32
    assert sound.shape == (2, 72_000)
    assert [(round(e.time, 2), e.label) for e in events(placed)] == [
        (0.5, "hello you"), (0.5, "hello"), (0.8, "you"), (1.5, "yes"), (1.5, "yes"),
    ]  # fmt: skip
    heard = np.abs(sound[0])
    for event in events(placed):
        assert heard[round((event.time + 0.02) * 24_000) : round((event.time + 0.04) * 24_000)].max() > 0.05
    assert not heard[: round(0.47 * 24_000)].any()
    assert not heard[round(1.0 * 24_000) : round(1.47 * 24_000)].any()
    # a part of a long film is the same samples
    assert np.array_equal(stem(placed, 20_000, 9_000, 24_000), sound[:, 20_000:29_000])


def test_lines_of_subtitles_wait_for_one_another():
    assert after_one_another([1.0, 1.0, 0.5], [0.5, 1.0, 4.0], 5.0) == pytest.approx([0.5, 1.55, 4.0])
    with pytest.raises(PhonofilmError, match=r"'b' would end at 2.5 s, after the clip's end at 2 s"):
        after_one_another([1.0, 1.0], [0.45, 1.0], 2.0, ["a", "b"])


def test_every_voice_is_brought_to_one_loudness():
    tone = np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000).astype(np.float32)
    for level in (0.01, 0.9):
        assert np.sqrt((leveled(level * tone, 16_000) ** 2).mean()) == pytest.approx(LOUDNESS, rel=0.02)
    assert not leveled(np.zeros(100, np.float32), 16_000).any()
