"""A signal on the clock: values, how many a second, and the time of the first one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phonofilm.signals.validation import Floats, vector


@dataclass(frozen=True, eq=False)
class Signal:
    """Attributes: values float64 [N]; rate per second; start, the time of the first value in seconds."""

    values: Floats
    rate: float
    start: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", vector(self.values, "a signal"))
        if not (self.rate > 0 and np.isfinite(self.start)):
            raise ValueError(f"a signal needs a positive rate and a start, not {self.rate} and {self.start}")

    @property
    def times(self) -> Floats:
        """Time of each value in seconds."""
        return self.start + np.arange(len(self.values)) / self.rate

    def at(self, times: Floats) -> Floats:
        """Values at other times, linear between neighbours and 0 outside; linear keeps an impulse where it was."""
        return np.interp(times, self.times, self.values, left=0.0, right=0.0)
