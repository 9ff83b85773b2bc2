"""Which family of scenes a picture shows and a sound is of, by what only that family has.

Scenes combine, so that more than one answer may be right (`asked.Asked.holds`): what is most striking is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from phonofilm.evaluation.foley_world.audio_events import Onset, note
from phonofilm.evaluation.foley_world.audio_events import spectrum_after as spectrum
from phonofilm.evaluation.foley_world.detect import PITCHES
from phonofilm.evaluation.foley_world.edition2.bodies import Track
from phonofilm.evaluation.foley_world.edition2.hearing import band_shares, decibels
from phonofilm.evaluation.foley_world.visual_events import VisualEvent

BARS = 5
"""Bars that an instrument has at least."""
FIRE = 0.04
"""Share of the picture that is brighter with fire a fifth of a second after a flash."""
WIDE, FALLS = 0.95, 0.2
"""Share of the columns of the picture that what passes moves in; share of its height that a body falls through."""
GLARE = 0.5
"""Seconds that lightning lights things up."""
HISS, LASTING, NOTHING = -28.0, -45.0, -60.0
"""dB: least level of rain's treble, and of what never falls silent, below the loudest moment; level of silence."""
SHARP, SUDDEN = 3.3, 3.5
"""Strength of onsets of things that strike one another, and of a bang."""
DEEP = (0.15, 0.75)
"""Share of a bang's power below 178 Hz."""


class Look(Protocol):
    """A picture, and what is seen in it when it is asked for: `score.Seen`."""

    @property
    def frames(self) -> np.ndarray: ...
    @property
    def fps(self) -> float: ...
    @property
    def bars(self) -> Sequence[str]: ...
    @property
    def flashes(self) -> Sequence[VisualEvent]: ...
    @property
    def moving(self) -> NDArray[np.float64]: ...
    @property
    def tracks(self) -> Sequence[Track]: ...


def of_picture(seen: Look) -> str:
    """The family that a picture shows."""
    if len(seen.bars) >= BARS:
        return "strike"
    frames, last = seen.frames, len(seen.frames) - 1
    still = np.median(frames[::4], axis=0).astype(np.float32) / 255
    if any(_fire(frames[min(round((f.time + 0.2) * seen.fps), last)], still) > FIRE for f in seen.flashes):
        return "blast"
    if _eaves(still):
        return "rain"
    if any(_bounces(track.path[~np.isnan(track.path[:, 1]), 1], last + 1) for track in seen.tracks):
        return "bounce"
    calm = np.ones(last + 1, bool)
    for flash in seen.flashes:
        calm[max(round((flash.time - 0.05) * seen.fps), 0) : round((flash.time + GLARE) * seen.fps)] = False
    most = seen.moving[calm].max(0, initial=0)
    return "pass" if (most > 0.3 * np.quantile(most, 0.95)).mean() > WIDE else "talk"


def _bounces(heights: np.ndarray, frames: int) -> bool:
    """A body is there from the beginning to the end, and goes up or down; a bird comes and goes."""
    return len(heights) > 0.85 * frames and float(np.ptp(heights)) > FALLS


def _fire(frame: np.ndarray, still: NDArray[np.float32]) -> float:
    def burning(picture: NDArray[np.floating]) -> float:
        red, green, blue = np.moveaxis(picture, -1, 0)
        return float(((red > 0.85) & (red - blue > 0.3) & (green > 0.3)).mean())

    return burning(frame.astype(np.float32) / 255) - burning(still)


def _eaves(still: NDArray[np.float32]) -> bool:
    """Red tiles from side to side at the top, and a gutter below them."""
    top = still[: max(len(still) // 20, 1)]
    rows = np.median(still[: len(still) // 8], axis=1)
    even = float(np.abs(top - np.median(top, axis=1, keepdims=True)).max(-1).mean())
    red = float(rows[: len(top), 0].mean() / max(float(rows[: len(top), 2].mean()), 1e-3))
    edge = float(np.abs(np.diff(rows.mean(-1))).max(initial=0))
    return even < 0.05 and red > 1.4 and edge > 0.08


def of_sound(
    effects: np.ndarray, speech: np.ndarray, sample_rate: int, ears: NDArray[np.float64], onsets: Sequence[Onset]
) -> str:
    """The family that effects and speech, each [C, N], are of.

    Args:
        ears: band energy of the effects, as `stems.ears` gives it. onsets: of the effects.
    """
    if decibels(effects) < NOTHING:
        return "talk" if decibels(speech) > NOTHING else ""
    bands = ears.sum(-1)
    treble = bands[:, 2 * bands.shape[1] // 3 :].sum(1)
    if 10 * np.log10(np.quantile(treble, 0.1) / bands.sum(1).max() + 1e-12) > HISS:
        return "rain"
    total = bands.sum(1)
    steady = 10 * np.log10(np.quantile(total, 0.1) / total.max() + 1e-12) > LASTING
    strengths = [onset.strength for onset in onsets]
    if not steady and max(strengths, default=0) > SUDDEN and _rumbles(effects, sample_rate, onsets):
        return "blast"
    if strengths and np.median(strengths) > SHARP:
        tuned = [_in_tune(effects, sample_rate, onset.time) for onset in onsets]
        return "strike" if np.mean(tuned) > 0.6 else "bounce"
    return "pass"


def _rumbles(waveform: np.ndarray, sample_rate: int, onsets: Sequence[Onset]) -> bool:
    """The loudest onset is a bang: neither without deep tones nor, like rubber, of deep tones alone."""
    shares, power = zip(*(band_shares(waveform, sample_rate, onset.time) for onset in onsets), strict=True)
    deep = float(np.exp(shares[int(np.argmax(power))][:2]).sum())
    return DEEP[0] < deep < DEEP[1]


def _in_tune(waveform: np.ndarray, sample_rate: int, time: float) -> bool:
    """The strongest partial is a note of the instrument."""
    hertz, power = spectrum(waveform, sample_rate, time)
    strongest = hertz[np.argmax(power * (hertz > 50))]
    return bool(abs(strongest / PITCHES[note(waveform, sample_rate, time, PITCHES)] - 1) < 0.007)
