"""Live sources by the names of their models."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any, Literal

from phonofilm.errors import PhonofilmError
from phonofilm.streaming.fake import FORMAT, FakeFollower, FakeSource
from phonofilm.streaming.source import LiveFollower, LiveFormat, LiveSource
from phonofilm.weights import family

FAKE = "fake"


def open_source(model: str = "nano", device: str = "auto", size: tuple[int, int] | None = None) -> LiveSource[Any]:
    """A source that is ready to begin.

    Raises:
        PhonofilmError: a model that does not stream, or not in this size.
    """
    if model == FAKE:
        return FakeSource(_fake_format(size))
    if (kind := family(model)) is not None:
        raise PhonofilmError(f"{model} ({kind}) does not stream, it makes whole clips; choose one of our own models")
    native = import_module("phonofilm.streaming.native.source")  # torch, which the fake source does without
    source: LiveSource[Any] = native.open_native(model, device, size)
    return source


def open_follower(
    model: str, takes: Literal["frames", "sound"], device: str = "auto", size: tuple[int, int] | None = None
) -> LiveFollower[Any]:
    """A model that makes sound for frames, or a picture for sound, as they come.

    Raises:
        PhonofilmError: a model that does not.
    """
    if model == FAKE:
        return FakeFollower(takes, _fake_format(size))
    what = "sound for frames" if takes == "frames" else "a picture for sound"
    raise PhonofilmError(f"{model} does not make {what} as they come, only for whole clips; leave out --live")


def _fake_format(size: tuple[int, int] | None) -> LiveFormat:
    if size is None:
        return FORMAT
    if not all(16 <= side <= 4096 for side in size):
        raise PhonofilmError(f"a size of {size[0]}x{size[1]} is not possible; choose 16 to 4096 for each side")
    return replace(FORMAT, width=size[0], height=size[1])
