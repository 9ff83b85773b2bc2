"""`phonofilm stream`, as somebody uses it: to files, to pipes, interrupted, killed and gone on with."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from phonofilm.app.cli.main import main
from phonofilm.app.live.lines import listening, obey
from phonofilm.config import from_dict
from phonofilm.media import read_clip, read_metadata
from phonofilm.provenance.verify import verify
from phonofilm.streaming.control import Control
from phonofilm.streaming.fake import FakeSource
from phonofilm.streaming.native.options import LiveOptions as SamplingOptions

STREAM = ["stream", "a red ball", "--model", "fake"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(capsys, *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def forked(*arguments: str) -> int:
    """The command in a process of its own, which has all imports already; returns its number."""
    if not hasattr(os, "fork"):
        pytest.skip("needs Linux")
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = main([*STREAM, *arguments])
        finally:
            os._exit(code)
    return child


def until(test, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end
        time.sleep(0.02)


def frames_of(content: bytes) -> int:
    count = 0
    with av.open(io.BytesIO(content)) as film:
        try:
            for _ in film.decode(video=0):
                count += 1
        except av.error.FFmpegError:  # the piece that was being written
            pass
    return count


def size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def test_a_film_of_a_length_is_signed_and_marked(capsys, folder) -> None:
    code, out, err = ran(capsys, *STREAM, "-o", "film.mp4", "--until", "2.5", "--size", "128", "--seed", "4")
    assert (code, out) == (0, "film.mp4\n"), err
    clip = read_clip("film.mp4")
    assert clip.frames.shape == (60, 128, 128, 3)
    assert 0 <= clip.waveform.shape[1] - 60_000 < 1024
    assert read_metadata("film.mp4")["task"] == "stream"
    assert os.listdir(folder) == ["film.mp4"]
    found = {layer.name: layer for layer in verify(Path("film.mp4"))}
    assert "Trusted" in str(found["manifest"])
    assert "this installation made" in str(found["log"])


def test_the_numbers_of_a_run(capsys) -> None:
    code, out, _ = ran(capsys, *STREAM, "-o", "film.mp4", "--until", "3", "--json", "--no-watermark", "--no-sign")
    facts = json.loads(out)
    assert code == 0
    assert (facts["seconds"], facts["frames"], facts["path"]) == (3.0, 72, "film.mp4")
    numbers = facts["statistics"]
    assert numbers["chunks"] == 6
    assert numbers["first_chunk"] > 0
    assert 0 <= numbers["cost"]["p50"] <= numbers["cost"]["p99.9"] <= numbers["cost"]["max"]
    assert numbers["underruns"] >= 0


def test_going_on_gives_the_same_chunks(capsys) -> None:
    """Picture and sound are compared with a film of one run; `test_a_saved_film_goes_on_to_the_bit` has the bits."""
    quick = ["--model", "fake", "--no-watermark", "--no-sign", "--no-log"]
    for name, *more in (["whole.mp4", "--until", "3"], ["film.mp4", "--until", "1.7", "--state", "s", "--every", "3"]):
        assert ran(capsys, "stream", "a red ball", "-o", name, *more, *quick)[0] == 0
    state = Path("s").read_bytes()
    for name in ("part.mp4", "film.mp4"):  # a new file has what was not in the state yet
        code, _, err = ran(capsys, "stream", "--resume", "--state", "s", "-o", name, "--until", "3", *quick)
        assert code == 0, err
        Path("s").write_bytes(state)
    whole, other, part = (read_clip(name) for name in ("whole.mp4", "film.mp4", "part.mp4"))
    assert np.abs(whole.frames.astype(int) - other.frames).max() <= 3, "but for H.264, which begins anew"
    assert whole.waveform.shape == other.waveform.shape
    assert np.sqrt(np.mean((whole.waveform - other.waveform) ** 2)) < 0.01
    assert len(part.frames) == 72 - 37, "37 frames were in the state"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], {}),
        (["--steps", "7"], {"steps": 7}),
        (["--draft"], {"steps": 4, "guidance": [1.0, 1.0], "modality_guidance": [1.0, 1.0]}),
        (["--draft", "--steps", "2"], {"steps": 2, "guidance": [1.0, 1.0], "modality_guidance": [1.0, 1.0]}),
    ],
)
def test_the_source_is_told_how_to_sample(capsys, folder, monkeypatch, arguments, told) -> None:
    begun, begin = [], FakeSource.begin

    def noted(self, prompt, seed, options):
        begun.append(dict(options))
        from_dict(SamplingOptions, options)  # what our own models would make of it
        return begin(self, prompt, seed, options)

    monkeypatch.setattr(FakeSource, "begin", noted)
    assert ran(capsys, *STREAM, "-o", "a.mp4", "--until", "0.5", "--no-watermark", *arguments)[0] == 0
    assert begun == [told]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stream", "a"], "say where the film goes"),
        (["stream", "-o", "a.mp4"], "say what is seen and heard"),
        (["stream", " ", "-o", "a.mp4", "--model", "fake"], "the prompt is empty"),
        (["stream", "x" * 2001, "-o", "a.mp4", "--model", "fake"], "2001 letters is too long"),
        (["stream", "a", "-o", "a.webm", "--model", "fake"], "a film that grows is an .mp4"),
        (["stream", "a", "-o", "a.mp4"], "was not trained on chunks of time"),
        (["stream", "a", "-o", "a.mp4", "--until", "soon", "--model", "fake"], "--until 'soon' is no time"),
        (["stream", "a", "-o", "a.mp4", "--until", "-1", "--model", "fake"], "--until -1 is not possible"),
        (["stream", "a", "-o", "a.mp4", "--resume"], "--resume goes on from a saved state"),
        (["stream", "--resume", "--state", "none", "-o", "a.mp4", "--model", "fake"], "the state none is not there"),
        (
            ["stream", "a", "-o", "a.mp4", "--script", "none.toml", "--model", "fake"],
            "script none.toml is not there; check the path, or see docs/live.md",
        ),
        (["stream", "a", "-o", "-", "--json", "--model", "fake"], "both write to standard output"),
        (["stream", "a", "-o", "a.mp4", "--size", "9", "--model", "fake"], "size of 9x9 is not possible"),
        (["stream", "a", "-o", "a.mp4", "--every", "0", "--model", "fake"], "--every 0 is not possible"),
        (["stream", "a", "-o", "a.mp4", "--steps", "0", "--model", "fake"], "--steps 0 is not possible"),
        (["stream", "--resume", "--state", "s", "-o", "a.mp4", "--draft"], "is made as it was begun"),
    ],
)
def test_what_is_not_possible_is_one_line_and_leaves_nothing(capsys, folder, arguments, said) -> None:
    code, out, err = ran(capsys, *arguments)
    assert code == 1
    assert ("--json" in arguments) == bool(out)
    assert err.count("\n") == 1
    assert said in err
    assert os.listdir(folder) == []


def test_a_killed_film_plays_and_goes_on(capsys, folder) -> None:
    film, state = folder / "film.mp4", folder / "film.state"
    child = forked("-o", "film.mp4", "--state", "film.state", "--every", "2", "--no-sign")
    until(lambda: size_of(film) > 8_000 and state.is_file())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    count = frames_of(film.read_bytes())
    assert count >= 12
    # a state that was just being written leaves its temporary file, and the one before it whole
    assert {"film.mp4", "film.state"} <= set(os.listdir(folder))
    length = str(int(count / 24) + 2)
    resume = ["stream", "--resume", "--state", "film.state", "-o", "film.mp4", "--model", "fake", "--until", length]
    code, _, err = ran(capsys, *resume)
    assert code == 0, err
    assert frames_of(film.read_bytes()) == 24 * int(length)
    assert manifest_of(film).startswith("Trusted")


def manifest_of(path: Path) -> str:
    return next(layer.lines[0] for layer in verify(path) if layer.name == "manifest")


def test_ctrl_c_finishes_the_film(capsys, folder, monkeypatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a blue box\n\n:what\n" + b"x" * 3000 + b"\n")
    film = folder / "film.mp4"

    def interrupt() -> None:
        until(lambda: size_of(film) > 20_000)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with os.fdopen(reading, "rb") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        code, _, err = ran(capsys, *STREAM, "-o", "film.mp4")
    thread.join()
    os.close(writing)
    assert code == 0, err
    assert "from the next chunk on: a blue box" in err
    assert "note: a prompt of 3000 letters is too long; use 2000 at most; the film goes on as before" in err
    assert ":what is unknown" in err
    assert manifest_of(film).startswith("Trusted")
    assert frames_of(film.read_bytes()) >= 24


def test_a_pipe_gets_the_whole_film(capfdbinary) -> None:
    assert main([*STREAM, "-o", "-", "--until", "2", "--no-watermark"]) == 0
    assert frames_of(capfdbinary.readouterr().out) == 48


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line(capsys, folder) -> None:
    (folder / "film.mp4").symlink_to("/dev/full")
    code, out, err = ran(capsys, *STREAM, "-o", "film.mp4", "--no-watermark")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == (
        "phonofilm: film.mp4: the disk is full; the film up to there is whole and can be played"
    )


def test_words_of_command() -> None:
    told: list[str] = []
    control = Control("a", tell=told.append)
    for line in (":pause", "b", " ", ":go", ":nonsense x"):
        obey(line, control, told.append)
    assert control.prompt == "b"
    assert not control.paused
    assert told[0] == "paused; :go goes on"
    assert "unknown" in told[-1]
    reading, writing = os.pipe()
    with listening(reading, control, told.append):
        os.write(writing, "zwölf\nlast".encode())
        os.close(writing)
        until(lambda: control.prompt == "last")
    os.close(reading)
    assert threading.active_count() < 20
    with listening(None, control, told.append):
        pass
