"""The loop, the growing film, its marks and its saved state."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import threading
import time
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from phonofilm.errors import PhonofilmError
from phonofilm.provenance.watermark.picture import find_in_picture
from phonofilm.provenance.watermark.signs import PUBLIC
from phonofilm.provenance.watermark.sound import find_in_sound
from phonofilm.streaming.control import Control
from phonofilm.streaming.fake import FORMAT, FakeSource
from phonofilm.streaming.film import GrowingFilm, Keeper
from phonofilm.streaming.loop import chunks, run
from phonofilm.streaming.marks import LiveMarks
from phonofilm.streaming.outputs import FileOutput, PipeOutput, check_stream_output, shorten
from phonofilm.streaming.prompts import read_script
from phonofilm.streaming.saved import load_state
from phonofilm.streaming.statistics import Playing


def frames_of(content: bytes) -> int:
    with av.open(io.BytesIO(content)) as film:
        return sum(1 for _ in film.decode(video=0))


def sound_of(content: bytes) -> np.ndarray:
    with av.open(io.BytesIO(content)) as film:
        return np.concatenate([frame.to_ndarray() for frame in film.decode(audio=0)], axis=1)


class Refusing(FakeSource):
    """Takes no prompt that begins with "no"."""

    def next(self, state, prompt):
        if prompt.startswith("no"):
            raise PhonofilmError(f"{prompt!r} is not possible")
        return super().next(state, prompt)


def made(source=None, until=2.0, control=None, **options):
    """What is delivered of a film."""
    source, found = source or FakeSource(), []
    run(source, source.begin("a", 0, {}), control or Control("a"), found.append, until=Fraction(until), **options)
    return [one.chunk for one in found]


def test_a_film_ends_on_its_last_frame_in_picture_and_sound() -> None:
    parts = made(until=Fraction(13, 10))
    assert sum(len(chunk.frames) for chunk in parts) == 31
    assert sum(chunk.mix.shape[1] for chunk in parts) == 31_000
    assert [len(chunk.frames) for chunk in parts] == [13, 12, 6]


def test_the_next_chunk_is_made_while_the_last_is_written_and_no_more() -> None:
    source, begun = FakeSource(cost=0.02), []
    begin = source.next
    source.next = lambda state, prompt: begun.append(state.index) or begin(state, prompt)
    waited = []

    def deliver(one) -> None:
        time.sleep(0.08)
        waited.append(len(begun) - len(waited))

    statistics = run(source, source.begin("a", 0, {}), Control("a"), deliver, until=Fraction(3))
    assert max(waited) <= 4, "one that is written, one ready, one that waits to be put there, one that is begun"
    assert max(waited) >= 2, "made while another one was written"
    told = statistics.to_json()
    assert told["chunks"] == 6
    assert 0.02 <= told["cost"]["p50"] < 0.08 <= told["writing"]["p50"]
    assert told["underruns"] == 0
    json.dumps(told)


def test_whoever_plays_waits_for_what_is_late() -> None:
    playing = Playing()
    assert playing.comes(10.0, 0.0) == 0.0
    assert playing.comes(10.3, 0.5) == pytest.approx(0.2)
    assert playing.comes(11.4, 1.0) == pytest.approx(-0.4)
    assert (playing.underruns, round(playing.waited, 6)) == (1, 0.4)
    assert playing.comes(11.8, 1.5) == pytest.approx(0.1), "by then the film is .4 s behind"


def test_a_pace_is_that_of_the_clock() -> None:
    start = time.perf_counter()
    assert len(made(until=Fraction(3, 2), paced=True)) == 3
    assert time.perf_counter() - start >= 0.5, "the third chunk begins at 1.04 s and is given out half a second early"


def test_prompts_change_by_script_and_by_hand(tmp_path) -> None:
    script = tmp_path / "film.toml"
    script.write_text('[[prompt]]\nat = 1\ntext = "b"\n[[prompt]]\nat = 2.0\ntext = "c"\n')
    lines: list[str] = []
    control, seen = Control("a", read_script(script), lines.append), []
    source = Refusing()
    for one in chunks(source, source.begin("a", 0, {}), control, until=Fraction(3)):
        seen.append(one.chunk.prompt)
        if len(seen) == 2:
            control.say("  ")
            control.say("x" * 3000)
        if len(seen) == 3:
            control.say("hand")
        if len(seen) == 4:
            control.say("no way")
    assert seen == ["a", "a", "b", "hand", "c", "c"]
    assert [line.split(";")[0] for line in lines] == [
        "the prompt is empty",
        "a prompt of 3000 letters is too long",
    ], "and the cue of the script took the place of the one that would have been refused"
    control = Control("a", tell=lines.append)
    for one in chunks(source, source.begin("a", 0, {}), control, until=Fraction(2)):
        seen.append(one.chunk.prompt)
        control.say("no way")
    assert seen[6:] == ["a"] * 4
    assert lines[-1] == "'no way' is not possible; the film goes on as before"
    with pytest.raises(PhonofilmError, match="not possible"):
        made(source, control=Control("no"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a script has"),
        ("x = 1", "a script has"),
        ('[[prompt]]\nat = 1\ntext = "a"\n[[prompt]]\nat = 1\ntext = "b"', "times must rise, and 1 s follows 1 s"),
        ('[[prompt]]\nat = -1\ntext = "a"', "prompt 1: at = -1 is no time"),
        ('[[prompt]]\nat = nan\ntext = "a"', "no time"),
        ("[[prompt]]\nat = 1\ntext = 3", "text = 3 is no text"),
        ('[[prompt]]\nat = 1\ntext = " "', "prompt 1: the prompt is empty"),
        ('[[prompt]]\nat = 1\ntext = "a"\nseed = 1', "and nothing else"),
        ("[[", "is not TOML"),
    ],
)
def test_a_script_that_is_wrong_is_refused(tmp_path, text, said) -> None:
    (tmp_path / "film.toml").write_text(text)
    with pytest.raises(PhonofilmError, match=said):
        read_script(tmp_path / "film.toml")


def test_pause_and_stop() -> None:
    control, found = Control("a"), []
    source = FakeSource()

    def deliver(one) -> None:
        found.append(one.chunk.index)
        if len(found) == 3:
            control.pause()
            threading.Timer(0.2, control.pause, [False]).start()
        if len(found) == 8:
            control.stop()

    start = time.perf_counter()
    run(source, source.begin("a", 0, {}), control, deliver)
    assert found == list(range(8))
    assert time.perf_counter() - start > 0.15


def test_marks_are_found_in_a_film_that_was_marked_chunk_by_chunk() -> None:
    fmt = replace(FORMAT, width=128, height=128)
    marks, random = LiveMarks(fmt, [PUBLIC]), np.random.default_rng(0)
    frames, sounds, plain = [], [], []
    noise = np.kron(random.integers(60, 180, (16, 16, 1)), np.ones((8, 8, 3))).astype(np.uint8)
    for _ in range(12):
        stem = (0.1 * random.standard_normal((2, 12_000))).astype(np.float32)
        frames.append(marks.frames(np.repeat(noise[None], 12, 0), 12 * len(frames)))
        sounds.append(marks.sound({"effects": stem}))
        plain.append(stem)
    sounds.append(marks.sound({"effects": plain[0][:, :0]}, last=True))
    sound, given = np.concatenate(sounds, 1), np.concatenate(plain, 1)
    assert sound.shape == given.shape
    assert find_in_picture(np.concatenate(frames), fmt.fps, PUBLIC).present
    assert find_in_sound(sound, fmt.sample_rate, PUBLIC).present
    added = sound - given
    edges = [n * 12_000 - 1200 for n in range(1, 12)]
    steps = np.abs(np.diff(added[0]))
    at_edges = max(steps[edge - 1] for edge in edges)
    assert at_edges < np.percentile(steps, 99.9), "no click where two pieces meet"


def growing(folder, source, keys=(), after=None, until=None, state=None, every=2, keep=0):
    output = FileOutput(folder / "film.mp4", keep)
    film = GrowingFilm(source.format, output, {"prompt": "a"}, keys, after=after)
    keeper = Keeper(source, film, 0, state, every)
    begun = source.begin("a", 0, {}) if after is None else after.state
    run(source, begun, Control("a"), keeper, frames=film.writer.frames, until=until)
    return film, keeper, output


@pytest.mark.parametrize("keys", [(), (PUBLIC,)])
@pytest.mark.parametrize("stop", [Fraction(5, 2), Fraction(37, 24)])
def test_a_saved_film_goes_on_to_the_bit(tmp_path, keys, stop) -> None:
    source, state = FakeSource(), tmp_path / "film.state"
    (tmp_path / "whole").mkdir()
    whole, _, output = growing(tmp_path / "whole", source, keys, until=Fraction(4))
    whole.finish()
    film, keeper, output = growing(tmp_path, source, keys, until=stop, state=state)
    keeper.save()
    film.finish()
    output.close()
    saved = load_state(state, FakeSource())
    again, _, output = growing(tmp_path, source, keys, saved, Fraction(4), keep=saved.written.pieces)
    again.finish()
    output.close()
    one, other = ((folder / "film.mp4").read_bytes() for folder in (tmp_path / "whole", tmp_path))
    assert frames_of(one) == frames_of(other) == 96
    assert again.marks.heard.done == whole.marks.heard.done == 96_000
    for name, sound in whole.marks.heard.stems.items():
        assert np.array_equal(again.marks.heard.stems[name], sound)
    difference = sound_of(one) - sound_of(other)
    assert np.abs(difference).max() < 0.1, "no click; the encoder begins anew and rounds otherwise"
    assert np.sqrt(np.mean(difference**2)) < 0.005


def test_a_state_of_something_else_is_refused(tmp_path) -> None:
    source, state = FakeSource(), tmp_path / "film.state"
    _, keeper, _ = growing(tmp_path, source, until=Fraction(1), state=state)
    keeper.save()
    with pytest.raises(PhonofilmError, match="whose width is 64, and not 32"):
        load_state(state, FakeSource(replace(FORMAT, width=32)))

    class Other(FakeSource):
        @property
        def model(self):
            return {"model": "nano", "weights": "1234"}

    with pytest.raises(PhonofilmError, match=r"another model \(model fake weights none\)"):
        load_state(state, Other())
    with pytest.raises(PhonofilmError, match="is not there"):
        load_state(tmp_path / "none", source)
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(PhonofilmError, match="or a damaged one"):
        load_state(state, source)


class Full:
    """A disk that is full after some bytes."""

    def __init__(self, room: int) -> None:
        self.room, self.write = room, os.write

    def __call__(self, handle: int, content) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = self.write(handle, bytes(content[: self.room]))
        self.room -= count
        return count


def test_a_full_disk_leaves_a_whole_film(tmp_path, monkeypatch) -> None:
    source = FakeSource()
    monkeypatch.setattr("phonofilm.streaming.outputs.os.write", Full(12_000))
    with pytest.raises(PhonofilmError, match=r"film\.mp4: the disk is full; the film up to there is whole"):
        growing(tmp_path, source, until=Fraction(60))
    content = (tmp_path / "film.mp4").read_bytes()
    assert len(content) < 12_000
    assert (frames_of(content) - 1) % 12 == 0


def test_nothing_is_touched_before_there_is_something_to_write(tmp_path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"before")
    source = Refusing()
    film = GrowingFilm(source.format, FileOutput(tmp_path / "film.mp4"), {})
    with pytest.raises(PhonofilmError):
        run(source, source.begin("no", 0, {}), Control("no"), Keeper(source, film, 0))
    film.finish()
    film.output.close()
    assert (tmp_path / "film.mp4").read_bytes() == b"before"


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_a_slow_reader_makes_the_source_wait() -> None:
    import fcntl

    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    source, begun = FakeSource(), []
    make = source.next
    source.next = lambda state, prompt: begun.append(state.index) or make(state, prompt)
    content, waited = b"", []

    def read() -> None:
        nonlocal content
        while part := os.read(reading, 2048):
            content += part
            if len(content) // 8192 > len(waited):
                before = len(begun)
                time.sleep(0.1)
                waited.append(len(begun) - before)

    thread = threading.Thread(target=read)
    thread.start()
    with os.fdopen(writing, "wb", 0) as stream:
        film = GrowingFilm(source.format, PipeOutput(stream), {})
        run(source, source.begin("a", 0, {}), Control("a"), Keeper(source, film, 0), until=Fraction(8))
        film.finish()
    thread.join()
    os.close(reading)
    assert frames_of(content) == 192
    assert len(waited) >= 3
    assert max(waited[1:]) <= 3, "while nothing is read, no more is begun than what lies between"


def test_a_closed_pipe_ends_the_film_in_one_line() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    source = FakeSource()
    with os.fdopen(writing, "wb", 0) as stream:
        film = GrowingFilm(source.format, PipeOutput(stream), {})
        with pytest.raises(PhonofilmError, match="the reader closed the pipe"):
            run(source, source.begin("a", 0, {}), Control("a"), Keeper(source, film, 0), until=Fraction(9))


def test_what_cannot_grow_is_refused(tmp_path) -> None:
    with pytest.raises(PhonofilmError, match=r"a film that grows is an \.mp4"):
        check_stream_output(tmp_path / "film.webm")
    with pytest.raises(PhonofilmError, match="is not there, so it cannot go on"):
        shorten(tmp_path / "none.mp4", 3)
    film, _, output = growing(tmp_path, FakeSource(), until=Fraction(1))
    output.close()
    assert film.writer.pieces == 2
    with pytest.raises(PhonofilmError, match="holds 2 pieces of the film, and the state stands after 5"):
        shorten(tmp_path / "film.mp4", 5)
