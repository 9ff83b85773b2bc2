"""Of several tracks the one that players take, and pictures that are shown again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from phonofilm.media import probe, read_clip
from phonofilm.media.film import Film, goes_into

FIXTURES = Path(__file__).parents[1] / "fixtures"


def tracks(path: Path, pictures: list[Disposition], sounds: list[Disposition]) -> Path:
    """Track k of the picture has brightness 60 k + 60, and that of the sound the level (k + 1) / 10."""
    with av.open(path, "w") as output:
        made = []
        for number, says in enumerate(pictures):
            stream = output.add_stream("ffv1" if path.suffix == ".mkv" else "libx264", rate=10)
            stream.width = stream.height = 32
            stream.pix_fmt, stream.disposition = ("bgr0" if path.suffix == ".mkv" else "yuv420p"), says
            frame = np.full((32, 32, 3), 60 * number + 60, np.uint8)
            made.append((stream, av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=stream.pix_fmt)))
        for number, says in enumerate(sounds):
            stream = output.add_stream("pcm_s16le" if path.suffix == ".mkv" else "aac", rate=16_000, layout="mono")
            stream.disposition = says
            tone = (number + 1) / 10 * np.sin(np.arange(16_000) / 5)
            block = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], format="flt", layout="mono")
            block.sample_rate = 16_000
            made.append((stream, block))
        for stream, content in made:
            for index in range(10 if isinstance(content, av.VideoFrame) else 1):
                content.pts, content.time_base = index, Fraction(1, 10)
                output.mux(stream.encode(content))
            output.mux(stream.encode(None))
    return path


D, NONE = Disposition, Disposition(0)


@pytest.mark.parametrize(
    ("pictures", "sounds", "picture", "sound"),
    [
        ([NONE, D.default], [NONE, D.default], 1, 1),
        ([D.default, NONE], [D.default, NONE], 0, 0),
        ([NONE, NONE], [NONE, NONE], 0, 0),
        ([D.default, D.default], [D.default, D.default], 0, 0),
        ([NONE, D.forced], [D.comment, NONE], 1, 1),
        ([NONE, D.default, NONE], [D.visual_impaired, D.hearing_impaired, D.default], 1, 2),
    ],
)
def test_the_default_track_is_read(
    tmp_path: Path, pictures: list[Disposition], sounds: list[Disposition], picture: int, sound: int
) -> None:
    path = tracks(tmp_path / "film.mkv", pictures, sounds)
    clip = read_clip(path)
    assert abs(float(clip.frames.mean()) - (60 * picture + 60)) < 2
    assert abs(float(np.abs(clip.waveform).max()) - (sound + 1) / 10) < 0.01
    film = Film.open(path)
    assert abs(float(next(film.frames()).mean()) - (60 * picture + 60)) < 2


def test_a_cover_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with av.open(path, "w") as output:
        cover, picture = output.add_stream("mjpeg", rate=10), output.add_stream("libx264", rate=10)
        cover.pix_fmt, cover.disposition = "yuvj420p", D.attached_pic
        picture.pix_fmt, picture.disposition = "yuv420p", D.default
        for stream in (cover, picture):
            stream.width, stream.height = 64, 32
        for stream, level, count in ((cover, 60, 1), (picture, 120, 10)):
            frame = av.VideoFrame.from_ndarray(np.full((32, 64, 3), level, np.uint8), format="rgb24")
            for index in range(count):
                made = frame.reformat(format=stream.pix_fmt)
                made.pts, made.time_base = index, Fraction(1, 10)
                output.mux(stream.encode(made))
            output.mux(stream.encode(None))
    with av.open(path) as container:
        assert any(stream.disposition & D.attached_pic for stream in container.streams.video)
    assert abs(float(read_clip(path).frames.mean()) - 120) < 4
    assert probe(path).video_codec == "h264"


def test_pictures_that_are_shown_again_in_theora() -> None:
    """75 frames of which most are packets without content."""
    path = FIXTURES / "fuzz" / "film.ogv"
    clip = read_clip(path)
    assert (clip.frames.shape, clip.fps) == ((75, 64, 96, 3), 25)
    changes = np.flatnonzero(np.abs(np.diff(clip.frames.astype(int), axis=0)).mean(axis=(1, 2, 3)) > 0.5) + 1
    with av.open(path) as container:
        stored = [packet.pts for packet in container.demux(video=0) if packet.size]
    assert set(changes) <= set(stored)
    assert 2 <= len(changes) < len(stored)
    film = Film.open(path)
    assert (film.fps, film.ticks) == (25, 75)
    assert np.array_equal(np.stack(list(film.frames())), clip.frames)
    assert not goes_into(film, ".mkv")


def test_pictures_that_are_shown_again_in_avi(tmp_path: Path) -> None:
    """A chunk of no bytes is how capture programs say that a frame was dropped."""
    whole = tmp_path / "whole.avi"
    with av.open(whole, "w") as output:
        stream = output.add_stream("mjpeg", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuvj420p"
        for index in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 20 * index, np.uint8), format="rgb24")
            output.mux(stream.encode(frame.reformat(format="yuvj420p")))
        output.mux(stream.encode(None))
    clip = read_clip(emptied(whole, tmp_path / "dropped.avi", {3, 4, 7}))
    assert (len(clip.frames), clip.fps) == (10, 10)
    shown = [0, 20, 40, 40, 40, 100, 120, 120, 160, 180]
    np.testing.assert_allclose(clip.frames.mean(axis=(1, 2, 3)), shown, atol=3)


def emptied(source: Path, target: Path, numbers: set[int]) -> Path:
    """An AVI whose picture chunks of these numbers have no bytes; its index goes."""
    data = source.read_bytes()
    start = data.index(b"movi") + 4
    end = start - 8 + int.from_bytes(data[start - 8 : start - 4], "little") + 4
    chunks, position, number = b"", start, 0
    while position < end - 8:
        name, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        body = data[position + 8 : position + 8 + size + size % 2]
        if name == b"00dc":
            chunks += name + (bytes(4) if number in numbers else size.to_bytes(4, "little") + body)
            number += 1
        position += 8 + len(body)
    head = data[: start - 8] + (len(chunks) + 4).to_bytes(4, "little") + b"movi"
    made = head + chunks
    target.write_bytes(made[:4] + (len(made) - 8).to_bytes(4, "little") + made[8:])
    return target
