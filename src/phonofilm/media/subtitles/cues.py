"""Cues, and the text of WebVTT and SubRip files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from phonofilm.types import Event

HEARD = {
    "thunder": "thunder",
    "blast": "explosion",
    "impact": "thud",
    "strike": "a note",
    "pass": "a car passes",
    "drop": "a drop",
    "flash": "beep",
}
"""Kinds of events that are heard, and how subtitles call them; phonemes and words are no sounds."""
TOGETHER = 1.5
"""Seconds within which the same sound is told once."""
SHOWN = 1.0
"""Seconds that a sound without an end is shown."""


@dataclass(frozen=True)
class Cue:
    """A line of subtitles, from `start` to `end` in seconds."""

    start: float
    end: float
    text: str


def cues_of(events: Iterable[Event], seconds: float = math.inf) -> tuple[Cue, ...]:
    """What is said (events of kind "line", or else single words) and, in brackets, what is heard; in order of time.

    Args:
        seconds: of the clip, at which the last ones end.
    """
    known = sorted(events, key=lambda event: event.time)
    kind = "line" if any(event.kind == "line" for event in known) else "word"
    said = [Cue(event.time, event.end or event.time, event.label or "") for event in known if event.kind == kind]
    sounds: dict[str, list[Cue]] = {}
    for event in known:
        if (name := HEARD.get(event.kind)) is None:
            continue
        end = max(event.end or 0.0, event.time + SHOWN)
        told = sounds.setdefault(name, [])
        if told and event.time - told[-1].end < TOGETHER - SHOWN:
            told[-1] = Cue(told[-1].start, max(told[-1].end, end), told[-1].text)
        else:
            told.append(Cue(event.time, end, f"[{name}]"))
    heard = [cue for told in sounds.values() for cue in told]
    shown = [replace(cue, end=min(cue.end, seconds)) for cue in (*said, *heard) if cue.text and cue.start < seconds]
    return tuple(sorted(shown, key=lambda cue: (cue.start, cue.end)))


def webvtt(cues: Sequence[Cue]) -> str:
    """A WebVTT file (W3C)."""
    blocks = [f"{_time(cue.start, '.')} --> {_time(_end(cue), '.')}\n{_escaped(_line(cue.text))}\n" for cue in cues]
    return "\n".join(["WEBVTT\n", *blocks])


def subrip(cues: Sequence[Cue]) -> str:
    """A SubRip file; a number, the times and the text of each cue."""
    blocks = (
        f"{number}\n{_time(cue.start, ',')} --> {_time(_end(cue), ',')}\n{_line(cue.text)}\n"
        for number, cue in enumerate(cues, start=1)
    )
    return "\n".join(blocks)


def _end(cue: Cue) -> float:
    return max(cue.end, cue.start + 0.001)


def _time(seconds: float, point: str) -> str:
    thousandths = round(max(0.0, seconds) * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"


def _line(text: str) -> str:
    """One line without an arrow: a blank line would end the cue."""
    return " ".join(text.split()).replace("-->", "→")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
