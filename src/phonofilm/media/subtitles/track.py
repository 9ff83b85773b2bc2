"""A track of subtitles for `media.write.mux`: SubRip in Matroska, WebVTT in WebM. MP4 has none that PyAV can write.

Text needs an encoder only to get its header; FFmpeg reads the text of a file, and its packets are copied.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import av

from phonofilm.media.subtitles.cues import Cue, subrip, webvtt

FORMATS = {".mkv": ("srt", subrip), ".webm": ("webvtt", webvtt)}
"""The kinds of files that hold a track of text, with FFmpeg's name of its kind and what writes it."""


def holds_subtitles(suffix: str) -> bool:
    """Whether a file of this kind can have a track of subtitles."""
    return suffix.lower() in FORMATS


def subtitle_track(output: Any, cues: Sequence[Cue], suffix: str) -> Iterator[tuple[Fraction, Any, Any]]:
    """Cues as a track of a container that is open for writing; see `media.write.Track`."""
    format, written = FORMATS[suffix.lower()]
    with av.open(io.BytesIO(written(cues).encode()), format=format, mode="r") as source:
        read = source.streams.subtitles[0]
        stream = output.add_stream_from_template(read)
        stream.metadata["language"] = "eng"
        packets = [packet for packet in source.demux(read) if packet.size]

    def copy() -> Iterator[tuple[Fraction, Any, Any]]:
        for packet in packets:
            packet.stream = stream
            yield Fraction(packet.pts or 0) * (packet.time_base or 1), stream, packet

    return copy()
