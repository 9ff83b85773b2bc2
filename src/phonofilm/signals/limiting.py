"""A true-peak limiter: nothing between the samples is louder than a ceiling either (ITU-R BS.1770-4, annex 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from scipy.ndimage import convolve1d, minimum_filter1d
from scipy.signal import firwin, resample_poly

OVERSAMPLED = 4
LOOKAHEAD = 0.02
"""Seconds on either side over which the gain goes down before a peak, and up after it."""
REACH = 32
"""Samples on either side that the values between samples depend on."""
SAFETY = 10 ** (-0.1 / 20)
"""What other meters, which fill in more values between the samples, find above ours."""
BLOCK = 2**18


def limiting_gain(sound: np.ndarray, sample_rate: int, ceiling: float) -> np.ndarray:
    """The gain float64 [N] under which sound float [C, N] stays below a ceiling in dBTP.

    The gain that each sample needs is spread over `LOOKAHEAD` on either side (a minimum) and smoothed by a Hann window
    of the same width, so that it never exceeds what is needed and never jumps.
    """
    peak = np.abs(sound).max(axis=0)
    between = np.abs(resample_poly(sound, OVERSAMPLED, 1, axis=1, window=_lowpass())).max(axis=0)
    peak = np.maximum(peak, between[: OVERSAMPLED * len(peak)].reshape(-1, OVERSAMPLED).max(axis=1))
    peak = np.maximum(peak, np.concatenate([peak[1:], peak[-1:]]))  # a value between two samples counts for both
    limit = SAFETY * 10 ** (ceiling / 20)
    needed = np.minimum(1.0, limit / np.maximum(peak, 1e-12))
    half = max(1, round(LOOKAHEAD * sample_rate))
    window = np.hanning(2 * half + 3)[1:-1]
    lowest = minimum_filter1d(needed, 2 * half + 1, mode="nearest")
    return convolve1d(lowest, window / window.sum(), mode="nearest")


@cache
def _lowpass() -> np.ndarray:
    return firwin(2 * REACH * OVERSAMPLED + 1, 0.97 / OVERSAMPLED, window=("kaiser", 9.0))


def limited(
    read: Callable[[int, int], np.ndarray], samples: int, sample_rate: int, ceiling: float = -1.0
) -> Iterator[np.ndarray]:
    """Sound float32 [C, N] below a ceiling in dBTP, block after block; the same as if limited in one.

    Args:
        read: gives samples [C, stop - start] from `start` to `stop`.
        samples: N.
    """
    margin = 2 * round(LOOKAHEAD * sample_rate) + REACH + 2
    for start in range(0, samples, BLOCK):
        stop = min(start + BLOCK, samples)
        low, high = max(0, start - margin), min(samples, stop + margin)
        sound = read(low, high)
        gain = limiting_gain(sound, sample_rate, ceiling)
        yield (sound * gain)[:, start - low : stop - low].astype(np.float32)
