"""Which of two: strengths of systems from pairwise choices with ties (Bradley and Terry 1952; Davidson 1970).

    P(first wins) = a / s,  P(tie) = ν √(ab) / s,  P(second wins) = b / s,   s = a + b + ν √(ab)

with strengths a = e^α, b = e^β. Without ties it is Bradley–Terry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from phonofilm.evaluation.statistics import Interval, holm
from phonofilm.signals.validation import Floats

PRIOR = 0.25
"""Precision of a normal prior (standard deviation 2) of each log-strength: a system that always won stays finite and
can be told from others, which by likelihood alone it could not; with forty choices it moves others by 2 %."""


@dataclass(frozen=True)
class Contest:
    """One comparison that was found significant or not, corrected by Holm over all of them.

    Attributes:
        first, second: systems by number; gap: log-strength of the first over the second, with its interval.
        share: chance that the first is chosen when one of the two is.
        p: two-sided, and `adjusted` by Holm.
    """

    first: int
    second: int
    gap: Interval
    share: float
    p: float
    adjusted: float


@dataclass(frozen=True, eq=False)
class Strengths:
    """Log-strengths of the systems, with mean 0.

    Attributes:
        values: [S]; covariance: [S, S].
        tie: log ν, or None where there were no ties.
    """

    values: Floats
    covariance: Floats
    tie: float | None

    def interval(self, system: int, level: float = 0.95) -> Interval:
        """Log-strength of one system over the mean of all."""
        return self._interval(np.eye(len(self.values))[system], level)

    def contests(self, level: float = 0.95) -> list[Contest]:
        """Every pair of systems."""
        pairs = [(i, j) for i in range(len(self.values)) for j in range(i + 1, len(self.values))]
        gaps, ps = [], []
        for i, j in pairs:
            direction = np.eye(len(self.values))[i] - np.eye(len(self.values))[j]
            gaps.append(self._interval(direction, level))
            error = float(np.sqrt(max(float(direction @ self.covariance @ direction), 1e-300)))
            ps.append(float(2 * stats.norm.sf(abs(gaps[-1].value) / error)))
        return [
            Contest(i, j, gap, float(1 / (1 + np.exp(-gap.value))), p, float(adjusted))
            for (i, j), gap, p, adjusted in zip(pairs, gaps, ps, holm(ps), strict=True)
        ]

    def _interval(self, direction: Floats, level: float) -> Interval:
        value = float(direction @ self.values)
        variance = max(float(direction @ self.covariance @ direction), 0.0)
        reach = float(stats.norm.ppf((1 + level) / 2) * np.sqrt(variance))
        return Interval(value, value - reach, value + reach, level)


def davidson(
    first: ArrayLike, second: ArrayLike, outcome: ArrayLike, systems: int, clusters: Sequence[ArrayLike] = ()
) -> Strengths:
    """Strengths of greatest likelihood, with a covariance that knows who chose and on which scene.

    Args:
        first, second: int [N], the two systems of each choice.
        outcome: [N], 1 the first won, −1 the second won, 0 a tie.
        systems: how many systems there are.
        clusters: none, or labels [N] of raters and of scenes: choices that share one are not independent
            (sandwich estimate; with two, Cameron, Gelbach and Miller 2011).

    Raises:
        ValueError: no choices, or numbers that name no system.
    """
    a, b, won = np.asarray(first, np.int64), np.asarray(second, np.int64), np.asarray(outcome, np.int64)
    if not len(a) == len(b) == len(won) or not len(a):
        raise ValueError("strengths need choices: first, second and outcome, one each")
    if min(a.min(), b.min()) < 0 or max(a.max(), b.max()) >= systems or (a == b).any():
        raise ValueError(f"choices must be between two of the systems 0 … {systems - 1}")
    if not np.isin(won, (-1, 0, 1)).all():
        raise ValueError("an outcome is 1, 0 or −1")
    # log-probability of each outcome is a linear form in (strengths, log ν), less the log of the sum of all three
    forms = np.zeros((len(a), 3, systems + 1))
    row = np.arange(len(a))
    forms[row, 0, a] = forms[row, 2, b] = 1
    forms[row, 1, a] += 0.5
    forms[row, 1, b] += 0.5
    forms[:, 1, systems] = 1
    chosen = forms[row, 1 - won]
    ties = bool((won == 0).any())
    # with nothing but ties their rate has no limit of its own
    held = np.diag(np.append(np.full(systems, PRIOR), 1.0 if not ties else 0.0 if won.any() else PRIOR))
    x = np.zeros(systems + 1)
    if not ties:
        x[systems] = -50.0  # no ties at all: the sum has only two terms
    for _ in range(100):
        gradient, curvature = _likelihood(forms, chosen, x)
        free = slice(0, systems + 1 if ties else systems)
        slope = gradient.sum(axis=0) - held @ (x if ties else np.append(x[:systems], 0))
        step = np.linalg.solve((curvature + held)[free, free], slope[free])
        # far from the optimum Newton overshoots; a step of 2 in a log is plenty
        step *= min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
        x[free] += step
        if np.abs(step).max() < 1e-10:
            break
    x[:systems] -= x[:systems].mean()
    gradient, curvature = _likelihood(forms, chosen, x)
    inverse = np.linalg.inv((curvature + held)[free, free])[:systems, :]
    if clusters and won.any():  # where all are ties nothing varies, and clusters would say that all is certain
        inverse = inverse @ _meat(gradient[:, free], clusters) @ inverse.T
    centre = np.eye(systems) - 1 / systems
    return Strengths(x[:systems], centre @ inverse[:, :systems] @ centre, float(x[systems]) if ties else None)


def _likelihood(forms: Floats, chosen: Floats, x: Floats) -> tuple[Floats, Floats]:
    """(gradients [N, P], curvature [P, P]) of the log-likelihood at x."""
    logits = forms @ x
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    mean = np.einsum("no,nop->np", shares, forms)
    second = np.einsum("no,nop,noq->pq", shares, forms, forms)
    return chosen - mean, second - mean.T @ mean


def _meat(gradient: Floats, clusters: Sequence[ArrayLike]) -> Floats:
    """Covariance of the summed gradient: both ways of clustering, less what they share."""
    labels = [np.unique(np.asarray(c), return_inverse=True)[1] for c in clusters]
    parts = [_clustered(gradient, label) for label in labels]
    if len(labels) == 1:
        return parts[0]
    both = np.unique(labels[0] * (labels[1].max() + 1) + labels[1], return_inverse=True)[1]
    total = parts[0] + parts[1] - _clustered(gradient, both)
    # a difference of covariances can lose its sign by chance: never below zero
    values, vectors = np.linalg.eigh(total)
    return (vectors * np.maximum(values, 0)) @ vectors.T


def _clustered(gradient: Floats, labels: NDArray[np.int64]) -> Floats:
    count = int(labels.max()) + 1
    sums = np.zeros((count, gradient.shape[1]))
    np.add.at(sums, labels, gradient)
    return sums.T @ sums * (count / max(count - 1, 1))
