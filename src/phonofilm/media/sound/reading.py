"""The sound of a film of any length, in time with its picture, piece after piece."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.media.container import DECODER_ERRORS, decoded_packets, opened, seconds_of, streams
from phonofilm.media.decode import AUDIO_GAP, layout_of, planar
from phonofilm.media.resample import mix, resample_stream
from phonofilm.types import nearest

PIECE = 2**18
"""Samples that a long silence is given in at a time."""


def has_sound(path: str | Path) -> bool:
    """Whether there is a sound track.

    Raises:
        PhonofilmError: a file that cannot be opened.
    """
    with opened(Path(path)) as container:
        return streams(container)[1] is not None


def sound_pieces(
    path: str | Path, sample_rate: int, start: Fraction = Fraction(0), seconds: Fraction | None = None
) -> Iterator[np.ndarray]:
    """The sound of a file as stereo float32 [2, N] at a rate, from a time of the file on.

    A late start and gaps are silence, and overlaps are cut, as where a clip is read whole.

    Args:
        start: time stamp in the file at which the first sample lies.
        seconds: how much is given: cut, or filled up with silence; None for all there is.

    Raises:
        PhonofilmError: a file without sound, or damaged.
    """
    wanted = None if seconds is None else nearest(seconds * sample_rate)
    given = 0
    for piece in _resampled(Path(path), sample_rate, start):
        piece = piece if wanted is None else piece[:, : wanted - given]
        given += piece.shape[1]
        if piece.shape[1]:
            yield piece
        if wanted is not None and given >= wanted:
            return
    if wanted is not None:
        yield from _silence(wanted - given)


def _resampled(path: Path, sample_rate: int, start: Fraction) -> Iterator[np.ndarray]:
    """All stretches of one rate, each resampled as a whole, one after the other."""
    held: list[tuple[int, np.ndarray]] = []
    blocks = _blocks(path, start)
    while True:
        first = held.pop() if held else next(blocks, None)
        if first is None:
            return
        rate = first[0]

        def alike(first: tuple[int, np.ndarray] = first, rate: int = rate) -> Iterator[np.ndarray]:
            yield first[1]
            for block in blocks:
                if block[0] != rate:
                    held.append(block)
                    return
                yield block[1]

        yield from resample_stream(alike(), rate, sample_rate)


def _blocks(path: Path, start: Fraction) -> Iterator[tuple[int, np.ndarray]]:
    """Rate and stereo sound of what follows `start`, without gaps."""
    now: Fraction | None = None  # up to where sound was given

    def damaged() -> PhonofilmError:
        until = float((start if now is None else now) - start)
        return PhonofilmError(f"{path} is damaged: only the first {until:.1f} s of its sound can be read")

    with opened(path) as container:
        _, audio = streams(container)
        if audio is None:
            raise PhonofilmError(f"{path} has no sound")
        for _, frames in decoded_packets(container, [audio], damaged):
            for frame in frames:
                try:
                    rate, samples = int(frame.sample_rate), mix(planar(frame), 2, layout_of(frame))
                except DECODER_ERRORS as error:
                    raise damaged() from error
                if rate <= 0:
                    continue
                stamp = seconds_of(frame.pts, frame.time_base)
                time = stamp if stamp is not None else (start if now is None else now)
                late = time - (start if now is None else now)
                if now is None or abs(late) > AUDIO_GAP:
                    shift = nearest(late * rate)
                    samples = samples[:, max(0, -shift) :]
                    for silence in _silence(max(0, shift)):
                        yield rate, silence
                    now = (start if now is None else now) + Fraction(max(0, shift), rate)
                if samples.shape[1]:
                    now += Fraction(samples.shape[1], rate)
                    yield rate, samples.astype(np.float32)


def _silence(samples: int) -> Iterator[np.ndarray]:
    for done in range(0, samples, PIECE):
        yield np.zeros((2, min(PIECE, samples - done)), np.float32)
