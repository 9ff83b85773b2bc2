"""When sound shall begin and how loud it shall be, as a signal for each token of sound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from phonofilm.errors import PhonofilmError
from phonofilm.extras import lacking

LEAST_RATE = 40
"""Slots a second at the least: a token of sound is divided into as many as that takes."""

QUIETEST = -60.0
"""dB of full scale that stand for a loudness of 0."""


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
    except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError) as error:
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


def slots_of(bounds: np.ndarray) -> int:
    """Into how many slots each token of sound is divided, [tokens, 1, 2] its bounds in seconds (`Positions.audio`)."""
    longest = float((bounds[:, 0, 1] - bounds[:, 0, 0]).max())
    return max(1, math.ceil(longest * LEAST_RATE - 1e-9))


def hits_signal(hits: Sequence[Hit], bounds: np.ndarray, slots: int | None = None) -> Tensor:
    """Hits packed into the tokens of sound.

    Args:
        bounds: float64 [tokens, 1, 2], seconds, as `Positions.audio`; a hit belongs to the first token over it.

    Returns:
        float32 [1, tokens, 2 · slots]: of each slot the strength of its hits, and that times their place in it.
    """
    slots = slots or slots_of(bounds)
    signal = torch.zeros(len(bounds), 2, slots)
    for hit in hits:
        over = np.flatnonzero((bounds[:, 0, 0] <= hit.time) & (hit.time < bounds[:, 0, 1]))
        if len(over):
            start, end = bounds[over[0], 0]
            place = (hit.time - start) / (end - start) * slots
            slot = min(int(place), slots - 1)
            signal[over[0], 0, slot] += hit.strength
            signal[over[0], 1, slot] += hit.strength * (place - slot)
    return signal.flatten(1)[None]


def loudness_signal(waveform: ArrayLike, sample_rate: int, bounds: np.ndarray, slots: int | None = None) -> Tensor:
    """The loudness of a sound [N] or [C, N], packed like `hits_signal`.

    Returns:
        float32 [1, tokens, slots]: 0 at -60 dB of full scale and below, 1 at full scale.
    """
    power = np.square(np.atleast_2d(np.asarray(waveform, np.float64))).mean(0)
    return power_signal(power, sample_rate, bounds, slots)


def power_signal(power: np.ndarray, rate: float, bounds: np.ndarray, slots: int | None = None) -> Tensor:
    """`loudness_signal` of a sound's power [N], `rate` values a second."""
    slots = slots or slots_of(bounds)
    total = np.concatenate([[0.0], power.cumsum()])
    start, end = bounds[:, 0, 0], bounds[:, 0, 1]
    edges = start[:, None] + (end - start)[:, None] * np.linspace(0, 1, slots + 1)
    samples = (edges * rate).round().astype(int).clip(0, len(total) - 1)
    counts = np.diff(samples, axis=1).clip(1)
    level = 10 * np.log10(np.maximum(np.diff(total[samples], axis=1) / counts, 1e-12))
    return torch.from_numpy((1 - level / QUIETEST).clip(0, 1)).float()[None]


def _checked(hit: Hit, seconds: float) -> Hit:
    if not 0 <= hit.time < seconds:
        raise PhonofilmError(f"a hit at {hit.time:g} s is outside the clip of {seconds:g} s")
    if not 0 < hit.strength <= 1:
        raise PhonofilmError(f"a hit of strength {hit.strength:g} is not possible; it is above 0 and at most 1")
    return hit
