"""Shots become one film: pictures cut or dissolved, each shot's own sound ended at its cut, the music under all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import numpy as np

from phonofilm.app.story.board import Placed
from phonofilm.types import Clip, nearest

EDGE = Fraction(1, 200)
"""Seconds in which the sound of a shot begins and ends at a cut, so that it does not click."""
Read = Callable[[int], Clip]
"""Gives a shot by its number."""


def pictures(read: Read, placed: Sequence[Placed]) -> Iterator[np.ndarray]:
    """Frame after frame, uint8 [H, W, 3]; of a dissolve the mixture, in light as it is stored."""
    tail: np.ndarray | None = None
    for number, place in enumerate(placed):
        frames = read(number).picture.frames[: place.frames]
        overlap = place.overlap
        for n in range(overlap):
            assert tail is not None
            share = (n + 1) / (overlap + 1)
            yield np.rint((1 - share) * tail[n] + share * frames[n]).astype(np.uint8)
        keep = placed[number + 1].overlap if number + 1 < len(placed) else 0
        yield from frames[overlap : len(frames) - keep]
        tail = frames[len(frames) - keep :]


def own_sound(clip: Clip, without: str = "music") -> np.ndarray:
    """float32 [C, N]: the sound of a shot without the bed that was given to it."""
    stems = [stem for name, stem in clip.stems.items() if name != without]
    return np.asarray(np.sum(stems, axis=0, dtype=np.float32)) if stems else clip.sound.waveform


def lay(sound: np.ndarray, own: np.ndarray, place: Placed, after: int, fps: Fraction, rate: int) -> None:
    """Add the sound of a shot to that of the film, float32 [C, N], in place.

    Args:
        own: of the shot. after: frames of the dissolve that it ends with.
    """
    start, end = (nearest(frame / fps * rate) for frame in (place.start, place.end))
    length = min(end - start, own.shape[1], sound.shape[1] - start)
    gain = np.ones(length, np.float32)
    into = max(nearest(place.overlap / fps * rate), nearest(EDGE * rate) if place.start else 0)
    out = max(nearest(after / fps * rate), nearest(EDGE * rate) if end < sound.shape[1] else 0)
    # half a sine, so that a dissolve of two sounds that have nothing in common is as loud as either
    gain[:into] *= np.sin(np.linspace(0, np.pi / 2, into))[:length]
    gain[length - out :] *= np.cos(np.linspace(0, np.pi / 2, out))[-length:] if out else 1
    sound[:, start : start + length] += own[:, :length] * gain
