"""Streams that change midway (as recordings of calls and broadcasts do) become what they were at the start."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from phonofilm.media import read_clip
from phonofilm.media.film import Film


def jpegs(size: tuple[int, int], pixels: str, first: int, aspect: Fraction | None = None) -> Iterator[av.Packet]:
    """Ten pictures at 10 fps: dark, with a bright middle that is a quarter of both sides."""
    context = av.CodecContext.create("mjpeg", "w")
    context.width, context.height = size
    context.pix_fmt, context.time_base = pixels, Fraction(1, 10)
    if aspect is not None:
        context.sample_aspect_ratio = aspect
    width, height = size
    frame = np.full((height, width, 3), 40, np.uint8)
    frame[height * 3 // 8 : height * 5 // 8, width * 3 // 8 : width * 5 // 8] = 220
    for index in range(10):
        made = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixels)
        made.pts, made.time_base = first + index, Fraction(1, 10)
        yield from context.encode(made)
    yield from context.encode(None)


def film_of(path: Path, *parts: tuple) -> Path:
    """A film whose picture is one part of ten frames after the other."""
    with av.open(path, "w") as output:
        stream = output.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = parts[0][0], parts[0][1], parts[0][2]
        for number, (width, height, pixels, *aspect) in enumerate(parts):
            for packet in jpegs((width, height), pixels, 10 * number, *aspect):
                packet.stream = stream
                output.mux(packet)
    return path


def bright_share(frame: np.ndarray) -> tuple[float, float]:
    """How much of the width and of the height the bright middle takes."""
    bright = frame.mean(axis=-1) > 130
    return float(bright.any(axis=0).mean()), float(bright.any(axis=1).mean())


def test_another_size_and_pixel_format(tmp_path: Path) -> None:
    path = film_of(tmp_path / "film.mkv", (96, 64, "yuvj420p"), (144, 96, "yuvj444p"), (48, 32, "yuvj422p"))
    clip = read_clip(path)
    assert clip.frames.shape == (30, 64, 96, 3)
    for frame in clip.frames[[0, 10, 19, 20, 29]]:
        np.testing.assert_allclose(bright_share(frame), 0.25, atol=0.06)
        assert abs(float(frame[0, 0].mean()) - 40) < 4
    film = Film.open(path)
    assert (film.size, film.ticks) == ((96, 64), 30)
    assert np.array_equal(np.stack(list(film.frames())), clip.frames)
    assert np.stack(list(film.frames(size=(24, 16)))).shape == (30, 16, 24, 3)
    assert read_clip(path, size=32).frames.shape == (30, 32, 48, 3)
    assert read_clip(path, squash=16).frames.shape == (30, 16, 16, 3)


def test_another_shape_keeps_its_shape(tmp_path: Path) -> None:
    clip = read_clip(film_of(tmp_path / "film.mkv", (96, 64, "yuvj420p"), (64, 96, "yuvj420p")))
    assert clip.frames.shape == (20, 64, 96, 3)
    after = clip.frames[15]
    assert after[:, :20].max() < 8  # black beside the upright picture
    bright = after.mean(axis=-1) > 130
    width, height = int(bright.any(axis=0).sum()), int(bright.any(axis=1).sum())
    assert abs(width / height - 2 / 3) < 0.2


def test_another_rate_and_number_of_channels(tmp_path: Path) -> None:
    path = tmp_path / "sound.ts"
    with av.open(path, "w") as output:
        stream = output.add_stream("mp2", rate=32_000, layout="stereo")
        start = Fraction(0)
        for rate, layout in ((32_000, "stereo"), (48_000, "mono"), (32_000, "stereo")):
            context = av.CodecContext.create("mp2", "w")
            context.sample_rate, context.layout, context.format = rate, layout, "s16"
            channels = av.AudioLayout(layout).nb_channels
            times = np.arange(rate) / rate
            tone = (8000 * np.sin(2 * np.pi * 500 * times)).astype(np.int16).repeat(channels)[None]
            frame = av.AudioFrame.from_ndarray(tone, format="s16", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            fifo = av.AudioFifo()
            fifo.write(frame)
            packets = [p for block in fifo.read_many(1152) for p in context.encode(block)] + context.encode(None)
            for number, packet in enumerate(packets):
                packet.time_base = Fraction(1, 90_000)
                packet.pts = packet.dts = round((start + Fraction(1152 * number, rate)) * 90_000)
                packet.stream = stream
                output.mux(packet)
            start += Fraction(1152 * len(packets), rate)
    clip = read_clip(path)
    assert clip.sample_rate == 32_000
    assert clip.waveform.shape[0] == 2
    assert abs(float(clip.sound_seconds) - float(start)) < 0.05
    for at in (0.5, 1.5, 2.5):
        piece = clip.waveform[:, int(at * 32_000) :][:, :8000]
        spectrum = np.abs(np.fft.rfft(piece * np.hanning(8000)))
        assert (np.abs(spectrum.argmax(axis=1) * 4 - 500) <= 4).all()  # neither faster nor slower
        np.testing.assert_allclose(piece.std(axis=1), 8000 / 2**15 / 2**0.5, rtol=0.1)
