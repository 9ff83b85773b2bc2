"""A film that grows: whole after every piece, cut anywhere, on time to the sample."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from phonofilm.errors import PhonofilmError
from phonofilm.media import read_clip
from phonofilm.media.live.fragments import FragmentWriter, boxes

RATE, FPS = 24_000, Fraction(24)


def pieces_of(seconds: float, fps: Fraction = FPS, rate: int = RATE, per_chunk: int = 12, channels: int = 2):
    """Chunks of noise with a click at every whole second, and a picture that is white at that moment."""
    random, total = np.random.default_rng(0), round(seconds * fps)
    sound = (0.05 * random.standard_normal((channels, round(total / fps * rate)))).astype(np.float32)
    for second in range(int(seconds)):
        sound[:, second * rate : second * rate + 64] = 0.9
    for first in range(0, total, per_chunk):
        count = min(per_chunk, total - first)
        frames = np.full((count, 32, 32, 3), 40, np.uint8)
        for n in range(count):
            if (first + n) / fps % 1 < 1 / fps:
                frames[n] = 250
        yield frames, sound[:, round(first / fps * rate) : round((first + count) / fps * rate)]


def decoded(content: bytes):
    """Times of the frames in ticks, their light, the time of the first sample, and all samples."""
    with av.open(io.BytesIO(content)) as film:
        pictures = [(frame.time, frame.to_ndarray(format="gray").mean()) for frame in film.decode(video=0)]
    with av.open(io.BytesIO(content)) as film:
        sounds = [(frame.pts, frame.to_ndarray()) for frame in film.decode(audio=0)]
    stamps = [pts for pts, _ in sounds]
    assert stamps == [1024 * n for n in range(len(stamps))], "no sample is missing or there twice"
    return pictures, np.concatenate([sound for _, sound in sounds], axis=1)


def writer(after=None, fps=FPS, rate=RATE, channels=2) -> FragmentWriter:
    return FragmentWriter((32, 32), fps, rate, channels, {"prompt": "a"}, after)


@pytest.mark.parametrize(
    ("fps", "rate", "per_chunk", "channels"),
    [(FPS, RATE, 12, 2), (Fraction(30000, 1001), 48_000, 7, 1), (Fraction(12), 16_000, 1, 2)],
)
def test_picture_and_sound_begin_together_and_do_not_drift(fps, rate, per_chunk, channels) -> None:
    film, parts = writer(fps=fps, rate=rate, channels=channels), list(pieces_of(4, fps, rate, per_chunk, channels))
    content = b"".join(film.add(*part) for part in parts) + film.finish()
    pictures, sound = decoded(content)
    given = np.concatenate([part for _, part in parts], axis=1)
    assert len(pictures) == film.frames
    assert [time for time, _ in pictures] == pytest.approx([float(n / fps) for n in range(len(pictures))], abs=2e-4)
    assert [light > 150 for _, light in pictures] == [bool((f > 200).all()) for part, _ in parts for f in part]
    for start in (0, given.shape[1] - rate):  # at the beginning and in the end it lies at the same sample
        here = given[0, start : start + rate]
        shifts = range(-3, 4)
        fit = [np.dot(here[8:-8], sound[0, start + 8 + shift :][: rate - 16]) for shift in shifts]
        assert shifts[int(np.argmax(fit))] == 0
    assert 0 <= sound.shape[1] - given.shape[1] < 1024, "AAC ends on a whole frame"


def test_every_cut_of_the_file_plays_up_to_its_last_whole_piece() -> None:
    film = writer()
    content, ends = b"", []
    for part in pieces_of(3):
        content += film.add(*part)
        ends.append(len(content))
    random = np.random.default_rng(1)
    for size in [*ends, *random.integers(ends[0], ends[-1], 12)]:
        pictures, _ = decoded(content[: max(end for end in ends if end <= size)])
        whole = sum(end <= size for end in ends)
        assert len(pictures) == 12 * whole
        with av.open(io.BytesIO(content[:size])) as cut:
            assert sum(1 for _ in _frames(cut)) >= 12 * whole


def _frames(container):
    try:
        yield from container.decode(video=0)
    except av.error.FFmpegError:
        return


@pytest.mark.parametrize("pieces", [1, 2, 3])
@pytest.mark.parametrize("per_chunk", [4, 12])
def test_another_writer_goes_on_without_a_seam(pieces, per_chunk) -> None:
    parts, one, film = list(pieces_of(2, per_chunk=per_chunk)), writer(), writer()
    whole = b"".join(one.add(*part) for part in parts) + one.finish()
    begun = b"".join(film.add(*part) for part in parts[:pieces])
    other = writer(film.resumption)
    assert other.resumption.frames == pieces * per_chunk
    content = begun + b"".join(other.add(*part) for part in parts[pieces:]) + other.finish()
    (pictures, sound), (expected, given) = decoded(content), decoded(whole)
    assert pictures == pytest.approx(np.array(expected), abs=2)
    assert sound.shape == given.shape
    assert np.abs(sound - given).max() < 0.15, "of a full scale of 1, at the seam, where another encoder began"
    assert np.sqrt(np.mean((sound - given) ** 2)) < 0.01


def test_each_piece_begins_with_a_whole_picture_and_says_what_it_is(tmp_path) -> None:
    film = writer()
    content = b"".join(film.add(*part) for part in pieces_of(2))
    names = [name for name, _, _ in boxes(content)]
    assert names == ["ftyp", "moov", *["moof", "mdat"] * 4]
    head = next(end for name, _, end in boxes(content) if name == "moov")
    assert film.head == content[:head]
    assert film.mime.startswith('video/mp4; codecs="avc1.64')
    last = [start for name, start, _ in boxes(content) if name == "moof"][-1]
    with av.open(io.BytesIO(film.head + content[last:])) as joined:
        frames = list(joined.decode(video=0))
    assert len(frames) == 12
    assert frames[0].time == pytest.approx(1.5)
    (tmp_path / "a.mp4").write_bytes(content)
    assert read_clip(tmp_path / "a.mp4").metadata["prompt"] == "a"


def test_what_cannot_be_encoded_is_refused() -> None:
    with pytest.raises(PhonofilmError, match="no sample rate of 23000 Hz"):
        FragmentWriter((32, 32), FPS, 23_000, 2)
    with pytest.raises(PhonofilmError, match="not finite"):
        writer().add(np.zeros((1, 32, 32, 3), np.uint8), np.full((2, 1000), np.nan, np.float32))
