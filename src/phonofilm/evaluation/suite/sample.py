"""One clip as a metric sees it: its features, those of the clip it pairs with, and what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

Found = TypeVar("Found")
Arrays = Mapping[str, np.ndarray]
Lookup = Callable[[str], Arrays]
"""Feature name to its arrays; raises `AbsentError` where the clip has none."""


class AbsentError(Exception):
    """A clip cannot be scored by a metric; the text says why."""


@dataclass(frozen=True)
class Sample:
    """A clip to score.

    Attributes:
        picture, sound: its features by name.
        real: features of the reference of the same name, or None.
        prompt: what was asked for, or None.
        prompt_features: features of the prompt by name.
        text_features: features of any text that was read.
        targets: what exactly the prompt asks for, by the names of `prompts.TARGETS`.
        swapped: the sound may be another clip's, as in the shuffled control, so that features of both are found anew.
        memo: what several metrics ask of this pair of picture and sound, found once.
    """

    picture: Lookup
    sound: Lookup
    real: Lookup | None = None
    prompt: str | None = None
    prompt_features: Lookup | None = None
    targets: Mapping[str, str] = field(default_factory=dict)
    text_features: Callable[[str], Lookup] | None = None
    swapped: bool = False
    memo: dict[str, Any] = field(default_factory=dict)

    def with_audio(self, sound: Lookup) -> Sample:
        """The same picture with other sound."""
        return replace(self, sound=sound, swapped=True, memo={})

    def once(self, name: str, find: Callable[[], Found]) -> Found:
        """What is found of this pair, at the first asking."""
        if name not in self.memo:
            self.memo[name] = find()
        found: Found = self.memo[name]
        return found

    def truth(self, feature: str) -> Arrays:
        if self.real is None:
            raise AbsentError("it has no partner in the reference")
        return self.real(feature)

    def wording(self) -> str:
        if self.prompt is None:
            raise AbsentError("it has no prompt")
        return self.prompt

    def target(self, name: str) -> str:
        """What exactly is asked for of that name."""
        if name not in self.targets:
            raise AbsentError(f"its prompt names no {name.replace('_2', '')} to look for")
        return self.targets[name]

    def words_of(self, text: str, feature: str) -> Arrays:
        """Features of one of the prompt's targets."""
        if self.text_features is None:
            raise AbsentError("it has no prompt")
        return self.text_features(text)(feature)

    def words(self, feature: str) -> Arrays:
        self.wording()
        assert self.prompt_features is not None
        return self.prompt_features(feature)


Share = tuple[float, float]
"""(numerator, denominator): a set's value is Σ numerators / Σ denominators, so pooled ratios and means are one."""
Score = Callable[[Sample], Share]


def mean_of(value: Callable[[Sample], float]) -> Score:
    """A score whose set value is the mean over clips."""
    return lambda sample: (value(sample), 1.0)
