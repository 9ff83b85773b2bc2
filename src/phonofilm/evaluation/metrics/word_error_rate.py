"""Word error rate of the speech in a clip against the words it should say."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True)
class WordErrors:
    """Counts of an alignment of fewest edits; they add up over clips."""

    substitutions: int
    deletions: int
    insertions: int
    words: int


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
