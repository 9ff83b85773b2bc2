"""A part of a film is exact, and so is its copy, however its container keeps times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from phonofilm import PhonofilmError
from phonofilm.media import read_clip
from phonofilm.media.shots.cutting import copy_part
from phonofilm.media.shots.scan import outline, small_frames
from phonofilm.media.shots.window import read_window, window_sound

RATE = 16_000


def numbered(path: Path, seconds: int = 4, fps: int = 24, b_frames: int = 2, sound: bool = True) -> Path:
    """A film whose frames tell their number, the tens on the left, and whose sound is a chirp; few keyframes."""
    with av.open(path, "w") as output:
        video = output.add_stream("h264", rate=fps, options={"g": "36", "bf": str(b_frames), "crf": "12"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = output.add_stream("aac", rate=RATE, layout="mono") if sound else None
        for number in range(seconds * fps):
            pixels = np.full((48, 64, 3), 25 + 20 * (number % 10), np.uint8)
            pixels[:, :32] = 25 + 20 * (number // 10)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            output.mux(video.encode(frame))
        output.mux(video.encode())
        if audio is not None:
            times = np.arange(seconds * RATE) / RATE
            wave = (0.5 * np.sin(2 * np.pi * (200 + 150 * times) * times)).astype(np.float32)
            for first in range(0, len(wave), 1024):
                block = av.AudioFrame.from_ndarray(wave[None, first : first + 1024], format="fltp", layout="mono")
                block.sample_rate, block.pts = RATE, first
                output.mux(audio.encode(block))
            output.mux(audio.encode())
    return path


def numbers(frames: np.ndarray) -> list[int]:
    def digit(part: np.ndarray) -> int:
        return round((float(part.mean()) - 25) / 20)

    return [10 * digit(frame[8:-8, 8:24]) + digit(frame[8:-8, 40:-8]) for frame in frames]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_window_has_the_frames_that_are_first_shown_in_it(tmp_path, suffix):
    path = numbered(tmp_path / f"film{suffix}")
    start = outline(path).start
    whole = [number for _, _, picture in small_frames(path, 48) for number in numbers(picture[None])]
    assert whole == list(range(96))
    window = read_window(path, start + Fraction(40, 24), start + Fraction(70, 24), 48)
    assert numbers(window.frames) == list(range(40, 70))
    assert window.fps == pytest.approx(24, rel=0.05)
    assert window.times[0] == pytest.approx(0, abs=1e-3)
    assert read_window(path, start, start + 1, 48, moving=5).moving.shape == (5, 2, 48, 64)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_copied_part_has_the_same_frames_and_the_same_sound_at_the_same_time(tmp_path, suffix):
    path = numbered(tmp_path / f"film{suffix}")
    first = outline(path).start
    start, stop = first + Fraction(50, 24), first + Fraction(80, 24)
    part = copy_part(path, start, stop)
    copy = tmp_path / f"part{part.suffix}"
    copy.write_bytes(part.content)
    assert part.start > 0  # what is needed to decode it lies before
    seen, again = read_window(path, start, stop, 48), read_window(copy, part.start, part.stop, 48)
    assert np.array_equal(seen.frames, again.frames)
    assert numbers(again.frames) == list(range(50, 80))
    one, other = seen.waveform[0], again.waveform[0]
    lag = int(np.argmax(np.correlate(other[200:-200], one, "valid"))) - 200
    assert abs(lag) / RATE <= 0.0015
    assert copy_part(path, start, stop).content == part.content  # the same bytes


def test_a_copied_part_is_smaller_than_the_film_and_plays_as_a_film(tmp_path):
    path = numbered(tmp_path / "film.mp4")
    part = copy_part(path, Fraction(0), Fraction(1))
    copy = tmp_path / f"part{part.suffix}"
    copy.write_bytes(part.content)
    assert len(part.content) < path.stat().st_size
    assert numbers(read_clip(copy).frames)[:24] == list(range(24))
    with pytest.raises(PhonofilmError, match="no picture then"):
        copy_part(path, Fraction(7), Fraction(8))


def test_a_window_of_a_silent_film_has_no_sound(tmp_path):
    path = numbered(tmp_path / "film.mp4", seconds=1, sound=False)
    window = read_window(path, Fraction(0), Fraction(1), 48)
    assert window.waveform is None
    assert window.stored == 0


def test_sound_that_ends_early_is_told(tmp_path):
    path = tmp_path / "film.mkv"
    numbered(path, seconds=2)
    waveform, rate, stored = window_sound(path, Fraction(1), Fraction(3))
    assert waveform.shape[1] == 2 * rate
    assert stored == pytest.approx(1.0, abs=0.07)
    assert not waveform[:, int(1.1 * rate) :].any()


def test_a_cut_short_file_says_so(tmp_path):
    path = numbered(tmp_path / "film.ts", seconds=2)
    whole = path.read_bytes()
    path.write_bytes(b"\0" * 2000 + whole[2000:2100])
    with pytest.raises(PhonofilmError, match=r"film\.ts"):
        list(small_frames(path, 48))
