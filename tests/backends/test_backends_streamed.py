"""Sound for films of any length: nothing is lost or doubled at the joins, and one window's memory is enough."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from phonofilm import Cancelled, Clip, PhonofilmError, Request
from phonofilm.backends.fake import FakeBackend
from phonofilm.backends.native import NativeBackend
from phonofilm.backends.streamed import ahead, check_film, foley_film, sound_of
from phonofilm.media import read_clip, write_clip
from phonofilm.media.film import Film


def film_of(path: Path, seconds: float, fps: int = 12) -> Film:
    clip = FakeBackend().generate("x", seconds=seconds, fps=fps, size=(48, 32))
    return Film.open(write_clip(clip.with_(waveform=None, sample_rate=None), path))


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> NativeBackend:
    return NativeBackend.load(tiny_model, device="cpu")


def join_hashes(pieces: list[Clip]) -> np.ndarray:
    return np.concatenate([piece.waveform for piece in pieces if piece.waveform is not None], axis=1)


def test_a_long_film_gets_a_beep_at_every_flash(tmp_path):
    film = film_of(tmp_path / "film.mp4", 10, fps=25)
    request = check_film(Request(), film, tmp_path / "out.mkv")
    steps: list[tuple[str, int, int]] = []
    made = foley_film(FakeBackend(), film, tmp_path / "out.mkv", request, lambda *step: steps.append(step))
    clip = read_clip(tmp_path / "out.mkv")
    assert made.copied
    assert clip.picture_seconds == clip.sound_seconds == 10
    assert made.samples == clip.waveform.shape[1] == 160_000
    quiet = np.abs(clip.waveform).max(0) < 0.05
    beeps = [n / 16_000 for n in np.flatnonzero(~quiet) if quiet[max(0, n - 800) : n].all()]
    assert np.abs(np.array(beeps) - (np.arange(10) + 0.5)).max() < 0.002
    assert {stage for stage, *_ in steps} == {"making"}
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)
    assert "3 overlapping windows" in clip.metadata["notices"]


def test_one_window_is_the_foley_of_the_whole_clip(model, tmp_path):
    film = film_of(tmp_path / "film.mkv", 3, fps=25)
    request = check_film(Request("x", seed=4), film, tmp_path / "out.mkv")
    (piece,) = sound_of(model, film, request, film.seconds)
    whole = model.generate("x", seed=4, task="foley", source=read_clip(film.path))
    assert (piece.waveform == whole.waveform).all()


def test_each_window_stands_on_the_one_before(model, tmp_path):
    film = film_of(tmp_path / "film.mp4", Fraction(37, 4), fps=12)
    request = check_film(Request("x", seed=4), film, tmp_path / "out.mkv")
    pieces = list(sound_of(model, film, request, film.seconds))
    sound = join_hashes(pieces)
    assert sound.shape == (2, 148_000)
    # no join is a louder step than what goes on elsewhere
    steps = np.abs(np.diff(sound[0]))
    ends = np.cumsum([piece.waveform.shape[1] for piece in pieces])[:-1]
    assert len(ends) == 2
    assert all(steps[end - 5 : end + 5].max() <= steps.max() for end in ends)
    (again, *_) = sound_of(model, film, replace(request, steps=1), film.seconds)
    (other, *_) = sound_of(model, film, replace(request, steps=1, seed=5), film.seconds)
    assert (again.waveform != other.waveform).mean() > 0.9


def test_only_the_first_window_is_looked_at_for_what_the_model_does_not_know(model, tmp_path, monkeypatch):
    looked = []
    monkeypatch.setattr(NativeBackend, "_heed", lambda self, request, *rest: looked.append(request.task))
    film = film_of(tmp_path / "film.mkv", 9, fps=12)
    request = check_film(Request("x"), film, tmp_path / "out.mkv")
    assert len(list(sound_of(model, film, request, film.seconds))) > 1
    assert looked == ["foley"]
    model.generate(request="x", seconds=1)
    assert len(looked) == 2


def test_a_picture_that_is_kept_is_not_decoded(model, tmp_path, monkeypatch):
    film = film_of(tmp_path / "film.mkv", 3, fps=12)
    clip = read_clip(film.path)
    before = model.generate("x", seed=4, task="foley", source=clip)
    monkeypatch.setattr("phonofilm.backends.native.decode_tiled", lambda *_, **__: pytest.fail("a picture was decoded"))
    again = model.generate("x", seed=4, task="foley", source=clip)
    assert np.array_equal(again.waveform, before.waveform)
    assert np.array_equal(again.frames, clip.frames)
    with pytest.raises(pytest.fail.Exception, match="decoded"):
        model.generate("x", seed=4, seconds=1)


def test_a_stop_leaves_nothing(model, tmp_path):
    film = film_of(tmp_path / "film.mp4", 9)
    request = check_film(Request("x"), film, tmp_path / "out.mp4")
    calls = iter(range(1000))
    with pytest.raises(Cancelled):
        foley_film(model, film, tmp_path / "out.mp4", request, cancel=lambda: next(calls) > 14)
    assert os.listdir(tmp_path) == ["film.mp4"]


def test_a_file_without_sound_is_refused(tmp_path):
    film = film_of(tmp_path / "film.mp4", 1)
    with pytest.raises(PhonofilmError, match=r"\.gif holds no sound"):
        check_film(Request(), film, tmp_path / "out.gif")


FILMS = """
import resource, sys
import av, numpy as np
path, seconds = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(0)
still = rng.integers(0, 256, (360, 640, 3), dtype=np.uint8)
with av.open(path, "w") as output:
    stream = output.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
    stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
    for number in range(seconds * 25):
        still[100:200, (4 * number) % 500 : (4 * number) % 500 + 100] = number % 256
        output.mux(stream.encode(av.VideoFrame.from_ndarray(still, format="rgb24").reformat(format="yuv420p")))
    output.mux(stream.encode(None))
