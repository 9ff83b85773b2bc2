"""Sources and shots: what is curated, named so that a name means the same content for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Rights:
    """Under which licence a source may be used, where it is from, and whether who is in it agreed.

    Empty where nothing is known, which is said wherever the clip goes.
    """

    license: str = ""
    origin: str = ""
    consent: str = ""


@dataclass(frozen=True)
class Source:
    """A film. `digest` is the SHA-256 of its content; `name` is how it is called in reports."""

    path: Path
    digest: str
    name: str
    rights: Rights = field(default_factory=Rights)


@dataclass(frozen=True)
class Skipped:
    """What is left out of a set, a film or a shot of one, and why in one line."""

    name: str
    reason: str


@dataclass(frozen=True)
class Shot:
    """A stretch [start, stop) of a source, in seconds of the file's own times.

    Attributes:
        source: digest of the source. number: of the shot in it, from 0.
        opened_by, closed_by: what lies at its ends: "cut", "dissolve", "split" (of a long shot), or "end" of the film.
    """

    source: str
    number: int
    start: Fraction
    stop: Fraction
    opened_by: str = "cut"
    closed_by: str = "cut"

    @property
    def key(self) -> str:
        """Names the shot in files and tables: the source, and where it begins and ends in milliseconds."""
        return f"{self.source[:12]}-{round(self.start * 1000):08d}-{round(self.stop * 1000):08d}"

    @property
    def seconds(self) -> float:
        return float(self.stop - self.start)

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "start": str(self.start), "stop": str(self.stop)}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Shot:
        return Shot(**{**values, "start": Fraction(values["start"]), "stop": Fraction(values["stop"])})
