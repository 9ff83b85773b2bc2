"""How English is said: phonemes by hibari-tts (Apache-2.0), and the same in the alphabets of other networks.

hibari writes phonemes as misaki does: IPA, with one capital letter for each diphthong and one sign for an affricate.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from phonofilm.perception.common.optional_imports import require

PURPOSE = "speaking English"

TO_ESPEAK = {
    "A": "eɪ", "I": "aɪ", "O": "oʊ", "Q": "əʊ", "W": "aʊ", "Y": "ɔɪ", "ʤ": "dʒ", "ʧ": "tʃ", "T": "ɾ", "ᵊ": "ə",
    "ɜ": "ɜː", "i": "iː", "u": "uː", "ɑ": "ɑː", "ɔ": "ɔː",
}  # fmt: skip
"""The signs that eSpeak, whose phonemes Piper's voices learnt, writes in another way."""

TO_ARPABET = {
    "A": "EY", "I": "AY", "O": "OW", "Q": "OW", "W": "AW", "Y": "OY", "ʤ": "JH", "ʧ": "CH", "T": "T", "ɾ": "T",
    "i": "IY", "ɪ": "IH", "ᵻ": "IH", "u": "UW", "ʊ": "UH", "ɛ": "EH", "e": "EH", "æ": "AE", "a": "AA", "ɑ": "AA",
    "ɒ": "AA", "ɔ": "AO", "o": "OW", "ʌ": "AH", "ə": "AH", "ᵊ": "AH", "ɐ": "AH", "ɜ": "ER", "ɚ": "ER", "ɹ": "R",
    "r": "R", "ð": "DH", "θ": "TH", "ʃ": "SH", "ʒ": "ZH", "ŋ": "NG", "j": "Y", "h": "HH", "ɡ": "G", "b": "B",
    "d": "D", "f": "F", "k": "K", "l": "L", "m": "M", "n": "N", "p": "P", "s": "S", "t": "T", "ʔ": "T", "v": "V",
    "w": "W", "x": "K", "z": "Z",
}  # fmt: skip
"""The phonemes of the CMU dictionary, which the aligner knows, for those of hibari."""


class English:
    """Text to phonemes."""

    def __init__(self, british: bool = False) -> None:
        """Raises: PhonofilmError: hibari-tts is not installed."""
        hibari = require("hibari", PURPOSE)
        self._split = hibari.Hibari.split_sentences
        self._read: Any = require("hibari.g2p", PURPOSE).G2P(british=british)

    def sentences(self, text: str) -> list[str]:
        """The phonemes of each sentence, as hibari writes them."""
        return [said for sentence in self._split(text) if (said := self._read(sentence))]

    def arpabet(self, word: str) -> tuple[str, ...]:
        """One word by itself, in ARPABET without stress."""
        return to_arpabet(self._read(word) or "")


@cache
def english(british: bool = False) -> English:
    """The one reader of a variety of English: it holds a dictionary."""
    return English(british)


def to_espeak(phonemes: str) -> str:
    """hibari's phonemes as eSpeak writes them."""
    return "".join(TO_ESPEAK.get(sign, sign) for sign in phonemes)


def to_arpabet(phonemes: str) -> tuple[str, ...]:
    """hibari's phonemes in ARPABET; stress, length and punctuation are left out."""
    joined = re.sub("ɜɹ|əɹ|ɜː", "ɚ", phonemes)
    return tuple(TO_ARPABET[sign] for sign in joined if sign in TO_ARPABET)
