"""Events of a clip as they stand in a file, checked before they are believed."""

from __future__ import annotations

from typing import Any

from phonofilm.config import from_dict
from phonofilm.errors import PhonofilmError
from phonofilm.types import Event

LATEST = 86_400.0
"""Seconds; no clip is longer than a day."""
LOUDNESS = (-300.0, 60.0)
"""dB relative to full scale."""


def read_event(values: Any, where: str = "event") -> Event:
    """An event from plain values: a JSON object with the fields of `Event`.

    Args:
        where: begins a message.

    Raises:
        PhonofilmError: another form, or a number out of its range.
    """
    event = from_dict(Event, values, f"{where} ")
    for name, problem in (("time", _time(event)), ("box", _box(event)), ("sound", _sound(event))):
        if problem is not None:
            raise PhonofilmError(f"{where}: {name} {problem}")
    if not event.kind:
        raise PhonofilmError(f"{where}: it has no kind")
    return event


def _time(event: Event) -> str | None:
    if not 0 <= event.time <= LATEST:
        return f"{event.time:g} s is not between 0 and {LATEST:g} s"
    if event.end is not None and not event.time <= event.end <= LATEST:
        return f"ends at {event.end:g} s, which is not between its start and {LATEST:g} s"
    return None


def _box(event: Event) -> str | None:
    if event.box is None:
        return None
    left, top, right, bottom = event.box
    inside = all(0 <= edge <= 1 for edge in event.box)
    return None if inside and left <= right and top <= bottom else f"{list(event.box)} is not within the picture"


def _sound(event: Event) -> str | None:
    if event.pan is not None and not -1 <= event.pan <= 1:
        return f"has pan {event.pan:g}, which is not between -1 and 1"
    if event.loudness is not None and not LOUDNESS[0] <= event.loudness <= LOUDNESS[1]:
        return f"has a loudness of {event.loudness:g} dB"
    return None
