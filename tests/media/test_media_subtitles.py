"""Subtitles: what is written is read, what others write too, and what is no subtitle file is one line."""

from __future__ import annotations

import av
import numpy as np
import pytest

from phonofilm import PhonofilmError
from phonofilm.media import write_clip
from phonofilm.media.subtitle_files import read_subtitles, subtitles_of
from phonofilm.media.subtitles.cues import Cue, cues_of, subrip, webvtt
from phonofilm.types import Clip, Event

CUES = (Cue(0.5, 1.5, "Hello <there> & you"), Cue(3601.25, 3602.0, "[thunder]"))


@pytest.mark.parametrize(("suffix", "written"), [(".vtt", webvtt), (".srt", subrip)])
def test_what_is_written_is_read(tmp_path, suffix, written):
    path = tmp_path / f"said{suffix}"
    cues = CUES if suffix == ".vtt" else (Cue(0.5, 1.5, "Hello there & you"), CUES[1])
    path.write_text(written(cues), encoding="utf-8")
    assert read_subtitles(path) == cues if suffix == ".srt" else read_subtitles(path)[1] == cues[1]


def test_the_text_of_a_webvtt_file():
    assert webvtt(CUES[:1]) == "WEBVTT\n\n00:00:00.500 --> 00:00:01.500\nHello &lt;there&gt; &amp; you\n"
    assert webvtt([Cue(1, 1, "a\n\nb --> c")]).endswith("00:00:01.000 --> 00:00:01.001\na b → c\n".replace("→", "→"))


@pytest.mark.parametrize(
    ("name", "content", "cues"),
    [
        (
            "a.srt",
            "1\r\n00:00:00,500 --> 00:00:01,500\r\n{\\an8}Hi <i>there</i>\r\nyou\r\n\r\n",
            [(0.5, 1.5, "Hi there you")],
        ),
        (
            "a.vtt",
            "WEBVTT - title\n\nNOTE no\n\nx\n00:02.000 --> 00:03.000 align:start\n<v Ann>B &amp; c\n\n"
            "00:01.000 --> 00:01.500\na\n",
            [(1.0, 1.5, "a"), (2.0, 3.0, "B & c")],
        ),
        ("b.srt", "1\n00:00:01,000 --> 00:00:02,000\nCaf\xe9\n".encode("cp1252"), [(1.0, 2.0, "Café")]),
        ("c.srt", "1\n00:00:01,000 --> 00:00:02,000\nCafé\n".encode("utf-16"), [(1.0, 2.0, "Café")]),
        ("d.vtt", "\ufeffWEBVTT\n\n00:01.000 --> 00:02.000\na\n", [(1.0, 2.0, "a")]),
    ],
)
def test_files_of_others(tmp_path, name, content, cues):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert [(cue.start, cue.end, cue.text) for cue in read_subtitles(path)] == cues


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (
            "a.srt",
            b"hello world\nthis is a letter\n",
            "a.srt is no subtitle file that can be read; check that it has times and text",
        ),
        ("a.vtt", b"", "is no subtitle file"),
        ("a.vtt", bytes(range(256)) * 40, "is no subtitle file"),
        ("a.vtt", b"WEBVTT\n\nx --> y\nhello\n", "holds no line of subtitles"),
        ("a.srt", b"1\n00:00:05,000 --> 00:00:01,000\nbackwards\n", "holds no line of subtitles"),
    ],
)
def test_what_is_no_subtitle_file_is_one_line(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PhonofilmError, match=problem):
        read_subtitles(tmp_path / name)


@pytest.fixture
def clip():
    frames = np.zeros((24, 16, 16, 3), np.uint8)
    waveform = np.full((2, 24_000), 0.1, np.float32)
    return Clip(frames, 24, waveform, 24_000)


@pytest.mark.parametrize(("suffix", "codec"), [(".mkv", "srt"), (".webm", "webvtt")])
def test_a_track_in_a_film_is_its_words(tmp_path, clip, suffix, codec):
    path = write_clip(
        clip, tmp_path / f"film{suffix}", subtitles=[Cue(0.1, 0.4, "Hello there"), Cue(0.5, 0.9, "[thud]")]
    )
    with av.open(str(path)) as container:
        (stream,) = container.streams.subtitles
        assert stream.codec_context.name == codec
        assert len(container.streams) == 3
    assert subtitles_of(path) == (path, (Cue(0.1, 0.4, "Hello there"), Cue(0.5, 0.9, "[thud]")))
    beside = path.with_suffix(".srt")
    beside.write_text(subrip([Cue(0, 0.5, "other words")]), encoding="utf-8")
    assert subtitles_of(path) == (beside, (Cue(0, 0.5, "other words"),))


def test_a_film_without_subtitles_is_one_line(tmp_path, clip):
    path = write_clip(clip, tmp_path / "film.mp4")
    with pytest.raises(PhonofilmError, match=r"film.mp4 has no subtitles: .* no film.vtt or film.srt beside it"):
        subtitles_of(path)
    with pytest.raises(PhonofilmError, match="has no track of subtitles as text"):
        read_subtitles(path)


def test_what_is_said_and_heard_becomes_cues():
    known = [
        Event(0.2, "line", end=1.2, label="Hello there"),
        Event(0.2, "word", end=0.6, label="Hello"),
        Event(0.4, "impact"),
        Event(1.0, "impact"),
        Event(4.0, "impact"),
        Event(2.0, "thunder", end=5.0),
        Event(0.3, "phoneme", end=0.4, label="HH"),
    ]
    assert cues_of(known) == (
        Cue(0.2, 1.2, "Hello there"), Cue(0.4, 2.0, "[thud]"), Cue(2.0, 5.0, "[thunder]"), Cue(4.0, 5.0, "[thud]"),
    )  # fmt: skip
    assert cues_of([Event(1.0, "word", end=1.5, label="hi")]) == (Cue(1.0, 1.5, "hi"),)


def test_cues_end_with_the_clip() -> None:
    found = cues_of([Event(3.5, "blast"), Event(4.2, "blast")], 4.0)
    assert [(cue.start, cue.end) for cue in found] == [(3.5, 4.0)]
