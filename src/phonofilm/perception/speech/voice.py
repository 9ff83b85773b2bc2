"""What a voice is, and what it gives."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.types import Event


@dataclass(frozen=True, eq=False)
class Spoken:
    """A text that was said.

    Attributes:
        waveform: float32 [N].
        sample_rate: samples a second.
        words: an `Event` of kind "word" each, with start, end and label, in seconds from the first sample.
        aligned: how the times were found: "voice" (it says them itself), "forced" (alignment with the phonemes of
            the text) or "energy" (words shared out over what is loud).
    """

    waveform: np.ndarray
    sample_rate: int
    words: tuple[Event, ...] = ()
    aligned: str = "voice"

    @property
    def seconds(self) -> float:
        return len(self.waveform) / self.sample_rate


class Voice(Protocol):
    """Something that says a text."""

    def check(self, text: str) -> None:
        """Refuse what it cannot say.

        Raises:
            PhonofilmError: the text holds no word, or letters that the voice does not know.
        """

    def say(self, text: str, pace: float = 1.0) -> Spoken:
        """Say a text that `check` allows, `pace` times as fast as usual; the same text gives the same samples."""

    def phonemes(self, word: str) -> tuple[str, ...]:
        """How a word is said, in ARPABET without stress; empty where it has no sound or the voice does not know."""


def words_of(text: str) -> list[str]:
    """The words of a text as they are written, without the marks around them."""
    stripped = (_bare(part) for part in text.split())
    return [word for word in stripped if word]


def check_latin(text: str, voice: str) -> None:
    """Refuse a text that a voice of a language in Latin letters cannot say.

    Raises:
        PhonofilmError: no word in it, or letters of another script.
    """
    if not words_of(text):
        raise PhonofilmError(f"{_quoted(text)} holds no words that can be spoken; write some letters")
    foreign = sorted({letter for letter in text if letter.isalpha() and not _latin(letter)})
    if foreign:
        raise PhonofilmError(
            f"the voice {voice} speaks English and does not know the letters {' '.join(foreign[:5])} "
            f"of {_quoted(text)}; write the words in Latin letters"
        )


def _latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(("LATIN ", "FULLWIDTH LATIN ", "MODIFIER LETTER APOSTROPHE"))


def _bare(part: str) -> str:
    kept = [place for place, letter in enumerate(part) if letter.isalnum()]
    return part[kept[0] : kept[-1] + 1] if kept else ""


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")
