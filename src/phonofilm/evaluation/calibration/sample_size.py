"""Distances between two samples of one distribution: what is left when nothing differs, by how large the sets are."""

from __future__ import annotations

import numpy as np

from phonofilm.evaluation.calibration.curves import Curve, Verdict
from phonofilm.evaluation.metrics.distribution.frechet import frechet_distance, frechet_infinity
from phonofilm.evaluation.metrics.distribution.kernel import kernel_audio_distance, polynomial_distance
from phonofilm.types import Progress

WIDTH = 16
SIZES = (50, 100, 200, 500, 1000, 2000, 5000)
QUICK = (50, 100, 200)


def _draws(size: int, quick: bool) -> int:
    return 20 if quick else int(np.clip(40_000 // size, 6, 60))


def size_curves(quick: bool = False, progress: Progress | None = None) -> list[Curve]:
    """FAD, FAD-∞, KAD and KID of pairs of samples of N rows, 16 features wide, from one normal distribution."""
    report = progress or (lambda stage, done, total: None)
    sizes = QUICK if quick else SIZES
    found: dict[str, list[np.ndarray]] = {"FAD": [], "FAD-∞": [], "KAD": [], "KID": []}
    for place, size in enumerate(sizes):
        report("sizes", place, len(sizes))
        rng = np.random.default_rng([size, WIDTH])
        scale = 1 / np.sqrt(1 + np.arange(WIDTH))
        pairs = [rng.normal(size=(2, size, WIDTH)) * scale for _ in range(_draws(size, quick))]
        found["FAD"].append(np.array([frechet_distance(a, b) for a, b in pairs]))
        found["FAD-∞"].append(np.array([frechet_infinity(a, b, seed=0).value for a, b in pairs]))
        found["KAD"].append(np.array([kernel_audio_distance(a, b) for a, b in pairs]))
        found["KID"].append(np.array([polynomial_distance(a, b) for a, b in pairs]))
    report("sizes", len(sizes), len(sizes))
    return [_curve(name, sizes, values) for name, values in found.items()]


def _curve(name: str, sizes: tuple[int, ...], values: list[np.ndarray]) -> Curve:
    mean = np.array([value.mean() for value in values])
    error = np.array([value.std(ddof=1) / np.sqrt(len(value)) for value in values])
    spread = np.array([value.std(ddof=1) for value in values])
    expected = np.zeros(len(sizes))
    if name == "FAD":
        expected = float((mean * sizes).mean()) / np.array(sizes)
        slope = float(np.polyfit(np.log(sizes), np.log(mean), 1)[0])
        verdict = Verdict(abs(slope + 1) < 0.1, "∝ 1/N: log–log slope −1 ± 0.1", f"slope {slope:.3f}")
    elif name == "FAD-∞":
        limit = 0.1 * float(values[0].std() + np.abs(mean[0]))
        verdict = Verdict(abs(mean[-1]) < limit, f"≈ 0: under {limit:.3f} at the largest N", f"{mean[-1]:+.4f}")
    else:
        worst = float((np.abs(mean) / error).max())
        verdict = Verdict(worst <= 3, "mean 0 ± 3 standard errors at every N", f"worst {worst:.1f} standard errors")
    band = 0.0 if name == "FAD" else float(3 * error.max())
    return Curve(
        name, "N", "same distribution", tuple(float(size) for size in sizes), tuple(map(float, mean)),
        tuple(map(float, mean - spread)), tuple(map(float, mean + spread)), min(len(value) for value in values),
        name in ("FAD", "KAD"), tuple(map(float, expected)), band, verdict,
    )  # fmt: skip
