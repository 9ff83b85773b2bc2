"""What of a request is for control modules: whether it makes sense, and who hears it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np

from phonofilm.backends.canvas.stems import Fault
from phonofilm.errors import PhonofilmError
from phonofilm.types import Clip, Request, nearest

MOST = 4.0
"""The largest strength."""


def control_faults(request: Request) -> Iterator[Fault]:
    """All that is wrong with what control modules are told."""
    if (scale := request.control_scale) is not None and not 0 <= scale <= MOST:
        yield Fault("control_scale", f"a control scale of {scale:g} is not possible; choose 0 to {MOST:g} (1 is usual)")
    for name in asked_of_modules(request):
        if request.task not in ("generate", "foley", "retake"):
            yield Fault(name, f"{request.task} takes no {name}; generate and foley do")
    seconds = seconds_of(request)
    for place, (time, strength) in enumerate(request.hits):
        if not (math.isfinite(time) and 0 <= time < (math.inf if seconds is None else seconds)):
            end = f" of {seconds:g} s" if seconds is not None and math.isfinite(seconds) else ""
            yield Fault(f"hits[{place}]", f"a hit at {time:g} s is outside the clip{end}")
        if not 0 < strength <= 1:
            yield Fault(f"hits[{place}]", f"a hit of strength {strength:g} is not possible; it is above 0, at most 1")
    if request.follow is not None and request.follow.waveform is None:
        yield Fault("follow", "what is followed is a sound, and this clip has none; name another")


def seconds_of(request: Request) -> float | None:
    """How long the clip will be, where the request alone tells."""
    if request.task in ("foley", "retake") and request.source is not None and request.source.frames is not None:
        return float(request.source.picture_seconds)
    return request.seconds if request.task == "generate" else None


def asked_of_modules(request: Request) -> tuple[str, ...]:
    """What a request needs modules for."""
    needs = {"hits": bool(request.hits), "follow": request.follow is not None, "sync": bool(request.sync)}
    return tuple(name for name, needed in needs.items() if needed)


def check_heard(request: Request, heard: frozenset[str] = frozenset()) -> None:
    """Refuse what no loaded module hears.

    Raises:
        PhonofilmError: with the first that nothing hears.
    """
    for name in asked_of_modules(request):
        if name not in heard:
            raise PhonofilmError(
                f"nothing in {request.model} hears {name}; load a control module for it with --adapter FILE"
            )


def check_within(request: Request, seconds: float) -> None:
    """Refuse a hit after the end of a clip whose length is the model's own.

    Raises:
        PhonofilmError: with the first such hit.
    """
    for time, _ in request.hits:
        if time >= seconds:
            raise PhonofilmError(f"a hit at {time:g} s is outside the clip of {seconds:g} s")


def control_from(request: Request, start: Fraction, seconds: Fraction) -> Request:
    """A request for a part of a clip: its hits and what it follows, counted from `start`."""
    end = float(start + seconds)
    hits = tuple((time - float(start), strength) for time, strength in request.hits if float(start) <= time < end)
    follow = None if request.follow is None else part_of(request.follow, start)
    return replace(request, hits=hits, follow=follow)


def part_of(clip: Clip, start: Fraction) -> Clip:
    """A sound from a moment on."""
    waveform, rate = clip.sound
    left = waveform[:, nearest(start * rate) :]
    return Clip(waveform=left if left.size else np.zeros((1, 1), np.float32), sample_rate=rate)
