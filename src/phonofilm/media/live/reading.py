"""Frames and sound that are read while they still come: from a pipe, or from a file that grows."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.media.container import DECODER_ERRORS, limited, streams
from phonofilm.media.decode import planar
from phonofilm.types import nearest, rational

LOOK = 0.02
RAW = re.compile(r"(\d{1,5})x(\d{1,5})@([0-9./]{1,20})", re.ASCII)


@dataclass(frozen=True)
class Raw:
    """Frames as bytes, RGB, without a container: (width, height), and frames a second."""

    size: tuple[int, int]
    fps: Fraction

    @staticmethod
    def of(text: str) -> Raw:
        """From "320x240@30".

        Raises:
            PhonofilmError: any other text, or a size or rate that is not possible.
        """
        found = RAW.fullmatch(text.strip())
        try:
            if found is None:
                raise ValueError(text)
            raw = Raw((int(found[1]), int(found[2])), rational(found[3]))
        except ValueError as error:
            raise PhonofilmError(f"--raw {text[:40]!r} is not possible; write WxH@FPS, as 320x240@30") from error
        if not all(2 <= side <= 8192 for side in raw.size):
            raise PhonofilmError(f"--raw {text[:40]!r}: choose 2 to 8192 pixels for each side")
        return raw


class GrowingFile(io.RawIOBase):
    """A file that somebody still writes: reading waits for what is not there yet, until nothing comes for some time."""

    def __init__(self, path: str | Path, patience: float = 2.0) -> None:
        super().__init__()
        try:
            self._file: BinaryIO = Path(path).open("rb")  # noqa: SIM115 (closed by `close`)
        except OSError as error:
            raise PhonofilmError(f"{path} cannot be read: {error.strerror}; check the path") from error
        self._patience = patience

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        until = time.monotonic() + self._patience
        while not (content := self._file.read(len(buffer))):
            if time.monotonic() >= until:
                return 0
            time.sleep(LOOK)
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()


def frames_of(source: BinaryIO, fps: Fraction, raw: Raw | None = None) -> Iterator[np.ndarray]:
    """Frames uint8 [H, W, 3] on a constant clock, each as soon as it has come.

    A frame that is missing is the one before again, and of several for one tick the first is taken.

    Args:
        raw: the stream has no container.

    Raises:
        PhonofilmError: no film, or one that changes its size.
    """
    tick, before = 0, None
    for moment, frame in _raw_frames(source, raw) if raw else _decoded_frames(source):
        number = nearest(moment * fps)
        if before is not None and before.shape != frame.shape:
            raise PhonofilmError("the film changes its size; a film that is followed live has one size")
        while tick <= number:
            yield frame if tick == number or before is None else before
            tick += 1
        before = frame


def _raw_frames(source: BinaryIO, raw: Raw) -> Iterator[tuple[Fraction, np.ndarray]]:
    width, height = raw.size
    size, number = width * height * 3, 0
    while content := _exactly(source, size):
        if len(content) < size:
            raise PhonofilmError(f"the stream ended within a frame; {width}x{height} RGB frames have {size} bytes each")
        yield number / raw.fps, np.frombuffer(content, np.uint8).reshape(height, width, 3)
        number += 1


def _exactly(source: BinaryIO, size: int) -> bytes:
    content = bytearray()
    while len(content) < size and (part := source.read(size - len(content))):
        content += part
    return bytes(content)


def _decoded_frames(source: BinaryIO) -> Iterator[tuple[Fraction, np.ndarray]]:
    first: Fraction | None = None
    with _opened(source) as container:
        video, _ = streams(container)
        if video is None:
            raise PhonofilmError("the stream has no picture; name --raw WxH@FPS where it has no container")
        limited(video).thread_type = "NONE"  # threads hold frames back
        for frame in _decoded(container, video):
            moment = Fraction(frame.pts or 0) * frame.time_base
            first = moment if first is None else first
            yield moment - first, frame.to_ndarray(format="rgb24")


def sound_of(source: BinaryIO, sample_rate: int, channels: int) -> Iterator[np.ndarray]:
    """Sound float32 [C, any length] at a rate and with channels, as it comes.

    Raises:
        PhonofilmError: no sound.
    """
    layout = "mono" if channels == 1 else "stereo"
    resampler = av.AudioResampler("fltp", layout, sample_rate)
    with _opened(source) as container:
        _, audio = streams(container)
        if audio is None:
            raise PhonofilmError("the stream has no sound, so there is nothing to make a picture of")
        for frame in _decoded(container, audio):
            frame.pts = None
            for part in resampler.resample(frame):
                yield planar(part)
        for part in resampler.resample(None):
            yield planar(part)


def _opened(source: BinaryIO) -> Any:
    try:
        return av.open(source, options={"probesize": "65536", "analyzeduration": "500000"})
    except DECODER_ERRORS as error:
        raise PhonofilmError(
            "the stream is no film or sound that can be read as it comes; try .mkv, .ts or --raw"
        ) from error


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    try:
        yield from container.decode(stream)
    except DECODER_ERRORS as error:
        raise PhonofilmError("the stream is damaged from here on; what came before it is used") from error
