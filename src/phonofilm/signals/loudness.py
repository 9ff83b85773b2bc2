"""Loudness as broadcasters measure it (ITU-R BS.1770-4)."""

from __future__ import annotations

import numpy as np
from scipy.signal import sosfilt


def loudness(waveform: np.ndarray, sample_rate: int) -> float:
    """Integrated loudness in LUFS, ungated (ITU-R BS.1770-4 K-weighting): -inf for digital silence."""
    weighted = sosfilt(k_weighting(sample_rate), waveform.astype(np.float64), axis=-1)
    power = (weighted**2).mean(-1).sum()
    return float(-0.691 + 10 * np.log10(power)) if power > 0 else -np.inf


def k_weighting(sample_rate: int) -> np.ndarray:
    """The two filters of BS.1770 (shelf, high-pass) for any rate, as second-order sections."""

    def section(kind: str, centre: float, gain: float, quality: float) -> list[float]:
        k = np.tan(np.pi * centre / sample_rate)
        norm = 1 + k / quality + k * k
        poles = [1.0, 2 * (k * k - 1) / norm, (1 - k / quality + k * k) / norm]
        if kind == "high-pass":
            return [1.0, -2.0, 1.0, *poles]
        high = 10 ** (gain / 20)
        band = high**0.4996667741545416
        zeros = [(high + band * k / quality + k * k), 2 * (k * k - high), (high - band * k / quality + k * k)]
        return [*(z / norm for z in zeros), *poles]

    shelf = section("shelf", 1681.974450955533, 3.999843853973347, 0.7071752369554196)
    return np.array([shelf, section("high-pass", 38.13547087602444, 0.0, 0.5003270373238773)])
