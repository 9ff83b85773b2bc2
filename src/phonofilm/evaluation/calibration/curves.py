"""A response curve, the shape it must have, and whether it has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr


@dataclass(frozen=True)
class Verdict:
    """Whether a curve has its shape: `required` says which one, `measured` what was found, both in words."""

    passed: bool
    required: str
    measured: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "passed", bool(self.passed))  # comparisons of arrays give numpy's own


@dataclass(frozen=True)
class Curve:
    """How one metric answers to one knob.

    Attributes:
        metric, knob, source: what, to what, on what ("world", or the name of a film).
        levels: [L], of the knob. values: [L], of the metric over all clips.
        low, high: [L], one standard deviation about it over clips; the value itself for a distance between sets.
        expected: [L], where the required shape is one line; band: how far from it is allowed.
        clips: how many clips each value is of.
        must: whether the metric is not to be trusted at all where this shape is missed.
        verdict: None where no shape is required.
    """

    metric: str
    knob: str
    source: str
    levels: tuple[float, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    clips: int
    must: bool = False
    expected: tuple[float, ...] = ()
    band: float = 0.0
    verdict: Verdict | None = None


def linear(truth: ArrayLike, found: ArrayLike, slope: float, bias: float, spread: float, unit: str = "ms") -> Verdict:
    """One estimate to each truth: slope 1 ± `slope`, |mean error| < `bias`, standard deviation < `spread`."""
    x, y = np.asarray(truth, float), np.asarray(found, float)
    if len(x) < 3 or np.ptp(x) == 0:
        return Verdict(False, f"slope 1 ± {slope:g}", "too few estimates")
    errors = y - x
    fitted = float(np.polyfit(x, y, 1)[0])
    passed = abs(fitted - 1) <= slope and abs(errors.mean()) < bias and errors.std() < spread
    required = f"slope 1 ± {slope:g}, bias < {bias:g}, SD < {spread:g} {unit}".strip()
    measured = f"slope {fitted:.3f}, bias {errors.mean():+.3g}, SD {errors.std():.3g} {unit}".strip()
    return Verdict(bool(passed), required, measured)


def monotone(damage: ArrayLike, values: ArrayLike, sign: int, least: float = 0.95) -> Verdict:
    """Values that rise (sign 1) or fall (−1) with the damage, by Spearman's rank correlation."""
    x, y = np.asarray(damage, float), np.asarray(values, float)
    word = "rises" if sign > 0 else "falls"
    required = f"{word} with the damage, |Spearman| ≥ {least:g}"
    if len(x) < 3 or not np.isfinite(y).all() or np.ptp(y) == 0:
        return Verdict(False, required, "does not answer")
    rank = float(spearmanr(x, y).statistic)
    return Verdict(sign * rank >= least, required, f"Spearman {rank:+.3f}")


def flat(values: ArrayLike, at: float, within: float, unit: str = "") -> Verdict:
    """Values that stay within a distance of what they are without the change."""
    away = float(np.abs(np.asarray(values, float) - at).max())
    return Verdict(away <= within, f"stays within {within:.3g} {unit}".strip(), f"moves by {away:.3g} {unit}".strip())


def apart(good: Sequence[float], bad: Sequence[float], better: str) -> Verdict:
    """Every value of small damage better than every value of great damage."""
    sign = 1 if better == "higher" else -1
    gap = min(sign * value for value in good) - max(sign * value for value in bad)
    return Verdict(gap > 0, "in sync (≤ 25 ms) better than out of it (≥ 125 ms)", f"least gap {gap:+.3f}")
