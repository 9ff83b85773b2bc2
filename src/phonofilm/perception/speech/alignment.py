"""When each word of a known text is said: forced alignment with its phonemes, or else by where the sound is loud."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from phonofilm.perception.common.optional_imports import require
from phonofilm.perception.speech.english import english
from phonofilm.types import Event

RATE, FRAMES = 16_000, 100
"""What the aligner hears, and its frames a second."""
PADDING = 0.2
"""Seconds of silence that the aligner wants at both ends."""
ATTEMPTS = 4
QUIET = 10 ** (-40 / 20)
"""Of the loudest moment: below this nobody speaks."""
STEP = 0.01
GAP, MARGIN, FAR = 0.6, 0.3, 0.5
"""Seconds between two words that part what is aligned together; around these words; and by which an aligned word
may lie from where it was heard."""

Times = list[tuple[float, float]]


def forced(waveform: np.ndarray, pronounced: Sequence[Sequence[str]]) -> Times | None:
    """Start and end in seconds of each word, by the Viterbi path of pocketsphinx's English model.

    Args:
        waveform: float [N] at 16 kHz.
        pronounced: the phonemes of each word in ARPABET without stress.

    Returns:
        None where a word has no phonemes, or where no path is found.

    Raises:
        PhonofilmError: pocketsphinx is not installed.
    """
    if not all(pronounced):
        return None
    decoder = _decoder()
    names = [_word(decoder, phonemes) for phonemes in pronounced]
    sound = np.pad(waveform, round(PADDING * RATE))
    for attempt in range(ATTEMPTS):  # its models know no digital silence, so noise is laid under the voice
        noise = (2 + attempt % 3) * 5e-4 * np.random.default_rng(attempt).standard_normal(len(sound))
        pcm = (np.clip(sound + noise, -1, 1) * 32_767).astype("<i2").tobytes()
        try:
            decoder.set_align_text(" ".join(names))
            decoder.start_utt()
            decoder.process_raw(pcm, full_utt=True)
            decoder.end_utt()
        except RuntimeError:
            continue
        found = [(part.word, part.start_frame, part.end_frame + 1) for part in decoder.seg()]
        spoken = [(start, end) for word, start, end in found if word.partition("(")[0] in names]
        if len(spoken) == len(names):
            last = len(waveform) / RATE
            bounds = np.clip(np.array(spoken) / FRAMES - PADDING, 0, last)
            return [(float(start), float(end)) for start, end in bounds]
    return None


def aligned_words(words: Sequence[Event], waveform: np.ndarray) -> tuple[Event, ...]:
    """English words that were heard, with the times of their phonemes; as they were where these are not found.

    Args:
        words: with times that are about right, as a recogniser gives them. waveform: float [N] at 16 kHz.

    Raises:
        PhonofilmError: pocketsphinx or hibari-tts is not installed.
    """
    groups: list[list[Event]] = []
    for word in words:
        if groups and word.time - (groups[-1][-1].end or groups[-1][-1].time) < GAP:
            groups[-1].append(word)
        else:
            groups.append([word])
    return tuple(word for group in groups for word in _aligned(group, waveform))


def _aligned(words: Sequence[Event], waveform: np.ndarray) -> list[Event]:
    first = max(0.0, words[0].time - MARGIN)
    last = min(len(waveform) / RATE, (words[-1].end or words[-1].time) + MARGIN)
    part = waveform[round(first * RATE) : round(last * RATE)]
    times = forced(part, [english().arpabet(word.label or "") for word in words]) if len(part) else None
    if times is None or any(
        abs(first + start - word.time) > FAR for word, (start, _) in zip(words, times, strict=True)
    ):
        return list(words)
    return [replace(word, time=first + start, end=first + end) for word, (start, end) in zip(words, times, strict=True)]


@cache
def _decoder() -> Any:
    sphinx = require("pocketsphinx", "aligning words")
    # without a language model: only the words of the text are looked for, and each new one would rebuild it
    return sphinx.Decoder(sphinx.Config(loglevel="FATAL", samprate=float(RATE), frate=FRAMES, lm=None))


def _word(decoder: Any, phonemes: Sequence[str]) -> str:
    """A word of the aligner's dictionary that is said so, put there if need be."""
    name = "_".join(phonemes).lower() + "_"
    if decoder.lookup_word(name) is None:
        decoder.add_word(name, " ".join(phonemes), False)
    return name


def by_energy(waveform: np.ndarray, rate: int, weights: Sequence[float]) -> Times:
    """Words shared out over the time in which something is loud, each as long as its weight says.

    Args:
        waveform: float [N].
        weights: how long each word takes beside the others, such as its letters.
    """
    size = max(1, round(STEP * rate))
    count = max(1, len(waveform) // size)
    blocks = np.resize(waveform, count * size).reshape(count, size) if len(waveform) else np.zeros((1, 1))
    level = np.sqrt((blocks.astype(np.float64) ** 2).mean(axis=1))
    loud = level > QUIET * max(level.max(), 1e-9)
    loud = loud if loud.any() else np.ones_like(loud)
    places = np.flatnonzero(loud)
    shares = np.concatenate([[0], np.cumsum(weights)]) / sum(weights) * len(places)
    times: Times = []
    for start, end in itertools.pairwise(shares):
        first = places[min(int(start), len(places) - 1)] + start % 1
        last = places[min(max(int(np.ceil(end)) - 1, 0), len(places) - 1)] + 1 - (-end % 1)
        times.append((float(first * size / rate), float(max(last, first) * size / rate)))
    return times


def as_words(labels: Sequence[str], times: Times) -> tuple[Event, ...]:
    """Times as events of kind "word"."""
    return tuple(
        Event(start, "word", end=max(start, end), label=label)
        for label, (start, end) in zip(labels, times, strict=True)
    )
