"""`foley --live` and `animate --live`: what is made follows what comes, and how fast it does is measured."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from phonofilm.app.cli.main import main
from phonofilm.errors import PhonofilmError
from phonofilm.media import read_clip, write_clip
from phonofilm.media.live.reading import GrowingFile, Raw, frames_of, sound_of
from phonofilm.streaming.control import Control
from phonofilm.streaming.fake import FakeFollower
from phonofilm.streaming.following import follow
from phonofilm.types import Clip

PLAIN = ["--model", "fake", "--no-sign", "--no-watermark", "--no-log"]


def flashes(seconds: float, fps: int = 24, side: int = 32) -> np.ndarray:
    """Frames that are white for an eighth of a second, half a second into every second."""
    frames = np.full((round(seconds * fps), side, side, 3), 30, np.uint8)
    for number in range(len(frames)):
        if 0.5 <= number / fps % 1 < 0.625:
            frames[number] = 255
    return frames


def film(path: Path, seconds: float = 3.0) -> Clip:
    frames = flashes(seconds)
    beep = np.repeat((frames[:, 0, 0, 0] == 255).astype(np.float32), 1000)
    sound = 0.5 * beep * np.sin(np.arange(len(beep)) / 5).astype(np.float32)
    clip = Clip(frames, Fraction(24), np.repeat(sound[None], 2, 0).astype(np.float32), 24_000)
    write_clip(clip, path)
    return clip


def loud(clip: Clip) -> list[bool]:
    """Whether something is heard in each frame."""
    sound = clip.waveform[0, : 1000 * len(clip.frames)].reshape(len(clip.frames), -1)
    return (np.abs(sound).max(1) > 0.2).tolist()


def light(clip: Clip) -> list[bool]:
    return (clip.frames.reshape(len(clip.frames), -1).mean(1) > 150).tolist()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(capsys, *arguments: str) -> tuple[int, dict, str]:
    capsys.readouterr()
    code = main([*arguments, "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out or "{}"), captured.err


def test_sound_is_heard_in_the_frame_in_which_it_is_seen(capsys) -> None:
    film(Path("in.mkv"))
    code, facts, _ = ran(capsys, "foley", "in.mkv", "--live", "-o", "out.mp4", *PLAIN)
    assert code == 0, facts
    made = read_clip("out.mp4")
    assert len(made.frames) == facts["frames"] == 72
    assert made.frames.shape[1:3] == (32, 32), "the picture stays as large as it came"
    differing = [n for n, (seen, heard) in enumerate(zip(light(made), loud(made), strict=True)) if seen != heard]
    # AAC smears a beep into its neighbours, by less than a frame
    assert all(light(made)[max(0, n - 1)] or light(made)[min(71, n + 1)] for n in differing)
    numbers = facts["statistics"]
    assert numbers["chunks"] == 6
    assert 0 < numbers["latency"]["p50"] <= numbers["latency_of_the_oldest"]["max"]
    assert {"underruns", "input_late", "most_waiting"} <= set(numbers)


def test_a_picture_is_made_of_sound_that_comes(capsys) -> None:
    given = film(Path("in.mkv"), 2.3)
    code, facts, _ = ran(capsys, "animate", "in.mkv", "--live", "-o", "out.mp4", "--size", "48", *PLAIN)
    assert code == 0, facts
    made = read_clip("out.mp4")
    assert abs(len(made.frames) - len(given.frames)) <= 1
    assert made.frames.shape[1:3] == (48, 48)
    assert light(made)[:55] == light(given)[:55]


def test_raw_frames_from_standard_input(capsys, monkeypatch) -> None:
    reading, writing = os.pipe()
    frames = flashes(1.5)

    def camera() -> None:
        with os.fdopen(writing, "wb", 0) as stream:
            stream.write(frames.tobytes())

    threading.Thread(target=camera).start()
    with os.fdopen(reading, "rb") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        code, facts, _ = ran(capsys, "foley", "-", "--live", "--raw", "32x32@24", "-o", "out.mp4", *PLAIN)
    assert code == 0, facts
    assert light(read_clip("out.mp4")) == [bool((frame == 255).all()) for frame in frames]


def test_a_file_that_still_grows_is_read_to_where_it_stops(tmp_path) -> None:
    path, content = tmp_path / "grows", flashes(0.5).tobytes()
    path.write_bytes(content[:1000])

    def grow() -> None:
        for start in range(1000, len(content), 9000):
            time.sleep(0.02)
            with path.open("ab") as file:
                file.write(content[start : start + 9000])

    thread = threading.Thread(target=grow)
    thread.start()
    with GrowingFile(path, patience=1.0) as source:
        frames = np.stack(list(frames_of(source, Fraction(24), Raw((32, 32), Fraction(24)))))
    thread.join()
    assert np.array_equal(frames, flashes(0.5))


def test_other_rates_are_brought_to_the_clock() -> None:
    for fps, expected in ((48, flashes(1)), (12, flashes(1))):
        stream = io.BytesIO(flashes(1, fps).tobytes())
        frames = np.stack(list(frames_of(stream, Fraction(24), Raw((32, 32), Fraction(fps)))))
        seen = frames.reshape(len(frames), -1).mean(1) > 200
        assert abs(len(frames) - 24) <= 1
        assert abs(int(np.argmax(seen)) - 12) <= 1
        assert 1 <= seen.sum() <= expected.reshape(24, -1).mean(1).astype(bool).sum()


def test_late_input_and_bursts_are_measured() -> None:
    def given():
        for number, frame in enumerate(flashes(2)):
            if number == 20:  # in the second chunk, which then takes longer to come than it lasts
                time.sleep(0.8)
            yield frame

    follower, seen = FakeFollower(cost=0.05), []
    following = follow(follower, follower.begin("a", 0, {}), Control("a"), given(), lambda f, c: seen.append(len(f)))
    assert seen == [13, 12, 12, 11]
    numbers = following.to_json()
    assert numbers["input_late"] == 1
    assert numbers["underruns"] >= 1
    assert numbers["waited"] > 0.2
    assert numbers["most_waiting"] >= 10, "what comes at once waits"
    assert numbers["latency"]["p50"] >= 0.05


def test_input_that_ends_in_the_middle_is_used_up_to_there() -> None:
    follower, seen = FakeFollower("sound"), []
    pieces = np.split(np.ones((2, 15_300), np.float32), [700, 9000], axis=1)
    follow(follower, follower.begin("a", 0, {}), Control("a"), iter(pieces), lambda f, c: seen.append((f, c)))
    assert [len(frames) for frames, _ in seen] == [13, 3]
    assert [chunk.mix.shape[1] for _, chunk in seen] == [13_000, 3000]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["foley", "in.mkv", "--live", "-o", "out.webm", *PLAIN], "a film that grows is an .mp4"),
        (["foley", "none.mkv", "--live", "-o", "out.mp4", *PLAIN], "none.mkv cannot be read"),
        (["foley", "in.mkv", "--live", "-o", "out.mp4"], "does not make sound for frames as they come"),
        (["foley", "in.mkv", "--raw", "32x32@24", "-o", "out.mp4", *PLAIN], "--raw goes with --live"),
        (["foley", "in.mkv", "--live", "--raw", "32@24", "-o", "out.mp4", *PLAIN], "write WxH@FPS"),
        (["foley", "in.mkv", "--live", "--steps", "3", "-o", "out.mp4", *PLAIN], "--steps is for whole clips"),
        (["foley", "in.toml", "--live", "-o", "out.mp4", *PLAIN], "no film or sound that can be read as it comes"),
        (["animate", "in.mkv", "--live", "--fps", "12", "-o", "out.mp4", *PLAIN], "--fps is for whole clips"),
    ],
)
def test_what_is_not_possible_is_one_line(capsys, monkeypatch, arguments, said) -> None:
    monkeypatch.setattr("phonofilm.app.live.following.GrowingFile", lambda path: GrowingFile(path, 0.1))
    film(Path("in.mkv"), 0.5)
    Path("in.toml").write_text("nothing")
    code, facts, err = ran(capsys, *arguments)
    assert code == 1
    assert said in facts["error"]
    assert err.count("\n") == 1
    assert not list(Path().glob("out*"))


def test_a_stream_that_ends_within_a_frame_is_told() -> None:
    with pytest.raises(PhonofilmError, match="ended within a frame"):
        list(frames_of(io.BytesIO(bytes(4000)), Fraction(24), Raw((32, 32), Fraction(24))))
    with pytest.raises(PhonofilmError, match="--raw 'x' is not possible"):
        Raw.of("x")


def test_sound_is_brought_to_a_rate(tmp_path) -> None:
    sound = np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000).astype(np.float32)
    write_clip(Clip(waveform=sound[None], sample_rate=48_000), tmp_path / "a.wav")
    with (tmp_path / "a.wav").open("rb") as source:
        pieces = np.concatenate(list(sound_of(source, 24_000, 2)), 1)
    assert pieces.shape[0] == 2
    assert abs(pieces.shape[1] - 24_000) < 64
    peaks = np.abs(np.fft.rfft(pieces[0, 2000:22_000]))
    assert abs(int(np.argmax(peaks)) * 24_000 / 20_000 - 440) < 2
