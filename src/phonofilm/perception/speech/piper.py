"""Piper: voices as one ONNX file of VITS (Kim et al. 2021) and a JSON file beside it; English alone.

Piper's voices learnt the phonemes of eSpeak; here hibari reads the text and its phonemes are written as eSpeak's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.perception.common.optional_imports import onnx_session
from phonofilm.perception.speech.english import english, to_espeak
from phonofilm.perception.speech.voice import Spoken, check_latin

PURPOSE = "speaking with the voice {}"
BEGIN, GAP, END = "^", "_", "$"
PAUSE = 0.25
"""Seconds between two sentences."""


class PiperVoice:
    """One voice of Piper; see `Voice`."""

    def __init__(self, name: str, session: Any, symbols: Mapping[str, Any], sample_rate: int) -> None:
        self.name, self.sample_rate, self._session, self._symbols = name, sample_rate, session, symbols

    @staticmethod
    def load(name: str, model: Path) -> PiperVoice:
        """Read a voice's network, and what `MODEL.json` says of it.

        Raises:
            PhonofilmError: a file that is not there or no voice, a voice of another language or of several people,
                or onnxruntime is not installed.
        """
        beside = model.with_name(model.name + ".json")
        try:
            said = json.loads(beside.read_text(encoding="utf-8"))
            symbols, rate = dict(said["phoneme_id_map"]), int(said["audio"]["sample_rate"])
            language, people = str(said["espeak"]["voice"]), int(said.get("num_speakers", 1))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PhonofilmError(f"{model} is no voice of Piper: {beside.name} beside it cannot be read") from error
        if not language.startswith("en") or people != 1:
            raise PhonofilmError(f"{model} cannot speak here: a voice must be of one person who speaks English")
        return PiperVoice(name, onnx_session(model, PURPOSE.format(name)), symbols, rate)

    def check(self, text: str) -> None:
        """See `Voice.check`."""
        check_latin(text, self.name)

    def say(self, text: str, pace: float = 1.0) -> Spoken:
        """See `Voice.say`; the words have no times yet."""
        # without the noise that the network may draw: of that no seed can be set
        scales = np.array([0.0, 1 / pace, 0.0], np.float32)
        pause = np.zeros(round(PAUSE * self.sample_rate), np.float32)
        parts: list[np.ndarray] = []
        for said in english().sentences(text):
            ids = np.array([self._ids(to_espeak(said))], np.int64)
            given = {"input": ids, "input_lengths": np.array([ids.shape[1]], np.int64), "scales": scales}
            parts += [self._session.run(None, given)[0].ravel(), pause]
        return Spoken(np.concatenate([pause[:0], *parts[:-1]]).astype(np.float32), self.sample_rate)

    def phonemes(self, word: str) -> tuple[str, ...]:
        """See `Voice.phonemes`."""
        return english().arpabet(word)

    def _ids(self, phonemes: str) -> list[int]:
        """The numbers of phonemes, with a gap after each; those that the voice does not know are left out."""
        known = [sign for sign in phonemes if sign in self._symbols]
        signs = [BEGIN, GAP, *(part for sign in known for part in (sign, GAP)), END]
        return [number for sign in signs for number in self._symbols[sign]]
