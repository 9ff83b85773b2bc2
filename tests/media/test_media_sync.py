"""Flash and beep, written and read back, stay together to a millisecond in every container."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_clips import flash_and_beep
from scipy.signal import correlate

from phonofilm.media import read_clip, resample_audio, write_clip
from phonofilm.types import Clip, nearest, rational


def beep_offset(made: Clip, read: Clip) -> float:
    """Seconds by which the sound came back later than it was made, from the peak of the cross-correlation."""
    assert made.waveform is not None
    assert read.waveform is not None
    truth = resample_audio(made.waveform, made.sample_rate, read.sample_rate)
    offsets = []
    for expected, found in zip(truth, read.waveform, strict=True):
        similarity = correlate(found, expected, method="fft")
        offsets.append((int(similarity.argmax()) - len(expected) + 1) / read.sample_rate)
    return max(offsets, key=abs)


def flash_frame(clip: Clip) -> int:
    return int(clip.frames.mean(axis=(1, 2, 3)).argmax())


@pytest.mark.parametrize("sample_rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".webm", ".mkv"])
def test_offset_below_a_millisecond(tmp_path: Path, suffix: str, sample_rate: int) -> None:
    made = flash_and_beep(30_000 / 1001, sample_rate)
    read = read_clip(write_clip(made, tmp_path / f"clip{suffix}"))
    assert flash_frame(read) == flash_frame(made)
    assert abs(beep_offset(made, read)) < 1e-3


@pytest.mark.parametrize("fps", [12, 23.976, 25, 29.97, 59.94, Fraction(25, 2)])
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv"])
def test_rate_and_lengths_come_back_exactly(tmp_path: Path, suffix: str, fps: float) -> None:
    made = flash_and_beep(fps, 44_100, seconds=1.1)
    read = read_clip(write_clip(made, tmp_path / f"clip{suffix}"))
    assert read.fps == rational(fps)
    assert len(read.frames) == len(made.frames)
    assert flash_frame(read) == flash_frame(made)
    expected = nearest(Fraction(made.waveform.shape[1] * read.sample_rate, made.sample_rate))
    assert abs(read.waveform.shape[1] - expected) <= 1


@pytest.mark.parametrize("sample_rate", [16_000, 22_050, 48_000])
def test_wav(tmp_path: Path, sample_rate: int) -> None:
    made = flash_and_beep(12, sample_rate)
    read = read_clip(write_clip(made, tmp_path / "clip.wav"))
    assert (read.frames, read.sample_rate) == (None, sample_rate)
    np.testing.assert_allclose(read.waveform, made.waveform, atol=2**-23)


@pytest.mark.parametrize("fps", [10, 12, 29.97])
def test_gif_keeps_the_clock(tmp_path: Path, fps: float) -> None:
    made = flash_and_beep(fps)
    read = read_clip(write_clip(made, tmp_path / "clip.gif"))
    assert (read.fps, len(read.frames), flash_frame(read)) == (made.fps, len(made.frames), flash_frame(made))


def test_a_fast_gif_is_slowed_to_what_browsers_play(tmp_path: Path) -> None:
    read = read_clip(write_clip(flash_and_beep(120), tmp_path / "clip.gif"))
    assert (read.fps, len(read.frames), flash_frame(read)) == (50, 100, 50)


def _written(path: Path, times: list[int], base: Fraction, sound_start: float = 0.0, rate: int = 16_000) -> None:
    """A film whose frame k is of brightness 4·k and stamped times[k]·base, with a click at its first sample."""
    with av.open(path, "w") as output:
        video = output.add_stream("ffv1", rate=25)
        audio = output.add_stream("pcm_s16le", rate=rate, layout="mono")
        video.width, video.height, video.pix_fmt, video.time_base = 64, 64, "bgr0", base
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 4 * index, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, base
            output.mux(video.encode(frame))
        samples = np.zeros((1, rate), np.int16)
        samples[0, 0] = 20_000
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, round(sound_start * rate), Fraction(1, rate)
        output.mux(audio.encode(frame))
        output.mux(video.encode(None))
        output.mux(audio.encode(None))


def test_variable_frame_rate_is_put_on_a_clock(tmp_path: Path) -> None:
    times = [0, 40, 80, 240, 280, 400, 520, 560, 600]  # milliseconds
    _written(tmp_path / "vfr.mkv", times, Fraction(1, 1000))
    read = read_clip(tmp_path / "vfr.mkv", fps=25)
    shown = read.frames[:, 0, 0, 0] // 4
    stamps = np.array(times)
    assert read.fps == 25
    assert all(index == np.searchsorted(stamps, 40 * tick + 1) - 1 for tick, index in enumerate(shown))
    assert np.array_equal(read_clip(tmp_path / "vfr.mkv").frames, read.frames)
    assert np.array_equal(read_clip(tmp_path / "vfr.mkv", fps=12.5).frames, read.frames[::2])


@pytest.mark.parametrize("start", [0.0, 0.25, 0.007])
def test_late_sound_stays_late(tmp_path: Path, start: float) -> None:
    _written(tmp_path / "late.mkv", [40 * k for k in range(20)], Fraction(1, 1000), sound_start=start)
    read = read_clip(tmp_path / "late.mkv")
    assert len(read.frames) == 20
    assert abs(np.abs(read.waveform[0]).argmax() / read.sample_rate - start) < 1e-3


@pytest.mark.parametrize("late", [60, 200])
def test_late_picture_stays_late(tmp_path: Path, late: int) -> None:
    _written(tmp_path / "late.mkv", [late + 40 * k for k in range(20)], Fraction(1, 1000))
    read = read_clip(tmp_path / "late.mkv")
    second_frame = int((read.frames[:, 0, 0, 0] == 4).argmax()) / 25
    click = np.abs(read.waveform[0]).argmax() / read.sample_rate if read.waveform[0].any() else -late / 1000
    assert abs((second_frame - click) - (late + 40) / 1000) < 1e-3


def test_transport_stream_starts_at_zero(tmp_path: Path) -> None:
    made = flash_and_beep(25, 48_000)
    write_clip(made, tmp_path / "clip.mp4")
    with av.open(tmp_path / "clip.mp4") as source, av.open(tmp_path / "clip.ts", "w") as output:
        streams = {s.index: output.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                output.mux(packet)
    read = read_clip(tmp_path / "clip.ts")
    assert flash_frame(read) == flash_frame(made)
    # an AAC stream without an edit list starts with its encoder's 1024 samples, stamped before the picture
    assert abs(beep_offset(made, read)) < 1e-3
