"""Subtitles of a file, whatever FFmpeg reads as text: .vtt, .srt, .ass and others, or a track in a film."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import av

from phonofilm.errors import PhonofilmError
from phonofilm.media.container import DECODER_ERRORS, container_of
from phonofilm.media.subtitles.cues import Cue

SUFFIXES = (".vtt", ".srt", ".ass", ".ssa", ".sbv", ".sub")
LARGEST = 20 * 2**20
"""Bytes of a text file; a film of ten hours has a hundredth of it."""
STYLE = re.compile(r"\{[^}]*\}|<[^>]*>")


def read_subtitles(path: str | Path) -> tuple[Cue, ...]:
    """The cues of a subtitle file, or of the first track of text in a film, in order of time.

    Raises:
        PhonofilmError: a file that is missing, or holds no subtitles as text.
    """
    path = Path(path)
    if not path.is_file():
        raise PhonofilmError(f"{path} is not there; check the path" if not path.exists() else f"{path} is not a file")
    try:
        with _opened(path) as container:
            cues = _cues(container)
    except DECODER_ERRORS as error:
        how = "check that it has times and text" if path.suffix.lower() in SUFFIXES else "use .vtt or .srt"
        raise PhonofilmError(f"{path} is no subtitle file that can be read; {how}") from error
    except OSError as error:
        raise PhonofilmError(f"{path} cannot be read: {error.strerror or error}") from error
    if cues is None:
        raise PhonofilmError(f"{path} has no track of subtitles as text")
    if not cues:
        raise PhonofilmError(f"{path} holds no line of subtitles; check its times, as in 00:01.500 --> 00:03.000")
    return tuple(sorted(cues, key=lambda cue: (cue.start, cue.end)))


def subtitles_of(film: str | Path) -> tuple[Path, tuple[Cue, ...]]:
    """Where the subtitles of a film are, and what they are: a .vtt or .srt of its name beside it, or a track in it.

    Raises:
        PhonofilmError: there are none, or they cannot be read.
    """
    film = Path(film)
    for suffix in (".vtt", ".srt"):
        if (beside := film.with_suffix(suffix)).is_file():
            return beside, read_subtitles(beside)
    try:
        return film, read_subtitles(film)
    except PhonofilmError as error:
        names = f"{film.stem}.vtt or {film.stem}.srt"
        raise PhonofilmError(f"{film} has no subtitles: no track of text in it, and no {names} beside it") from error


def _opened(path: Path) -> Any:
    """A container; a text file is read here, since FFmpeg takes text in UTF-8 alone."""
    if path.suffix.lower() not in SUFFIXES:
        return container_of(path)
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST or not content:
        raise ValueError("no subtitle file")
    return av.open(io.BytesIO(_text(content).encode()))


def _text(content: bytes) -> str:
    encodings = ["utf-16"] if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "cp1252", "latin-1"]
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ValueError("no text")


def _cues(container: Any) -> list[Cue] | None:
    """The cues of the first stream of text, or None where there is no such stream."""
    for stream in container.streams.subtitles:
        if stream.codec_context is None:
            continue
        found, pictures = [], False
        for packet in container.demux(stream):
            if not packet.size or packet.pts is None:
                continue
            shown = packet.decode()
            pictures = pictures or any(part.type == b"bitmap" for part in shown)
            text = " ".join(" ".join(_plain(part) for part in shown).split())
            start, lasts = float(packet.pts * packet.time_base), float((packet.duration or 0) * packet.time_base)
            if text and lasts > 0 and start >= 0:
                found.append(Cue(start, start + lasts, text))
        if found or not pictures:
            return found
    return None


def _plain(part: Any) -> str:
    """What a part of a subtitle says, without its style."""
    said = getattr(part, "dialogue", None) or getattr(part, "text", None) or b""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return STYLE.sub("", text.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " "))