"""
PEAK = """
import resource, sys
from phonofilm.app.cli.main import main
code = main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_memory_does_not_grow_with_the_film(tiny_model, tmp_path, suffix):
    """Five minutes at 640x360 are 5 GB of frames; copied (.mp4) or encoded again (.webm), they never meet."""
    peaks = {}
    for seconds in (20, 300) if suffix == ".mp4" else (10, 60):
        source = tmp_path / f"{seconds}.mp4"
        subprocess.run([sys.executable, "-c", FILMS, str(source), str(seconds)], check=True)
        command = ["foley", str(source), "-o", str(tmp_path / f"out{suffix}"), "--model", str(tiny_model)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *command, "--device", "cpu", "--steps", "1"],
            check=True, capture_output=True, text=True, env=environment,
        )  # fmt: skip
        peaks[seconds] = int(done.stdout.split("peak")[1])
        made = Film.open(tmp_path / f"out{suffix}")
        assert (made.ticks, made.size) == (25 * seconds, (640, 360))
    shortest, longest = peaks.values()
    print(f"peak memory of foley to {suffix}, by seconds of film: {peaks} MB")
    assert longest < shortest + 100
    assert longest < 1500


def test_windows_are_read_ahead_and_errors_come_when_their_turn_is() -> None:
    made: list[int] = []

    def items() -> Iterator[np.ndarray]:
        for number in range(5):
            if number == 3:
                raise PhonofilmError("damaged here")
            made.append(number)
            yield np.array(number)

    seen: list[int] = []

    def watch() -> None:
        for item in ahead(items()):
            seen.append(int(item))
            deadline = time.monotonic() + 10
            while len(made) < min(len(seen) + 1, 3) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert len(made) == min(len(seen) + 1, 3)  # the next one, and no more

    with pytest.raises(PhonofilmError, match="damaged here"):
        watch()
    assert seen == [0, 1, 2]
    assert [int(item) for item in ahead(iter([np.array(1)]))] == [1]
    assert list(ahead(iter([]))) == []
