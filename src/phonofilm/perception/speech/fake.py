"""A voice without a network: a tone for each word, at times that it says exactly. Tests hear it in microseconds."""

from __future__ import annotations

import numpy as np

from phonofilm.perception.speech.voice import Spoken, check_latin, words_of
from phonofilm.types import Event

LETTER, GAP = 0.05, 0.05
"""Seconds that each letter of a word lasts, and the silence between two words."""
LEVEL = 0.3


class FakeVoice:
    """Says each word as a tone that lasts as long as the word has letters; see `Voice`."""

    sample_rate = 16_000
    name = "fake"

    def check(self, text: str) -> None:
        """See `Voice.check`."""
        check_latin(text, self.name)

    def say(self, text: str, pace: float = 1.0) -> Spoken:
        """See `Voice.say`: the pitch follows from the letters."""
        parts, words, now = [], [], 0
        gap = np.zeros(round(GAP / pace * self.sample_rate), np.float32)
        for word in words_of(text):
            length = round(len(word) * LETTER / pace * self.sample_rate)
            hertz = 200 + sum(map(ord, word.lower())) % 200
            tone = LEVEL * np.sin(2 * np.pi * hertz * np.arange(1, length + 1) / self.sample_rate)
            words.append(Event(now / self.sample_rate, "word", end=(now + length) / self.sample_rate, label=word))
            parts += [tone.astype(np.float32), gap]
            now += length + len(gap)
        return Spoken(np.concatenate(parts[:-1]), self.sample_rate, tuple(words))

    def phonemes(self, word: str) -> tuple[str, ...]:
        """It has none."""
        return ()
