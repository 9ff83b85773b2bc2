"""What was measured while a film was made: the cost of each chunk, and those that came too late."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np

PERCENTILES = (50, 90, 99, 99.9)


@dataclass
class Playing:
    """Someone who watches in real time from the first chunk on, and waits when the next one is not there.

    Attributes:
        underruns: chunks that came after their time. waited: seconds of waiting for them.
    """

    underruns: int = 0
    waited: float = 0.0
    _began: float | None = None

    def comes(self, now: float, start: float) -> float:
        """A chunk that begins at `start` seconds of the film is there at `now`; returns how early it is (s)."""
        if self._began is None:
            self._began = now - start
        early = self._began + start + self.waited - now
        if early < -1e-9:
            self.underruns += 1
            self.waited -= early
        return early


@dataclass
class Statistics:
    """Of one run.

    Attributes:
        first: seconds from the beginning of the run to the first chunk, written.
        costs, lengths: seconds that it took to make each chunk, and that it lasts.
        written: seconds that it took to mark, encode and write each.
    """

    first: float | None = None
    costs: array[float] = field(default_factory=lambda: array("d"))
    lengths: array[float] = field(default_factory=lambda: array("d"))
    written: array[float] = field(default_factory=lambda: array("d"))
    playing: Playing = field(default_factory=Playing)

    def add(self, cost: float, length: float, writing: float) -> None:
        """Note a chunk."""
        for values, value in ((self.costs, cost), (self.lengths, length), (self.written, writing)):
            values.append(value)

    @property
    def speed(self) -> float:
        """Seconds of film that are made in a second."""
        return sum(self.lengths) / max(sum(self.costs), 1e-9)

    def to_json(self) -> dict[str, Any]:
        """Plain values, times in seconds."""
        found: dict[str, Any] = {"chunks": len(self.costs)}
        if not self.costs:
            return found
        within = float(np.mean(np.asarray(self.costs) <= np.asarray(self.lengths)))
        found |= {"first_chunk": round(self.first or 0.0, 4), "speed": round(self.speed, 3)}
        found |= {"cost": percentiles(self.costs), "writing": percentiles(self.written)}
        found |= {"made_in_time": round(within, 5), "underruns": self.playing.underruns}
        return found | {"waited": round(self.playing.waited, 4)}


def percentiles(values: array[float]) -> dict[str, float]:
    """Mean, percentiles and maximum, by their names."""
    found = np.percentile(values, PERCENTILES)
    named = {f"p{name:g}": round(float(value), 4) for name, value in zip(PERCENTILES, found, strict=True)}
    return {"mean": round(float(np.mean(values)), 4), **named, "max": round(max(values), 4)}
