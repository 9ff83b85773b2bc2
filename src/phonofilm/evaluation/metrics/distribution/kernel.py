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

from phonofilm.signals.validation import Floats, matrix, two_sets

Kernel = Literal["gaussian", "iq", "imq"]
BLOCK = 1024
"""Rows of a block: 8 MB for a square of float64."""

EXACT_PAIRS = 4_000_000
"""Pairs of which all distances are held at once (32 MB) to take a median."""

MARGIN = 0.02
"""Share of all distances to either side of the median of 20,000 pairs in which the median of all is looked for: almost
six standard errors."""


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


def median_pairwise_distance(features: ArrayLike) -> float:
    """Median Euclidean distance of all pairs of rows of [N, D], the lower one of two middle values (as torch.median).

    Exact for every N: past `EXACT_PAIRS` some random pairs say where to look, and only distances from there are kept.
    """
    rows = matrix(features, "features", least=2)
    rows = rows - rows.mean(axis=0)
    pairs = len(rows) * (len(rows) - 1) // 2
    rank = (pairs - 1) // 2
    if pairs <= EXACT_PAIRS:
        squared = np.concatenate(list(_pair_blocks(rows)))
        return float(np.sqrt(np.partition(squared, rank)[rank]))
    margin = MARGIN
    while (found := _select(rows, rank, *_around_median(rows, margin))) is None:
        margin *= 4  # less likely than one in a million
    return float(np.sqrt(found))


def _around_median(rows: Floats, margin: float) -> tuple[float, float]:
    """Squared distances that the shares ½ − margin and ½ + margin of some random pairs stay below."""
    rng = np.random.default_rng(0)
    sample = []
    for _ in range(20):
        first = rng.integers(len(rows), size=1000)
        second = (first + rng.integers(1, len(rows), size=1000)) % len(rows)  # never the same row
        sample.append(((rows[first] - rows[second]) ** 2).sum(axis=1))
    low, high = np.quantile(sample, [max(0.5 - margin, 0), min(0.5 + margin, 1)])
    # the same distance comes out a little different in another order of sums; at the ends nothing is left out
    return low * (1 - 1e-9) if margin < 0.5 else 0.0, high * (1 + 1e-9) if margin < 0.5 else np.inf


def _select(rows: Floats, rank: int, low: float, high: float) -> float | None:
    """The value of given rank among all squared distances, or None where it is not from `low` to below `high`."""
    below, kept = 0, []
    for part in _pair_blocks(rows):
        below += int(np.count_nonzero(part < low))
        kept.append(part[(part >= low) & (part < high)])
    values = np.concatenate(kept)
    if not 0 <= rank - below < len(values):
        return None
    return float(np.partition(values, rank - below)[rank - below])


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
        "gaussian": lambda d: np.exp(np.multiply(d, -gamma, out=d), out=d),
        "iq": lambda d: 1 / (1 + gamma * d),
        "imq": lambda d: 1 / np.sqrt(1 + gamma * d),
    }
    if name not in shapes:
        raise ValueError(f"unknown kernel {name!r}: choose one of {', '.join(shapes)}")
    shape = shapes[name]
    return lambda x, y: shape(_squared(x, y, (x * x).sum(axis=1), (y * y).sum(axis=1)))


def gaussian_kernel(bandwidth: float) -> BlockKernel:
    """k = exp(−d² / (2σ² + 1e-8)) of two blocks of rows, the kernel of KAD."""
    return _radial("gaussian", 1 / (2 * bandwidth**2 + 1e-8))


def polynomial_kernel(width: int) -> BlockKernel:
    """k = (x·y/D + 1)³ of two blocks of rows of D = `width` features, the kernel of KID."""
    return _polynomial(3, width, None, 1.0)


def _polynomial(degree: int, width: int, gamma: float | None, coef0: float) -> BlockKernel:
    slope = 1 / width if gamma is None else gamma
    return lambda x, y: (slope * (x @ y.T) + coef0) ** degree


def diagonal(rows: Floats, kernel: BlockKernel) -> Floats:
    """k(x, x) [N] of each row [N, D]."""
    return np.array([float(kernel(row[None], row[None])[0, 0]) for row in rows])


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
