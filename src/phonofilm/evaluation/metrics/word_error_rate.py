"""Word error rate of the speech in a clip against the words it should say."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class WordErrors:
    """Counts of an alignment of fewest edits; they add up over clips."""

    substitutions: int
    deletions: int
    insertions: int
    words: int

    @property
    def rate(self) -> float:
        """WER = (S + D + I) / words of the reference; 0 is perfect, and it may exceed 1. Not scaled.

        Raises:
            ValueError: the reference has no words.
        """
        if not self.words:
            raise ValueError("the word error rate needs a reference of at least one word")
        return (self.substitutions + self.deletions + self.insertions) / self.words

    def __add__(self, other: WordErrors) -> WordErrors:
        return WordErrors(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.words + other.words,
        )


def normal_words(text: str) -> list[str]:
    """Words in lower case without punctuation or accents' variants; apostrophes inside words stay."""
    plain = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", plain)


def quoted_words(prompt: str) -> str:
    """What a prompt asks to be said: the text within its double quotes, joined."""
    return " ".join(a or b for a, b in re.findall(r"\"([^\"]*)\"|“([^”]*)”", prompt)).strip()


def word_errors(generated: str, real: str) -> WordErrors:
    """Fewest substitutions, deletions and insertions that turn the real words into the generated ones."""
    said, meant = normal_words(generated), normal_words(real)
    # each cell: (edits, substitutions, deletions, insertions); the minimum of tuples takes fewest edits first
    row = [(j, 0, 0, j) for j in range(len(said) + 1)]
    for i, word in enumerate(meant, 1):
        above, row = row, [(i, 0, i, 0)]
        for j, heard in enumerate(said, 1):
            e, s, d, n = above[j - 1]
            match = (e, s, d, n) if word == heard else (e + 1, s + 1, d, n)
            e, s, d, n = above[j]
            delete = (e + 1, s, d + 1, n)
            e, s, d, n = row[j - 1]
            row.append(min(match, delete, (e + 1, s, d, n + 1)))
    _, substitutions, deletions, insertions = row[-1]
    return WordErrors(substitutions, deletions, insertions, len(meant))


def word_error_rate(generated: Sequence[str], real: Sequence[str]) -> float:
    """WER of a set of clips, pooled over words as is usual, not averaged over clips; 0 … , lower is better."""
    if len(generated) != len(real) or not real:
        raise ValueError(f"{len(generated)} transcripts and {len(real)} references must pair, and there must be one")
    total = WordErrors(0, 0, 0, 0)
    for said, meant in zip(generated, real, strict=True):
        total += word_errors(said, meant)
    return total.rate
