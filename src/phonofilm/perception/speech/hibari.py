"""hibari-tts: a small network for each voice (7.9 MB, Apache-2.0), which speaks English at 24 kHz."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phonofilm.perception.common.optional_imports import packaged, require
from phonofilm.perception.speech.english import english
from phonofilm.perception.speech.voice import Spoken, check_latin

PURPOSE = "speaking with the voice {}"
SEED = 0
"""Of the breath in the voice: the same words are the same samples."""


class HibariVoice:
    """One voice of hibari-tts; see `Voice`."""

    def __init__(self, name: str, speaker: Any, british: bool = False) -> None:
        self.name, self.british, self._speaker = name, british, speaker

    @staticmethod
    def load(name: str, model: Path | None = None, british: bool = False) -> HibariVoice:
        """Read a voice's network: that of the package, or a file.

        Raises:
            PhonofilmError: hibari-tts or onnxruntime is not installed.
        """
        purpose = PURPOSE.format(name)
        require("onnxruntime", purpose)
        hibari = require("hibari", purpose)
        # a path is always given, since without one the package would download what it does not have
        path = model or packaged("hibari", "assets/hibari.onnx", purpose)
        return HibariVoice(name, hibari.Hibari(model=str(path), g2p=None), british)

    def check(self, text: str) -> None:
        """See `Voice.check`."""
        check_latin(text, self.name)

    def say(self, text: str, pace: float = 1.0) -> Spoken:
        """See `Voice.say`; the words have no times yet."""
        random = np.random.default_rng(SEED)
        parts = [self._speaker.from_ids(self._speaker.ids(said), pace, random) for said in self._sentences(text)]
        waveform = np.concatenate([np.zeros(0, np.float32), *parts])
        return Spoken(waveform.astype(np.float32), int(self._speaker.sample_rate))

    def phonemes(self, word: str) -> tuple[str, ...]:
        """See `Voice.phonemes`."""
        return english(self.british).arpabet(word)

    def _sentences(self, text: str) -> list[str]:
        return english(self.british).sentences(text)
