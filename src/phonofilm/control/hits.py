"""Moments at which sound shall begin: as text, and from MIDI. Reads them without torch, for servers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from phonofilm.errors import PhonofilmError
from phonofilm.extras import lacking


@dataclass(frozen=True)
class Hit:
    """A moment at which a sound begins: seconds, and how strong from above 0 to 1."""

    time: float
    strength: float = 1.0


def parse_hits(text: str, seconds: float) -> tuple[Hit, ...]:
    """Hits from "0.5,1.25@0.8", in order of time.

    Raises:
        PhonofilmError: what is no number, a strength beyond 0 to 1, or a hit outside the clip.
    """
    found = []
    for part in text.split(","):
        time, at, strength = part.strip().partition("@")
        try:
            hit = Hit(float(time), float(strength) if at else 1.0)
        except ValueError:
            raise PhonofilmError(f"a hit is SECONDS or SECONDS@STRENGTH as in 0.5,1.25@0.8, not {part!r}") from None
        found.append(_checked(hit, seconds))
    return tuple(sorted(found, key=lambda hit: hit.time))


def read_midi(path: str | Path, seconds: float) -> tuple[Hit, ...]:
    """The notes of a MIDI file that begin within a clip; velocity is strength.

    Raises:
        PhonofilmError: a file that is no MIDI, one without notes in the clip, or the package `mido` is missing.
    """
    try:
        import mido
    except ImportError as error:
        raise lacking("mido", "reading MIDI") from error
    if not Path(path).is_file():
        raise PhonofilmError(f"MIDI file {path} is missing; check the path")
    now, found = 0.0, []
    try:
        for message in mido.MidiFile(path):
            now += message.time
            if message.type == "note_on" and message.velocity > 0 and now < seconds:
                found.append(Hit(now, message.velocity / 127))
    except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, MemoryError) as error:
        raise PhonofilmError(f"{path} is no MIDI file that can be read ({error}); export it again") from error
    if not found:
        raise PhonofilmError(f"{path} has no note within the {seconds:g} s of the clip")
    return tuple(found)


def read_hits(said: str, seconds: float | None) -> tuple[Hit, ...]:
    """Hits as a user says them: moments, or a MIDI file.

    Args:
        seconds: of the clip, if that is known.

    Raises:
        PhonofilmError: see `parse_hits` and `read_midi`; or a MIDI file for a clip of unknown length.
    """
    if not is_midi(said):
        return parse_hits(said, math.inf if seconds is None else seconds)
    if seconds is None:
        raise PhonofilmError(f"how much of {said} is played depends on the clip's length; say it in seconds")
    return read_midi(said, seconds)


def is_midi(said: str) -> bool:
    """Whether hits are the name of a MIDI file."""
    return Path(said.strip()).suffix.lower() in (".mid", ".midi")


def _checked(hit: Hit, seconds: float) -> Hit:
    if not 0 <= hit.time < seconds:
        raise PhonofilmError(f"a hit at {hit.time:g} s is outside the clip of {seconds:g} s")
    if not 0 < hit.strength <= 1:
        raise PhonofilmError(f"a hit of strength {hit.strength:g} is not possible; it is above 0 and at most 1")
    return hit
