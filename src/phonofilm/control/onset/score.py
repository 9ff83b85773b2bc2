"""How well found onsets agree with true ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WITHIN = 0.04
"""Seconds that a found onset may be off."""


@dataclass(frozen=True)
class Counts:
    """Onsets of some films: found rightly, found in all (without those that do not matter), and there to be found."""

    right: int = 0
    found: int = 0
    true: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.right + other.right, self.found + other.found, self.true + other.true)

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        return self.right / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        total = self.found + self.true
        return 2 * self.right / total if total else 0.0


def agreement(
    found: Sequence[float], true: Sequence[float], ignored: Sequence[float] = (), within: float = WITHIN
) -> Counts:
    """Match found times to true ones, each once, in order of time (the largest matching for equal tolerances).

    Args:
        ignored: events that may be found or not: what is left over near one of them does not count.
    """
    rest, right, left = sorted(found), 0, []
    targets = sorted(true)
    for time in rest:
        while targets and time - targets[0] > within:
            targets.pop(0)
        if targets and abs(targets[0] - time) <= within:
            targets.pop(0)
            right += 1
        else:
            left.append(time)
    wrong = sum(1 for time in left if not any(abs(time - other) <= within for other in ignored))
    return Counts(right, right + wrong, len(true))
