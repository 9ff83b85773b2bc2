"""The phrases that faces say: synthesised once, aligned once, and spoken in any voice.

`scripts/make_speech.py` made the recordings and the times of their words and phonemes. A voice is given by
its pitch, the length of its throat and its pace: pitch-synchronous overlap-add (Moulines and Charpentier,
"Pitch-synchronous waveform processing techniques for text-to-speech synthesis using diphones", 1990) of
grains resampled to move the formants.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[2] / "assets" / "speech"
DECODED = FOLDER / "decoded.npz"
"""All recordings as samples, where a package was made for a machine without a media library."""
BREATH = 0.005  # s between grains where there is no pitch


@dataclass(frozen=True)
class Sound:
    """A word or a phoneme: when it is said, in s from the start of its phrase, and its level in dB of full scale."""

    name: str
    start: float
    end: float
    level: float = 0.0


@dataclass(frozen=True, eq=False)
class Phrase:
    """What can be said: text, s it takes, its words and phonemes, its recording, and Hz of its pitch every hop."""

    text: str
    seconds: float
    words: tuple[Sound, ...]
    phonemes: tuple[Sound, ...]
    file: str
    pitch: np.ndarray


@dataclass(frozen=True)
class Voice:
    """How a voice differs from the one that was recorded: factors of its pitch, formants and pace."""

    pitch: float = 1.0
    formants: float = 1.0
    pace: float = 1.0


@lru_cache(maxsize=1)
def _table() -> dict:
    return json.loads((FOLDER / "phrases.json").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def phrases() -> tuple[Phrase, ...]:
    """All that can be said."""
    table = _table()
    rate, made = table["facts"]["rate"], []
    for row in table["phrases"]:
        words = tuple(Sound(*word) for word in row["words"])
        phonemes = tuple(Sound(*phoneme) for phoneme in row["phonemes"])
        pitch = np.array(row["pitch"], float)
        made.append(Phrase(row["text"], row["samples"] / rate, words, phonemes, row["file"], pitch))
    return tuple(made)


def sample_rate() -> int:
    """Of the recording and of what `say` returns."""
    return int(_table()["facts"]["rate"])


@lru_cache(maxsize=1)
def _decoded() -> dict[str, np.ndarray]:
    """int16 [N] by the recording's file; empty where they are decoded when they are needed."""
    if not DECODED.is_file():
        return {}
    with np.load(DECODED) as stored:
        return dict(stored)


def save_decoded(path: Path) -> None:
    """Write all recordings as samples."""
    rate = sample_rate()
    sounds = {phrase.file: _recording(phrase.file, round(phrase.seconds * rate)) for phrase in phrases()}
    np.savez_compressed(path, **sounds)  # type: ignore[arg-type]


@cache
def _recording(file: str, samples: int) -> np.ndarray:
    """int16 [N]."""
    if file in _decoded():
        return _decoded()[file]
    from phonofilm.media import read_clip

    heard = read_clip(FOLDER / file, sample_rate=sample_rate(), channels=1).waveform
    assert heard is not None
    heard = np.pad(heard[0, :samples], (0, max(0, samples - heard.shape[1])))
    # on 16 bits, so that the last bits of another machine's decoder make no difference
    return np.clip(np.round(heard * 32_767), -32_768, 32_767).astype(np.int16)


def recorded(phrase: Phrase) -> np.ndarray:
    """float32 [N]: a phrase as it was recorded."""
    return _recording(phrase.file, round(phrase.seconds * sample_rate())).astype(np.float32) / 32_767


def say(phrase: Phrase, voice: Voice) -> np.ndarray:
    """float32 [N]: a phrase in a voice; it takes phrase.seconds / voice.pace."""
    from scipy.signal import resample_poly

    sound, hop = recorded(phrase), _table()["facts"]["hop"]
    pitch = _stretched(phrase.pitch, len(sound), hop)
    marks, periods = _marks(sound, pitch)
    ratio = Fraction(1 / voice.formants).limit_denominator(24)
    grains = resample_poly(sound, ratio.numerator, ratio.denominator).astype(np.float32)
    made = _overlap(grains, float(ratio), marks, periods, pitch, voice)
    return made * np.float32(np.sqrt((sound @ sound) / len(sound) / max((made @ made) / len(made), 1e-12)))


def _stretched(pitch: np.ndarray, samples: int, hop: int) -> np.ndarray:
    """Hz at every sample, as the synthesiser interpolates it; 0 where there is none."""
    place = (np.arange(samples) + 0.5) / hop - 0.5
    smooth = np.interp(place, np.arange(len(pitch)), pitch)
    return np.where(smooth > 40, smooth, 0.0)


def _marks(sound: np.ndarray, pitch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples where grains are centred, one a period at its loudest, and their half lengths; even where unvoiced."""
    rate = sample_rate()
    phase = np.cumsum(pitch / rate)
    voiced = pitch > 0
    turn = np.exp(2j * np.pi * phase[voiced])
    loudest = np.angle((sound[voiced].astype(float) ** 2 * turn).sum()) / (2 * np.pi) if voiced.any() else 0.0
    # where there is no voice, grains come at an even pace
    whole = np.floor(np.cumsum(np.where(voiced, pitch, 1 / BREATH) / rate) - loudest)
    marks = np.flatnonzero(np.diff(whole, prepend=whole[0]) > 0)
    return marks, rate / np.where(pitch[marks] > 0, pitch[marks], 1 / BREATH)


def _overlap(
    grains: np.ndarray, ratio: float, marks: np.ndarray, periods: np.ndarray, pitch: np.ndarray, voice: Voice
) -> np.ndarray:
    """Grains, already resampled by `ratio`, set down at the voice's own pitch and pace."""
    rate = sample_rate()
    out = np.zeros(int(len(pitch) / voice.pace), np.float32)
    time = 0.0
    while time < len(out):
        source = min(int(time * voice.pace), len(pitch) - 1)
        near = int(np.searchsorted(marks, source))
        near = min(near, len(marks) - 1)
        if near and source - marks[near - 1] < marks[near] - source:
            near -= 1
        half = max(int(periods[near] * ratio), 8)
        middle, target = round(marks[near] * ratio), round(time)
        first = max(-half, -middle, -target)
        last = min(half, len(grains) - middle, len(out) - target)
        if last > first:
            out[target + first : target + last] += (
                grains[middle + first : middle + last] * _hann(half)[half + first : half + last]
            )
        time += rate / (pitch[source] * voice.pitch) if pitch[source] else rate * BREATH
    return out


@lru_cache(maxsize=2048)
def _hann(half: int) -> np.ndarray:
    return (0.5 + 0.5 * np.cos(np.pi * np.arange(-half, half) / half)).astype(np.float32)
