"""A music bed by rule: a chord progression, broken or held, at a tempo, on one of a few instruments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from phonofilm.types import Event
from phonofilm.world.audio.synthesis import Hit, Score, Tone, control_times

KEYS = {"C": 48, "D": 50, "E": 52, "F": 53, "G": 55, "A": 57}  # MIDI numbers of the keynotes
# degrees of the scale their chords stand on, from the keynote
PROGRESSIONS = {
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 0, 4), (0, 2, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 6), (0, 5, 3, 4)),
}
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
FIGURES = {"rising": (0, 1, 2, 3), "rolling": (0, 2, 1, 2), "falling": (3, 2, 1, 0), "waltzing": (0, 2, 3)}


@dataclass(frozen=True)
class Instrument:
    """Harmonics, their decays to -60 dB in s (none where the tone is held) and gains, and the click of the attack."""

    ratios: tuple[float, ...]
    decays: tuple[float, ...]
    gains: tuple[float, ...]
    click: float


INSTRUMENTS = {
    "piano": Instrument((1, 2.001, 3.004, 4.01, 5.02), (2.2, 1.6, 1.1, 0.8, 0.5), (1.0, 0.5, 0.28, 0.14, 0.08), 0.03),
    "marimba": Instrument((1, 3.98, 9.9), (0.7, 0.25, 0.1), (1.0, 0.22, 0.08), 0.05),
    "harp": Instrument((1, 2.0, 3.0, 4.0), (1.5, 0.9, 0.6, 0.4), (1.0, 0.4, 0.2, 0.1), 0.01),
    "strings": Instrument((1, 2, 3, 4, 5), (), (1.0, 0.55, 0.4, 0.22, 0.12), 0.0),
}
PAN = {"piano": 0.15, "marimba": -0.2, "harp": 0.3, "strings": -0.1}


def sample(rng: np.random.Generator) -> dict[str, Any]:
    """A piece as plain facts."""
    mode = str(rng.choice(list(SCALES)))
    return {
        "instrument": str(rng.choice(list(INSTRUMENTS))),
        "key": str(rng.choice(list(KEYS))),
        "mode": mode,
        "tempo": float(rng.uniform(72, 132)),
        "chords": [int(v) for v in PROGRESSIONS[mode][int(rng.integers(len(PROGRESSIONS[mode])))]],
        "figure": str(rng.choice(list(FIGURES))),
        "level": float(rng.uniform(0.05, 0.09)),
    }


def said(piece: Mapping[str, Any]) -> str:
    """A few words about it."""
    pace = "slow" if piece["tempo"] < 90 else "lively" if piece["tempo"] > 112 else "calm"
    mood = "cheerful" if piece["mode"] == "major" else "wistful"
    return f"{pace}, {mood} {piece['instrument']} music"


def event(piece: Mapping[str, Any], seconds: float) -> Event:
    """Heard throughout, from no place in the picture."""
    name = f"{piece['instrument']}, {piece['key']} {piece['mode']}, {piece['tempo']:.0f} bpm"
    return Event(0.0, "music", None, None, float(20 * np.log10(piece["level"])), seconds, name)


def pitch(piece: Mapping[str, Any], degree: int) -> float:
    """Hz of a degree of the piece's scale; 7 degrees make an octave."""
    octave, step = divmod(degree, 7)
    return 440.0 * 2.0 ** ((KEYS[piece["key"]] + 12 * octave + SCALES[piece["mode"]][step] - 69) / 12)


def chord(degree: int) -> tuple[int, ...]:
    """Degrees of a triad with its octave."""
    return degree, degree + 2, degree + 4, degree + 7


def score(piece: Mapping[str, Any], seconds: float) -> Score:
    """A bass note on each chord and its figure in eighths; strings hold the chord instead."""
    beat = 60 / piece["tempo"]
    figure = FIGURES[piece["figure"]]
    bar = 4 * beat if len(figure) == 4 else 3 * beat
    hits: list[Hit] = []
    tones: list[Tone] = []
    for number in range(int(seconds / bar) + 1):
        degree, start = piece["chords"][number % len(piece["chords"])], number * bar
        notes = chord(degree)
        if piece["instrument"] == "strings":
            tones += [_held(piece, note, start, bar, seconds) for note in (degree - 7, *notes)]
            continue
        hits.append(_struck(piece, degree - 7, start, 1.1))
        for eighth in range(2 * round(bar / beat)):
            accent = 0.9 if eighth % len(figure) == 0 else 0.65
            hits.append(_struck(piece, notes[figure[eighth % len(figure)]] + 7, start + eighth * beat / 2, accent))
    return Score(tuple(hit for hit in hits if hit.time < seconds), tones=tuple(tones))


def accent(piece: Mapping[str, Any], time: float) -> list[Hit]:
    """The chord of the moment, struck at once and louder; strings are joined by a piano."""
    struck = piece if piece["instrument"] != "strings" else {**piece, "instrument": "piano"}
    bar = (4 if len(FIGURES[piece["figure"]]) == 4 else 3) * 60 / piece["tempo"]
    degree = piece["chords"][int(time / bar) % len(piece["chords"])]
    return [_struck(struck, note, time, 1.5) for note in (degree - 7, *chord(degree), degree + 14)]


def _struck(piece: Mapping[str, Any], degree: int, time: float, accent: float) -> Hit:
    played, tone = INSTRUMENTS[piece["instrument"]], pitch(piece, degree)
    frequencies = tuple(tone * ratio for ratio in played.ratios)
    gain, pan = piece["level"] * accent, PAN[piece["instrument"]]
    return Hit(time, gain, pan, frequencies, played.decays, played.gains, played.click, 3000, "music")


def _held(piece: Mapping[str, Any], degree: int, start: float, bar: float, seconds: float) -> Tone:
    """A bowed note that swells and fades, with vibrato."""
    times = control_times(seconds)
    part = (times - start) / bar
    level = piece["level"] * 0.5 * np.clip(np.minimum(part / 0.12, (1.08 - part) / 0.14), 0, 1)
    vibrato = 1 + 0.004 * np.sin(2 * np.pi * 5.1 * times + degree)
    played, pan = INSTRUMENTS[piece["instrument"]], PAN[piece["instrument"]]
    return Tone(pitch(piece, degree) * vibrato, level, pan, played.gains, "music")
