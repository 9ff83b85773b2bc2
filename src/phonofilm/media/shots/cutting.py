"""A part of a film as a file of its own: packets copied from the keyframe before, with exact in and out points."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from phonofilm.errors import PhonofilmError
from phonofilm.media.container import DECODER_ERRORS, opened, streams
from phonofilm.media.shots.window import HALF, LEAD, seek_before

FORMATS = ((".mp4", "mp4"), (".mkv", "matroska"))
"""Containers that a part is put into: the first that takes its codecs."""


@dataclass(frozen=True, eq=False)
class Cutting:
    """A part of a film that was copied.

    Attributes:
        content: bytes of the file. suffix: of its name.
        start, stop: the part in the times of that file; what lies before `start` is needed to decode it.
    """

    content: bytes
    suffix: str
    start: Fraction
    stop: Fraction


def copy_part(path: Path, start: Fraction, stop: Fraction) -> Cutting:
    """Copy the packets that are needed to show [start, stop) of a film, without encoding anything.

    Raises:
        PhonofilmError: a file that cannot be read there, or whose codecs fit into no container.
    """
    refused: Exception | None = None
    for suffix, name in FORMATS:
        try:
            return _copied(path, start, stop, suffix, name)
        except (*DECODER_ERRORS, _Unfit) as error:
            refused = error
    raise PhonofilmError(f"{path.name} cannot be copied from {float(start):.2f} s on: {refused}")


class _Unfit(Exception):
    """A codec that a container does not take."""


def _copied(path: Path, start: Fraction, stop: Fraction, suffix: str, name: str) -> Cutting:
    buffer = io.BytesIO()
    with opened(path) as container:
        video, audio = streams(container)
        packets, first = _needed(container, video, audio, start, stop)
        present = [stream for stream in (video, audio) if stream is not None]
        # the same bytes every time, with nothing about the moment or the machine
        options = {"fflags": "+bitexact"}
        if name == "mp4" and audio is not None:  # whose tracks start at thousandths of a second else
            options["movie_timescale"] = str(audio.codec_context.sample_rate)
        with av.open(buffer, "w", format=name, container_options=options) as output:
            if any(stream.codec_context.name not in output.supported_codecs for stream in present):
                raise _Unfit(f"{suffix} does not take {', '.join(stream.codec_context.name for stream in present)}")
            made = {stream.index: output.add_stream_from_template(stream) for stream in present}
            shown = sorted(packet.pts * packet.time_base for packet in packets if packet.stream is video)
            for packet in packets:
                unit = packet.time_base
                shift = round(first / unit)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = made[packet.stream.index]
                output.mux(packet)
    content = buffer.getvalue()
    offset = _landed(content, shown, start, path)
    return Cutting(content, suffix, start - offset, stop - offset)


def _needed(container: Any, video: Any, audio: Any, start: Fraction, stop: Fraction) -> tuple[list[Any], Fraction]:
    """Packets in the order of the file, and the time that becomes zero."""

    def damaged() -> PhonofilmError:
        return PhonofilmError("it cannot be sought")

    seek_before(container, video, start, damaged)
    packets: list[Any] = []
    keyframe: Fraction | None = None
    ended: set[int] = set()
    present = [stream for stream in (video, audio) if stream is not None]
    for packet in container.demux(present):
        if packet.pts is None or not packet.size:
            continue
        shown = packet.pts * packet.time_base
        decoded = shown if packet.dts is None else packet.dts * packet.time_base
        if packet.stream is video:
            if packet.is_keyframe and shown <= start + HALF:  # nothing before it is needed
                packets = [one for one in packets if one.stream is not video]
                keyframe = shown
            if keyframe is None:
                continue
            # frames may be shown in another order than they are stored: all that are decoded before `stop` stay
            if decoded >= stop and shown >= stop:
                ended.add(video.index)
                if len(ended) == len(present):
                    break
                continue
            if video.index not in ended:
                packets.append(packet)
        else:
            if shown >= stop:
                ended.add(audio.index)
                if len(ended) == len(present):
                    break
            else:
                packets.append(packet)
    if keyframe is None:
        raise PhonofilmError("no keyframe lies before it")
    early = min(start - LEAD, keyframe) - Fraction(1, 10)
    packets = [one for one in packets if one.stream is video or one.pts * one.time_base >= early]
    pictures = [packet for packet in packets if packet.stream is video]
    if not any(start - HALF <= packet.pts * packet.time_base < stop for packet in pictures):
        raise PhonofilmError("there is no picture then")
    _stamped(pictures)
    _stamped([packet for packet in packets if packet.stream is audio])
    first = min(min(packet.pts, packet.dts) * packet.time_base for packet in packets)
    return packets, first


def _stamped(packets: list[Any]) -> None:
    """Give the first packets after a seek, of which Matroska does not say when they are decoded, such times."""
    known = next((number for number, packet in enumerate(packets) if packet.dts is not None), None)
    if known is None:
        now = min((packet.pts for packet in packets), default=0) - len(packets)
    else:
        now = min(packets[known].dts, *(packet.pts for packet in packets)) - known
    for packet in packets[:known]:
        packet.dts = now
        now += 1


def _landed(content: bytes, packets: list[Any], start: Fraction, path: Path) -> Fraction:
    """What must be taken from times of the film to get those of the copy: the same frame's time in both.

    A container may shift all of its times, so that frames are counted.
    """
    with av.open(io.BytesIO(content), "r") as copy:
        video, _ = streams(copy)
        made = sorted(packet.pts * packet.time_base for packet in copy.demux(video) if packet.pts is not None)
    if len(made) != len(packets):
        raise PhonofilmError(f"{path.name}: {len(packets)} frames were copied and {len(made)} came out")
    number = min(range(len(packets)), key=lambda index: abs(packets[index] - start))
    return start - made[number]
