"""Opening a film or sound file: which streams of it are shown, what its header says, and its packets decoded.

Whatever FFmpeg raises becomes a `PhonofilmError` here and in `colour`, where FFmpeg is called, and nowhere else, so
that a fault of Phonofilm's own is never taken for a damaged file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from phonofilm.errors import PhonofilmError
from phonofilm.types import rational

DECODER_ERRORS = (av.error.FFmpegError, ValueError, ArithmeticError, MemoryError, EOFError)
"""What PyAV raises of a damaged file: FFmpeg's errors, absurd sizes, times and rates, and what no memory holds."""

MAX_PIXELS = 2**27
MAX_CHANNELS = 64
UNKNOWN_MEMORY = 6 * 2**30
LONGEST = Fraction(30 * 24 * 3600)
"""No time stamp of a file that is whole lies further from another one, in seconds."""

_D = av.stream.Disposition
_NO_PICTURE = _D.attached_pic | _D.timed_thumbnails
_FOR_SOME = _D.comment | _D.hearing_impaired | _D.visual_impaired | _D.karaoke | _D.clean_effects | _D.dependent
_FOR_SOME |= _D.descriptions | _D.lyrics


@contextmanager
def usual_priority() -> Iterator[None]:
    """Give every thread its priority back: opened by root, the AV1 encoder puts its caller before all other processes.

    In real time, and for good; a machine of one core then does nothing else.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in map(int, os.listdir("/proc/self/task")):
            with suppress(ProcessLookupError, PermissionError):
                os.sched_setscheduler(thread, policy, priority)


def container_of(path: Path) -> Any:
    """PyAV's container. An absolute path is never taken for a protocol, and a playlist never reaches the network."""
    # what is no UTF-8 in a file's metadata raised an error before PyAV 19, unless told otherwise
    older: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
    return av.open(path.absolute(), options={"protocol_whitelist": "file"}, **older)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An open container with a picture or a sound in it; FFmpeg's errors become one clear line."""
    if not path.is_file():
        raise PhonofilmError(f"{path} is not there; check the path" if not path.exists() else f"{path} is not a file")
    if path.stat().st_size == 0:
        raise PhonofilmError(f"{path} is empty (0 bytes); make or copy it again")
    try:
        container = container_of(path)
    except DECODER_ERRORS as error:
        if isinstance(error, PermissionError):
            raise PhonofilmError(f"{path} cannot be read: permission denied") from error
        raise PhonofilmError(
            f"{path} is not a film or a sound that can be read: it is damaged, truncated, or another kind of file"
        ) from error
    with container:
        _check_tail(path)
        # FFmpeg draws the letters of a text file as a film
        if container.format.name == "tty" or not any(streams(container)):
            raise PhonofilmError(f"{path} holds neither picture nor sound")
        yield container


def _check_tail(path: Path) -> None:
    """FFmpeg reads these two kinds up to where they were cut and says nothing."""
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(-1, 2)
        tail = file.read(1)
    declared = int.from_bytes(head[4:], "little")
    riff_cut = head[:4] == b"RIFF" and 0 < declared < 2**32 - 1 and declared + 8 > path.stat().st_size
    if riff_cut or (head[:4] == b"GIF8" and tail != b";"):
        raise PhonofilmError(f"{path} is truncated: its end is missing; copy or make it again")


def streams(container: Any) -> tuple[Any, Any]:
    """The picture and the sound that players take, or None: the track marked as default, else the first ordinary one.

    The cover of an album and the thumbnails of chapters are no picture.
    """
    pictures = [stream for stream in container.streams.video if not stream.disposition & _NO_PICTURE]
    return _chosen(pictures), _chosen(container.streams.audio)


def _chosen(tracks: Any) -> Any:
    def rank(track: Any) -> tuple[bool, bool, bool]:
        says = track.disposition
        return bool(says & _D.default), bool(says & _D.forced), not says & _FOR_SOME

    return max((track for track in tracks if track.codec_context), key=rank, default=None)


def hints(video: Any) -> list[Fraction]:
    """The frame rates that a header tells, those first that are the likeliest."""
    found = []
    for name in ("average_rate", "guessed_rate", "base_rate"):
        try:
            rate = getattr(video, name)
            found += [rational(rate)] if rate else []
        except (ValueError, ArithmeticError):  # n/0, or below zero
            continue
    return found


def aspect_of(stream_or_context: Any) -> Fraction | None:
    """How wide a pixel is for its height; None where nothing is said, or nothing that can be."""
    try:
        aspect = Fraction(stream_or_context.sample_aspect_ratio or 0)
    except (ValueError, ArithmeticError):
        return None
    return aspect if Fraction(1, 20) <= aspect <= 20 else None


def seconds_of(stamp: int | None, base: Any) -> Fraction | None:
    """A time stamp in seconds, or None where there is none or no unit."""
    return None if stamp is None or not base else stamp * base


def declared_seconds(container: Any, video: Any, audio: Any) -> Fraction | None:
    """How long picture and sound claim to be, or None where the header does not say."""
    own = [s.duration * s.time_base for s in (video, audio) if s is not None and s.duration and s.time_base]
    if own:
        return max(own)
    if container.duration is None or len(container.streams) > (video is not None) + (audio is not None):
        return None
    return Fraction(container.duration, av.time_base)


def limited(stream: Any) -> Any:
    """A stream whose decoder refuses sizes that no film has, and works on all cores."""
    context = stream.codec_context
    context.options = {**context.options, "max_pixels": str(MAX_PIXELS)}
    stream.thread_type = "AUTO"
    return stream


def decoded_packets(container: Any, present: list[Any], damaged: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Each packet of some streams, and the frames that its decoder gives for it.

    A packet with a time and without content (Ogg Theora, AVI) shows the picture before it again, and gives none.

    Args:
        damaged: makes the error of a file that cannot be decoded further.
    """
    try:
        for packet in container.demux(present):
            if packet.size == 0 and (packet.pts is not None or packet.dts is not None):
                yield packet, []
            else:
                yield packet, packet.decode()
    except DECODER_ERRORS as error:
        raise damaged() from error


def memory_room() -> int:
    """Bytes that one picture or sound may take: three quarters of what this process may use."""
    try:
        import resource

        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    except (ImportError, AttributeError, ValueError, OSError):  # a system that does not say
        return UNKNOWN_MEMORY
    return (whole if allowed == resource.RLIM_INFINITY else min(whole, allowed)) // 4 * 3
