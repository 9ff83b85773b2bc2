"""Kernel distances between two sets of features: KAD, KID and KVD are the unbiased MMD² over different kernels.

    MMD² = mean k(x, x') + mean k(y, y') − 2 mean k(x, y),  x ≠ x', y ≠ y'     (Gretton et al. 2012, eq. 3)

Unbiased, so its mean is 0 for equal distributions at every N, and it may come out negative. Lower is better.
Everything is summed block by block: memory does not grow with N².
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from phonofilm.evaluation.checks import Floats, matrix, two_sets

Kernel = Literal["gaussian", "iq", "imq"]
BLOCK = 1024
"""Rows of a block: 8 MB for a square of float64."""

EXACT_PAIRS = 4_000_000
"""Pairs of which all distances are held at once (32 MB) to take a median."""


def kernel_audio_distance(
    generated: ArrayLike, real: ArrayLike, bandwidth: float | None = None, kernel: Kernel = "gaussian"
) -> float:
    """Kernel audio distance of features [N, D] and [M, D], **×100** (Chung et al. 2025, arXiv 2502.15602).

    k = exp(−γd²) with γ = 1 / (2σ² + 1e-8); "iq" is 1/(1 + γd²) and "imq" its square root. σ is the median pairwise
    distance of the **real** set, as the paper says (kadtk takes the evaluated set's, kadtk#9).

    Args:
        bandwidth: σ, or None to take it from `real`; give it where several systems share one reference.

    Raises:
        ValueError: fewer than 2 samples, NaN, different numbers of features, or a reference without spread.
    """
    fake, true = two_sets(generated, real)
    sigma = median_pairwise_distance(true) if bandwidth is None else bandwidth
    if not sigma > 0:
        raise ValueError("the bandwidth is 0: more than half of the real samples are the same")
    gamma = 1 / (2 * sigma**2 + 1e-8)
    centre = true.mean(axis=0)  # distances do not change, and lose fewer digits
    return 100 * _mmd(fake - centre, true - centre, _radial(kernel, gamma))


def polynomial_distance(
    generated: ArrayLike, real: ArrayLike, degree: int = 3, gamma: float | None = None, coef0: float = 1.0
) -> float:
    """Unbiased MMD² of whole sets under k = (γ x·y + c)^degree, γ = 1/D; not scaled.

    With I3D features this is KVD (Unterthiner et al. 2018); with N = M it is one subset of KID.
    """
    fake, true = two_sets(generated, real)
    return _mmd(fake, true, _polynomial(degree, fake.shape[1], gamma, coef0))


@dataclass(frozen=True)
class SubsetMean:
    """Mean of a metric over random subsets, and the standard deviation between them."""

    mean: float
    std: float


def kernel_inception_distance(
    generated: ArrayLike,
    real: ArrayLike,
    subsets: int = 100,
    subset_size: int = 1000,
    degree: int = 3,
    gamma: float | None = None,
    coef0: float = 1.0,
    seed: int = 2020,
) -> SubsetMean:
    """KID: `polynomial_distance` over random subsets; not scaled (Bińkowski et al. 2018, arXiv 1801.01401).

    `subset_size` is cut to the smaller set. Subsets are those of torch-fidelity and av-benchmark for equal seeds.
    """
    fake, true = two_sets(generated, real)
    if subsets < 1 or subset_size < 2:
        raise ValueError(f"KID needs 1 subset or more of 2 samples or more, not {subsets} of {subset_size}")
    size = min(subset_size, len(fake), len(true))
    kernel = _polynomial(degree, fake.shape[1], gamma, coef0)
    rng = np.random.RandomState(seed)  # the old generator, so that subsets equal those of the references
    values = []
    for _ in range(subsets):
        first = fake[rng.choice(len(fake), size, replace=False)]
        values.append(_mmd(first, true[rng.choice(len(true), size, replace=False)], kernel))
    return SubsetMean(float(np.mean(values)), float(np.std(values)))


def median_pairwise_distance(features: ArrayLike) -> float:
    """Median Euclidean distance of all pairs of rows of [N, D], the lower one of two middle values (as torch.median).

    Exact for every N: past `EXACT_PAIRS` a first pass counts distances in bins and a second keeps one bin only.
    """
    rows = matrix(features, "features", least=2)
    rows = rows - rows.mean(axis=0)
    pairs = len(rows) * (len(rows) - 1) // 2
    rank = (pairs - 1) // 2
    if pairs <= EXACT_PAIRS:
        squared = np.concatenate(list(_pair_blocks(rows)))
        return float(np.sqrt(np.partition(squared, rank)[rank]))
    return float(np.sqrt(_select(rows, rank)))


def _select(rows: Floats, rank: int) -> float:
    """The value of given rank among all squared distances, in two passes over them."""
    limit = 4 * float((rows * rows).sum(axis=1).max()) * (1 + 1e-9)
    edges = np.linspace(0, limit, 2**16 + 1)
    counts = np.zeros(2**16, dtype=np.int64)
    for squared in _pair_blocks(rows):
        counts += np.histogram(squared, edges)[0]
    below = np.concatenate([[0], np.cumsum(counts)])
    index = int(np.searchsorted(below, rank, side="right")) - 1
    low, high = edges[index], edges[index + 1]
    kept = np.concatenate([part[(part >= low) & (part < high)] for part in _pair_blocks(rows)])
    within = rank - int(below[index])
    return float(np.partition(kept, within)[within])


def _pair_blocks(rows: Floats) -> Iterator[Floats]:
    """Squared distances of every pair i < j, in runs of at most BLOCK²."""
    norms = (rows * rows).sum(axis=1)
    for i in range(0, len(rows), BLOCK):
        for j in range(i, len(rows), BLOCK):
            squared = _squared(rows[i : i + BLOCK], rows[j : j + BLOCK], norms[i : i + BLOCK], norms[j : j + BLOCK])
            yield squared[np.triu_indices(len(squared), 1)] if i == j else squared.ravel()


def _squared(first: Floats, second: Floats, first_norms: Floats, second_norms: Floats) -> Floats:
    squared = first @ second.T
    squared *= -2
    squared += first_norms[:, None]
    squared += second_norms
    return np.maximum(squared, 0, out=squared)


BlockKernel = Callable[[Floats, Floats], Floats]


def _radial(name: Kernel, gamma: float) -> BlockKernel:
    shapes: dict[str, Callable[[Floats], Floats]] = {
        "gaussian": lambda d: np.exp(-gamma * d),
        "iq": lambda d: 1 / (1 + gamma * d),
        "imq": lambda d: 1 / np.sqrt(1 + gamma * d),
    }
    if name not in shapes:
        raise ValueError(f"unknown kernel {name!r}: choose one of {', '.join(shapes)}")
    shape = shapes[name]
    return lambda x, y: shape(_squared(x, y, (x * x).sum(axis=1), (y * y).sum(axis=1)))


def _polynomial(degree: int, width: int, gamma: float | None, coef0: float) -> BlockKernel:
    slope = 1 / width if gamma is None else gamma
    return lambda x, y: (slope * (x @ y.T) + coef0) ** degree


def _mmd(generated: Floats, real: Floats, kernel: BlockKernel) -> float:
    blocks = [real[j : j + BLOCK] for j in range(0, len(real), BLOCK)]
    cross = sum(
        float(kernel(generated[i : i + BLOCK], block).sum())
        for i in range(0, len(generated), BLOCK)
        for block in blocks
    )
    return _within(generated, kernel) + _within(real, kernel) - 2 * cross / (len(generated) * len(real))


def _within(rows: Floats, kernel: BlockKernel) -> float:
    """Mean of k over all pairs of different rows; by symmetry half of the blocks do."""
    total = 0.0
    for i in range(0, len(rows), BLOCK):
        first = rows[i : i + BLOCK]
        square = kernel(first, first)
        total += float(square.sum() - np.trace(square))
        total += 2 * sum(float(kernel(first, rows[j : j + BLOCK]).sum()) for j in range(i + BLOCK, len(rows), BLOCK))
    return total / (len(rows) * (len(rows) - 1))
