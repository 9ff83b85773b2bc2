"""A film looked through once: every frame small, with its time, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.media.colour import Pictures
from phonofilm.media.container import (
    LONGEST,
    declared_seconds,
    decoded_packets,
    hints,
    limited,
    opened,
    seconds_of,
    streams,
)
from phonofilm.media.decode import LATE, Aspects
from phonofilm.media.resample import resize_frames


@dataclass(frozen=True)
class Outline:
    """What a film's header says, in the file's own times.

    Attributes:
        start, end: seconds of the first frame and after the last one, as the header declares them.
        fps: frames a second, or the nearest that is declared where the rate varies.
        size: (width, height) as stored.
        sample_rate, channels: of the sound; 0 where there is none.
    """

    start: Fraction
    end: Fraction
    fps: Fraction
    size: tuple[int, int]
    sample_rate: int
    channels: int
    video_codec: str
    audio_codec: str | None


def outline(path: Path) -> Outline:
    """Read a header.

    Raises:
        PhonofilmError: a file that cannot be read, or that has no picture.
    """
    with opened(path) as container:
        video, audio = streams(container)
        if video is None:
            raise PhonofilmError(f"{path.name} has no picture")
        start = seconds_of(video.start_time, video.time_base) or Fraction(0)
        length = declared_seconds(container, video, None) or declared_seconds(container, video, audio)
        if length is None:
            raise PhonofilmError(f"{path.name} does not say how long it is; copy it into another container first")
        codec = video.codec_context
        return Outline(
            start=start,
            end=start + length,
            fps=next(iter(hints(video)), Fraction(25)),
            size=(codec.width, codec.height),
            sample_rate=int(audio.codec_context.sample_rate) if audio else 0,
            channels=int(audio.codec_context.layout.nb_channels) if audio else 0,
            video_codec=codec.name,
            audio_codec=audio.codec_context.name if audio else None,
        )


class SmallFrames:
    """Decoded frames as small pictures, upright and with square pixels.

    Args:
        side: pixels of the short side, or fewer where the film has fewer.
    """

    def __init__(self, path: Path, video: Any, side: int) -> None:
        self._pictures, self._aspects, self._side = Pictures(path), Aspects(video), side
        self._size: tuple[int, int] | None = None

    def __call__(self, frame: Any) -> np.ndarray:
        """uint8 [h, w, 3], of the same size for all frames."""
        aspect = self._aspects.now()
        width, height = max(1, round(frame.width * aspect)), frame.height
        scale = min(1.0, self._side / min(width, height))
        small = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = self._pictures.whole(frame, aspect, small)
        if self._size is None:
            tall = pixels.shape[0] > pixels.shape[1]
            self._size = (min(small), max(small)) if tall else (max(small), min(small))
        if pixels.shape[1::-1] != self._size:
            pixels = resize_frames(pixels[None], self._size, crop=False)[0]
        return pixels


def small_frames(path: Path, side: int) -> Iterator[tuple[Fraction, Fraction, np.ndarray]]:
    """The time of each frame of a film, the time at which it ends, and its picture uint8 [h, w, 3], in order.

    Raises:
        PhonofilmError: a file that cannot be read to its end, or that has no picture.
    """
    time: Fraction | None = None
    first: Fraction | None = None

    def damaged() -> PhonofilmError:
        until = float((time or 0) - (first or 0))
        return PhonofilmError(f"{path.name} is damaged: only its first {until:.1f} s can be read")

    with opened(path) as container:
        video, _ = streams(container)
        if video is None:
            raise PhonofilmError(f"{path.name} has no picture")
        tick = 1 / next(iter(hints(video)), Fraction(25))
        declared = declared_seconds(container, video, None)
        small = SmallFrames(path, limited(video), side)
        # what a decoder smooths in the end is not seen in small pictures, and takes a third of its time
        video.codec_context.options = {**video.codec_context.options, "skip_loop_filter": "all"}
        for _, frames in decoded_packets(container, [video], damaged):
            for frame in frames:
                stamp = seconds_of(frame.pts, frame.time_base)
                if stamp is None:
                    stamp = Fraction(0) if time is None else time + tick
                if time is not None and (stamp <= time or stamp - time > LONGEST):
                    continue  # shown never, or stamped by damage
                time, first = stamp, stamp if first is None else first
                yield time, time + (seconds_of(frame.duration or None, frame.time_base) or tick), small(frame)
    if time is None or first is None:
        raise PhonofilmError(f"{path.name} is damaged: no picture of it can be decoded")
    if declared is not None and declared - (time + tick - first) > LATE + declared / 50:
        raise PhonofilmError(
            f"{path.name} is truncated: {float(time - first):.1f} s of {float(declared):.1f} s can be read"
        )
