"""Films that are never held whole: the same frames and the same sound as reading and writing them whole gives."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from media_clips import flash_and_beep, noise

from phonofilm import Clip, PhonofilmError
from phonofilm.media import read_clip, resample_audio, resize_frames, write_clip
from phonofilm.media.film import Film, goes_into, write_film
from phonofilm.media.resample import resample_stream
from phonofilm.types import nearest


def sound_of(clip: Clip, piece: int = 5000) -> list[np.ndarray]:
    assert clip.waveform is not None
    return [clip.waveform[:, start : start + piece] for start in range(0, clip.waveform.shape[1], piece)]


def onsets(path: Path) -> tuple[float, float]:
    """Seconds of the flash and of the beep."""
    clip = read_clip(path)
    assert clip.frames is not None
    assert clip.fps is not None
    assert clip.waveform is not None
    assert clip.sample_rate is not None
    flash = int(clip.frames.mean(axis=(1, 2, 3)).argmax()) / float(clip.fps)
    loud = np.abs(clip.waveform).max(0)
    return flash, int(np.flatnonzero(loud > 0.3 * loud.max())[0]) / clip.sample_rate


@pytest.mark.parametrize(("fps", "suffix"), [(12, ".webm"), (Fraction(30000, 1001), ".mkv"), (60, ".mp4")])
def test_frame_after_frame_is_what_is_read_whole(tmp_path: Path, fps: Fraction, suffix: str) -> None:
    path = write_clip(flash_and_beep(fps), tmp_path / f"film{suffix}")
    whole, film = read_clip(path), Film.open(path)
    assert whole.frames is not None
    assert (film.fps, film.ticks, film.size) == (whole.fps, len(whole.frames), (64, 64))
    assert (np.stack(list(film.frames())) == whole.frames).all()
    some = [0, 0, 3, 7, 7, film.ticks - 1]
    found = np.stack(list(film.frames(some, (32, 16))))
    assert (found == resize_frames(whole.frames[some], (32, 16), crop=False)).all()


def test_a_varying_rate_goes_on_the_nearest_common_clock(tmp_path: Path) -> None:
    path = tmp_path / "varying.mkv"
    with av.open(path, "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "bgr0"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, stamp in enumerate([0, 40, 80, 240, 280, 320, 360]):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 20 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            output.mux(stream.encode(frame.reformat(format="bgr0")))
        output.mux(stream.encode(None))
    film, whole = Film.open(path), read_clip(path)
    assert film.fps == whole.fps == 25
    assert (np.stack(list(film.frames())) == whole.frames).all()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_another_sound_beside_the_same_packets(tmp_path: Path, suffix: str) -> None:
    clip = flash_and_beep(25, seconds=3)
    source = write_clip(clip.with_(waveform=None, sample_rate=None), tmp_path / "silent.mp4")
    film = Film.open(source)
    assert goes_into(film, suffix)
    target = tmp_path / f"with-sound{suffix}"
    assert write_film(film, target, sound_of(clip), 16_000, {"prompt": "a beep", "ai_generated": "true"})
    made, before = read_clip(target), read_clip(source)
    assert (made.frames == before.frames).all()
    assert (made.fps, made.prompt, made.metadata["ai_generated"]) == (25, "a beep", "true")
    flash, beep = onsets(target)
    assert abs(flash - beep) < 0.001
    assert abs(made.picture_seconds - made.sound_seconds) < Fraction(1, 8000)


def test_what_a_file_does_not_take_is_encoded_again(tmp_path: Path) -> None:
    clip = flash_and_beep(25, seconds=2)
    source = write_clip(clip.with_(waveform=None, sample_rate=None), tmp_path / "silent.mp4")
    film = Film.open(source)
    assert not goes_into(film, ".webm")
    assert not write_film(film, tmp_path / "film.webm", sound_of(clip), 16_000, {})
    flash, beep = onsets(tmp_path / "film.webm")
    assert abs(flash - beep) < 0.001
    before, made = read_clip(source).frames, read_clip(tmp_path / "film.webm").frames
    assert made.shape == before.shape
    assert np.abs(made.astype(int) - before).mean() < 2
    assert not write_film(film, tmp_path / "sound.wav", sound_of(clip), 16_000, {})
    assert np.abs(read_clip(tmp_path / "sound.wav").waveform - clip.waveform).max() < 1e-6


def test_a_turned_film_is_handed_on_upright(tmp_path: Path) -> None:
    path = tmp_path / "turned.mp4"
    with av.open(path, "w") as output:
        stream = output.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.set_display_rotation(90)
        for pixels in noise(4, 64, 32).frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")))
        output.mux(stream.encode(None))
    film = Film.open(path)
    assert film.size == (32, 64)
    assert not goes_into(film, ".mp4")
    write_film(film, tmp_path / "upright.mp4", [np.zeros((2, 5000), np.float32)], 16_000, {})
    assert read_clip(tmp_path / "upright.mp4").frames.shape[1:3] == (64, 32)


def test_a_film_in_the_middle_of_its_clock_begins_at_zero(tmp_path: Path) -> None:
    """A cut from a broadcast keeps the time stamps it had there."""
    clip = flash_and_beep(25, seconds=2)
    first = write_clip(clip.with_(waveform=None, sample_rate=None), tmp_path / "film.mp4")
    late = tmp_path / "late.mkv"
    with av.open(first) as source, av.open(late, "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                shift = round(100 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                output.mux(packet)
    film = Film.open(late)
    assert (film.fps, film.ticks) == (25, 50)
    for suffix in (".mp4", ".mkv"):
        write_film(film, tmp_path / f"made{suffix}", sound_of(clip), 16_000, {})
        flash, beep = onsets(tmp_path / f"made{suffix}")
        assert flash == 1
        assert abs(flash - beep) < 0.001


@pytest.mark.parametrize(("before", "after"), [(16_000, 48_000), (44_100, 16_000), (16_000, 22_050), (16_000, 16_000)])
@pytest.mark.parametrize("piece", [701, 20_000])
def test_sound_resampled_in_pieces_is_that_resampled_whole(before: int, after: int, piece: int) -> None:
    sound = np.random.default_rng(0).standard_normal((2, 50_003)).astype(np.float32)
    pieces = [sound[:, start : start + piece] for start in range(0, sound.shape[1], piece)]
    made = np.concatenate(list(resample_stream(pieces, before, after)), axis=1)
    whole = resample_audio(sound, before, after)
    assert made.shape == whole.shape
    assert np.abs(made - whole).max() < 1e-5


def test_what_is_no_film_is_refused(tmp_path: Path) -> None:
    content = write_clip(flash_and_beep(25, seconds=4), tmp_path / "film.mp4").read_bytes()
    sound = write_clip(flash_and_beep().with_(frames=None, fps=None), tmp_path / "sound.wav")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no film\n" * 100)
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) * 2 // 3])
    cases = {
        "sound.wav": "has no picture to make sound for",
        "empty.mp4": "is empty",
        "text.mp4": "text.mp4",
        "cut.mp4": "cut.mp4",
    }
    assert sound.name in cases
    for name, message in {**cases, "none.mp4": "is not there"}.items():
        with pytest.raises(PhonofilmError, match=message) as refused:
            Film.open(tmp_path / name)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("number", [0, 3])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".webm", ".mkv", ".wav"])
def test_sound_that_is_not_finite_is_written_nowhere(tmp_path: Path, suffix: str, number: int) -> None:
    """Also where the picture is copied, and where it begins in a later piece."""
    clip = flash_and_beep(25, seconds=2)
    film = Film.open(write_clip(clip.with_(waveform=None, sample_rate=None), tmp_path / "silent.mp4"))
    pieces = [piece.copy() for piece in sound_of(clip)]
    pieces[number][0, 10] = np.nan
    with pytest.raises(PhonofilmError, match="not finite; nothing was written"):
        write_film(film, tmp_path / f"made{suffix}", pieces, 16_000, {})
    assert [path.name for path in tmp_path.iterdir()] == ["silent.mp4"]


def varying(path: Path, codec: str, pixels: str) -> tuple[Path, Fraction]:
    """A film of about four seconds whose frames last 1/30 to 1/10 s, and how long it is."""
    generator, stamps = np.random.default_rng(0), [0]
    while stamps[-1] < 3.9 * 90_000:
        stamps.append(stamps[-1] + 90_000 // int(generator.choice([30, 24, 15, 10])))
    with av.open(path, "w") as output:
        stream = output.add_stream(codec, rate=30)
        stream.width = stream.height = 64
        stream.pix_fmt = pixels
        stream.time_base = stream.codec_context.time_base = Fraction(1, 90_000)
        for number, (stamp, after) in enumerate(pairwise(stamps)):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 4 * number, np.uint8), format="rgb24")
            made = frame.reformat(format=pixels)
            made.pts, made.duration, made.time_base = stamp, after - stamp, Fraction(1, 90_000)
            output.mux(stream.encode(made))
        output.mux(stream.encode(None))
    return path, Fraction(stamps[-1], 90_000)


@pytest.mark.parametrize(("name", "codec", "pixels"), [
    ("film.mp4", "libx264", "yuv420p"), ("film.mov", "mjpeg", "yuvj420p"), ("film.mkv", "ffv1", "bgr0"),
])  # fmt: skip
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".wav"])
def test_sound_is_as_long_as_a_picture_of_varying_rate(
    tmp_path: Path, name: str, codec: str, pixels: str, suffix: str
) -> None:
    path, seconds = varying(tmp_path / name, codec, pixels)
    film, output = Film.open(path), tmp_path / f"made{suffix}"
    lasts = film.seconds_in(output)
    assert abs(lasts - seconds) < Fraction(1, 20)
    samples = nearest(lasts * 16_000)
    write_film(film, output, [np.full((2, samples), 0.1, np.float32)], 16_000, {})
    with av.open(output) as container:
        ends = {}
        for packet in container.demux():
            if packet.pts is not None:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                ends[packet.stream.type] = max(ends.get(packet.stream.type, Fraction(0)), end)
        declared = {s.type: s.duration * s.time_base for s in container.streams if s.duration}
        if suffix == ".mkv":  # which notes how long the whole is, and of no frame how long it is shown
            ends["video"] = Fraction(container.duration, av.time_base)
    if "video" in ends:
        assert abs(ends["video"] - lasts) <= Fraction(1, 200)
    assert abs(ends["audio"] - lasts) <= Fraction(1024, 16_000)  # a codec's last block
    if len(declared) == 2:
        assert abs(declared["video"] - declared["audio"]) <= Fraction(1, 200)
