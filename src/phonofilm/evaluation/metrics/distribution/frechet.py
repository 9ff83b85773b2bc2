"""Fréchet distance between two sets of features: FAD, FVD and FID are this, over different networks.

    |μ₁ − μ₂|² + Tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½)        (Dowson and Landau 1982; Heusel et al. 2017, arXiv 1706.08500)

Unit: that of the features, squared. Range 0 … ∞, lower is better, not scaled. It is biased upwards by about 1/N,
so sets of different size cannot be compared; `frechet_infinity` takes the bias out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike

from phonofilm.signals.validation import Floats, finite, matrix, two_sets

SMALLEST = 1e-11
"""Least ratio of eigenvalues whose square roots are taken; below it singular values of the factors keep all digits."""


@dataclass(frozen=True, eq=False)
class Moments:
    """What the distance needs to know of a set: `count`, `mean` [D] and `scatter` [D, D] = Σ(x−μ)(x−μ)ᵀ.

    Moments add: `moments(a) + moments(b)` are the moments of both sets together (Chan, Golub and LeVeque 1983),
    so a folder of any size is summed batch by batch in float64.
    """

    count: int
    mean: Floats
    scatter: Floats

    def __add__(self, other: Moments) -> Moments:
        if self.mean.shape != other.mean.shape:
            raise ValueError(f"cannot add moments of {len(self.mean)} features to those of {len(other.mean)}")
        count = self.count + other.count
        step = other.mean - self.mean
        mean = self.mean + step * (other.count / count)
        between = np.outer(step, step) * (self.count * other.count / count)
        return Moments(count, mean, self.scatter + other.scatter + between)

    def covariance(self, ddof: int = 1) -> Floats:
        """Σ [D, D], divided by N − ddof."""
        if self.count <= ddof:
            raise ValueError(f"a covariance needs at least {ddof + 1} samples and has {self.count}")
        return self.scatter / (self.count - ddof)


def moments(features: ArrayLike) -> Moments:
    """Moments of features [N, D], N ≥ 1."""
    rows = matrix(features, "features")
    mean = rows.mean(axis=0)
    centred = rows - mean
    return Moments(len(rows), mean, centred.T @ centred)


def frechet_distance(generated: ArrayLike, real: ArrayLike, ddof: int = 1) -> float:
    """Fréchet distance of features [N, D] and [M, D].

    Where a set has no more samples than features Σ is singular, and the cross term is taken exactly as the nuclear
    norm ‖A·Bᵀ‖* of the centred rows, without forming Σ.

    Args:
        ddof: 1 divides Σ by N − 1 (almost everyone), 0 by N (StyleGAN-V's FVD).

    Raises:
        ValueError: fewer than 2 samples, NaN, or different numbers of features.
    """
    fake, true = two_sets(generated, real)
    width = fake.shape[1]
    if min(len(fake), len(true)) > width:
        return frechet_from_moments(moments(fake), moments(true), ddof)
    means = fake.mean(axis=0), true.mean(axis=0)
    a, b = _rows(fake - means[0], ddof), _rows(true - means[1], ddof)
    return _assemble(means[0] - means[1], float((a * a).sum() + (b * b).sum()), _nuclear_norm(a @ b.T))


def frechet_from_moments(generated: Moments, real: Moments, ddof: int = 1) -> float:
    """Fréchet distance of two sets known by their moments, as for `frechet_distance`."""
    if generated.mean.shape != real.mean.shape:
        raise ValueError(f"generated has {len(generated.mean)} features and real {len(real.mean)}")
    for name, part in (("generated", generated), ("real", real)):
        finite(part.mean, f"{name} mean")
        finite(part.scatter, f"{name} scatter")
    first, second = generated.covariance(ddof), real.covariance(ddof)
    traces = float(np.trace(first) + np.trace(second))
    return _assemble(generated.mean - real.mean, traces, _trace_sqrt(generated, real, first, second))


def _assemble(shift: Floats, traces: float, cross: float) -> float:
    # The exact value is never negative; rounding of equal sets is (at 1e-13 of the traces).
    return max(float(shift @ shift) + traces - 2 * cross, 0.0)


def _rows(centred: Floats, ddof: int) -> Floats:
    """F [r, D] with FᵀF = Σ and r ≤ D: the rows themselves, or their triangular factor where there are more."""
    factor = centred if len(centred) <= centred.shape[1] else np.linalg.qr(centred, mode="r")
    return factor / np.sqrt(len(centred) - ddof)


def _nuclear_norm(product: Floats) -> float:
    return float(scipy.linalg.svdvals(product, check_finite=False).sum())


def _trace_sqrt(generated: Moments, real: Moments, first: Floats, second: Floats) -> float:
    """Tr(Σ₁Σ₂)^½ from the eigenvalues of LᵀΣ₂L, Σ₁ = LLᵀ, or by singular values where these are too uneven."""
    width = len(first)
    if min(generated.count, real.count) > width:
        try:
            lower = scipy.linalg.cholesky(first, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            pass  # more samples than features, and yet some features never vary
        else:
            if lower.diagonal().min() > 1e-7 * lower.diagonal().max():
                values = scipy.linalg.eigvalsh(lower.T @ second @ lower, check_finite=False)
                # float64 knows an eigenvalue to 1e-16 of the largest, and the root of a small one no better than 1e-8
                if values[0] > SMALLEST * values[-1]:
                    return float(np.sqrt(values).sum())
    return _nuclear_norm(_factor(first, generated.count) @ _factor(second, real.count).T)


def _factor(covariance: Floats, count: int) -> Floats:
    """F [r, D] with FᵀF = Σ, keeping the r = min(N − 1, D) directions that N samples can span."""
    values, vectors = scipy.linalg.eigh(covariance, check_finite=False)
    rank = min(count - 1, len(values))
    kept = np.maximum(values[len(values) - rank :], 0)
    return np.sqrt(kept)[:, None] * vectors[:, len(values) - rank :].T


@dataclass(frozen=True)
class Extrapolation:
    """A metric carried to infinitely many samples.

    Attributes:
        value: the intercept at 1/N = 0.
        slope: of the metric against 1/N.
        r2: share of the variance of the points that the line explains.
        points: (N, metric) of every subset that the line was fitted to.
    """

    value: float
    slope: float
    r2: float
    points: tuple[tuple[int, float], ...]


def frechet_infinity(
    generated: ArrayLike,
    real: ArrayLike,
    steps: int = 15,
    smallest: float = 0.3,
    extrapolate: Literal["both", "generated"] = "both",
    ddof: int = 1,
    seed: int = 0,
    clips: tuple[ArrayLike, ArrayLike] | None = None,
) -> Extrapolation:
    """FAD-∞ or FVD-∞: the distance against 1/N, extended to 1/N = 0 (Chong and Forsyth 2020; Gui et al. 2024).

    Subsets are drawn *without* replacement: repeated samples narrow Σ and leave a bias that the line does not
    remove. With "both" each point takes the same share of both sets, which also removes the bias of a finite
    reference; "generated" keeps the whole reference, as published.

    Args:
        steps: number of subset sizes, evenly spaced in 1/N.
        smallest: share of the set in the smallest subset.
        clips: of each row of both sides the number of its clip [N], [M]. Subsets are then of whole clips: rows of one
            clip are alike, so that half of all rows know nearly as much as all of them, and the distance of subsets
            of rows does not fall as 1/N.
    """
    fake, true = two_sets(generated, real)
    of_fake, of_true = (np.arange(len(fake)), np.arange(len(true))) if clips is None else map(np.asarray, clips)
    if steps < 2 or not 0 < smallest < 1:
        raise ValueError(f"extrapolation needs 2 steps or more and 0 < smallest < 1, not {steps} and {smallest}")
    if len(fake) * smallest < 2 or (extrapolate == "both" and len(true) * smallest < 2):
        raise ValueError(f"too few samples to extrapolate from: {len(fake)} generated, {len(true)} real")
    rng = np.random.default_rng(seed)
    whole = moments(true) if extrapolate == "generated" else None
    points: list[tuple[int, float]] = []
    for share in 1 / np.linspace(1 / smallest, 1, steps):
        subset = fake[_share(of_fake, share, rng)]
        if whole is None:
            value = frechet_distance(subset, true[_share(of_true, share, rng)], ddof)
        else:
            value = frechet_from_moments(moments(subset), whole, ddof)
        points.append((len(subset), value))
    return _line(points)


def _share(clips: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Rows of a share of the clips, drawn without replacement; bool [N]."""
    known, number = np.unique(clips, return_inverse=True)
    drawn = np.zeros(len(known), bool)
    drawn[rng.permutation(len(known))[: round(share * len(known))]] = True
    return drawn[number]


def _line(points: list[tuple[int, float]]) -> Extrapolation:
    counts, values = np.array(points, dtype=np.float64).T
    slope, intercept = np.polyfit(1 / counts, values, 1)
    residual = values - (intercept + slope / counts)
    spread = float(((values - values.mean()) ** 2).sum())
    r2 = 1 - float((residual**2).sum()) / spread if spread > 0 else 1.0
    return Extrapolation(float(intercept), float(slope), r2, tuple(points))
