"""How much each sample moves a distance between sets: the influence function, its first derivative.

Two systems that are scored against one reference are compared at their pool, all samples of both together. The pool
stays the same when samples change their system, and so does the influence of each sample. So the difference of mean
influences is a statistic that a permutation test can recompute for every permutation at no cost, and the test keeps its
level exactly. For kernel distances (MMD²) the statistic is the difference of the distances itself; for the Fréchet
distance and the inception score it is their first-order part.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike
from scipy.special import log_softmax, logsumexp

from phonofilm.evaluation.metrics.distribution.frechet import Moments, moments
from phonofilm.evaluation.metrics.distribution.kernel import (
    BLOCK,
    BlockKernel,
    diagonal,
    gaussian_kernel,
    polynomial_kernel,
)
from phonofilm.signals.validation import Floats, matrix, two_sets

SMALLEST = 1e-10
"""Share of the largest eigenvalue below which a direction is one that the samples do not span."""


def frechet_influence(pool: ArrayLike, real: Moments) -> Floats:
    """Influence [N] of each row of the pool [N, D] on the Fréchet distance of the pool to the reference.

        φ(x) = 2(μ − μᵣ)·(x − μ) + (x − μ)ᵀ(I − T)(x − μ),   T = Fᵀ(FΣFᵀ)^(−½)F,   FᵀF = Σᵣ

    T is the optimal transport from the pool to the reference; constants that do not depend on x are left out.
    """
    rows = matrix(pool, "pool", least=2)
    own = moments(rows)
    if own.mean.shape != real.mean.shape:
        raise ValueError(f"the pool has {len(own.mean)} features and the reference {len(real.mean)}")
    values, vectors = scipy.linalg.eigh(real.covariance(), check_finite=False)
    factor = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    inner, axes = scipy.linalg.eigh(factor @ own.covariance() @ factor.T, check_finite=False)
    spanned = inner > SMALLEST * inner[-1]
    transport = inner[spanned, None] ** -0.25 * (axes[:, spanned].T @ factor)
    centred = rows - own.mean
    linear = 2 * centred @ (own.mean - real.mean)
    return linear + (centred**2).sum(axis=1) - ((centred @ transport.T) ** 2).sum(axis=1)


def gaussian_influence(pool: ArrayLike, real: ArrayLike, bandwidth: float) -> Floats:
    """Influence [N] of each row of the pool on the kernel audio distance, from pool [N, D] and reference [M, D]."""
    rows, true = two_sets(pool, real)
    centre = true.mean(axis=0)
    return _kernel_influence(rows - centre, true - centre, gaussian_kernel(bandwidth))


def polynomial_influence(pool: ArrayLike, real: ArrayLike) -> Floats:
    """Influence [N] of each row of the pool on the kernel inception distance, (x·y/D + 1)³."""
    rows, true = two_sets(pool, real)
    return _kernel_influence(rows, true, polynomial_kernel(rows.shape[1]))


def _kernel_influence(rows: Floats, real: Floats, kernel: BlockKernel) -> Floats:
    """2 · (mean of k(x, y) over the others of the pool − mean of k(x, r) over the reference)."""
    found = np.empty(len(rows))
    for first in range(0, len(rows), BLOCK):
        part = rows[first : first + BLOCK]
        own = diagonal(part, kernel)
        within = (kernel(part, rows).sum(axis=1) - own) / (len(rows) - 1)
        found[first : first + BLOCK] = 2 * (within - kernel(part, real).mean(axis=1))
    return found


def inception_influence(pool: ArrayLike) -> Floats:
    """Influence [N] of each row of logits [N, C] on the logarithm of the inception score: KL(p(y|x) ‖ p(y))."""
    log_p = log_softmax(matrix(pool, "pool", least=2), axis=1)
    marginal = logsumexp(log_p, axis=0) - np.log(len(log_p))
    return (np.exp(log_p) * (log_p - marginal)).sum(axis=1)
