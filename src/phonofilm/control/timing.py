"""When sound shall begin and how loud it shall be, as a signal for each token of sound."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from phonofilm.control.hits import Hit

LEAST_RATE = 40
"""Slots a second at the least: a token of sound is divided into as many as that takes."""

QUIETEST = -60.0
"""dB of full scale that stand for a loudness of 0."""


def slots_of(bounds: np.ndarray) -> int:
    """Into how many slots each token of sound is divided, [tokens, 1, 2] its bounds in seconds (`Positions.audio`)."""
    longest = float((bounds[:, 0, 1] - bounds[:, 0, 0]).max())
    return max(1, math.ceil(longest * LEAST_RATE - 1e-9))


def hits_signal(hits: Sequence[Hit], bounds: np.ndarray, slots: int | None = None) -> Tensor:
    """Hits packed into the tokens of sound.

    Args:
        bounds: float64 [tokens, 1, 2], seconds, as `Positions.audio`; a hit belongs to the first token over it.

    Returns:
        float32 [1, tokens, 2 · slots]: of each slot the strength of its hits, and that times their place in it.
    """
    slots = slots or slots_of(bounds)
    signal = torch.zeros(len(bounds), 2, slots)
    for hit in hits:
        over = np.flatnonzero((bounds[:, 0, 0] <= hit.time) & (hit.time < bounds[:, 0, 1]))
        if len(over):
            start, end = bounds[over[0], 0]
            place = (hit.time - start) / (end - start) * slots
            slot = min(int(place), slots - 1)
            signal[over[0], 0, slot] += hit.strength
            signal[over[0], 1, slot] += hit.strength * (place - slot)
    return signal.flatten(1)[None]


def loudness_signal(waveform: ArrayLike, sample_rate: int, bounds: np.ndarray, slots: int | None = None) -> Tensor:
    """The loudness of a sound [N] or [C, N], packed like `hits_signal`.

    Returns:
        float32 [1, tokens, slots]: 0 at -60 dB of full scale and below, 1 at full scale.
    """
    power = np.square(np.atleast_2d(np.asarray(waveform, np.float64))).mean(0)
    return power_signal(power, sample_rate, bounds, slots)


def power_signal(power: np.ndarray, rate: float, bounds: np.ndarray, slots: int | None = None) -> Tensor:
    """`loudness_signal` of a sound's power [N], `rate` values a second."""
    slots = slots or slots_of(bounds)
    total = np.concatenate([[0.0], power.cumsum()])
    start, end = bounds[:, 0, 0], bounds[:, 0, 1]
    edges = start[:, None] + (end - start)[:, None] * np.linspace(0, 1, slots + 1)
    samples = (edges * rate).round().astype(int).clip(0, len(total) - 1)
    counts = np.diff(samples, axis=1).clip(1)
    level = 10 * np.log10(np.maximum(np.diff(total[samples], axis=1) / counts, 1e-12))
    return torch.from_numpy((1 - level / QUIETEST).clip(0, 1)).float()[None]
