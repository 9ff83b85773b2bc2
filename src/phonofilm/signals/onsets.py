"""Onsets of sound: where they are, how strong they are, and how well two sets of them agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, median_filter

from phonofilm import mel
from phonofilm.signals.time_series import Signal
from phonofilm.signals.validation import Floats, finite, vector

RATE = 200
"""Values of onset strength a second."""

WINDOW, FRONT, BANDS = 0.032, 0.003, 24
"""Seconds that a band's energy looks back, seconds its front takes to open, and bands."""

DELAY = 0.003
"""Seconds by which the rise is noticed after the onset (measured on struck sounds in quiet), taken off the clock."""


IMPULSE = 0.008
"""Seconds (standard deviation) of the bell that stands for an onset."""


def channels(waveform: ArrayLike, sample_rate: int) -> Floats:
    """A waveform [N] or [C, N] as float64 [C, N], checked."""
    sound = np.atleast_2d(finite(waveform, "waveform"))
    if sound.ndim != 2 or not sound.size:
        raise ValueError(f"a waveform must be [channels, samples], not of shape {np.shape(waveform)}")
    if not sample_rate >= 1000:
        raise ValueError(f"a sample rate of {sample_rate} Hz is too low to hear onsets")
    return sound


def onset_strength(waveform: ArrayLike, sample_rate: int) -> Signal:
    """How much sound sets in, 200 times a second: rise of log energy, summed over 24 bands.

    Every channel is heard: energies add, not waveforms, so that opposite phases do not cancel. The window looks
    back from a sharp front, so an onset shows where it is however loud it is; a centred one is early by its level.

    Args:
        waveform: [N] or [C, N].
    """
    sound = channels(waveform, sample_rate)
    return Signal(rising(band_energy(sound, sample_rate)), RATE, -DELAY)


def rising(energy: Floats) -> Floats:
    """Onset strength [N] of band energy [N, bands]; 0 throughout for silence."""
    loudest = energy.max()
    if loudest <= 0:
        return np.zeros(len(energy))
    # rises within a band's own steady level (noise, held music) weigh little: only what stands out of it counts
    floor = np.maximum(2 * np.median(energy, axis=0), 1e-6 * loudest)
    level = np.log1p(energy / floor)
    rise = np.maximum(np.diff(level, axis=0, prepend=level[:1]), 0).sum(axis=1)
    return gaussian_filter1d(rise, 0.006 * RATE)


def band_energy(sound: Floats, sample_rate: int) -> Floats:
    """Energy [frames, bands]; frame k ends at the time k / RATE."""
    length = max(16, round(WINDOW * sample_rate))
    ends = np.rint(np.arange(int(sound.shape[1] / sample_rate * RATE) + 1) / RATE * sample_rate).astype(int)
    padded = np.pad(sound, ((0, 0), (length, 0)))
    bank = _bank(length, sample_rate)
    window = _front_window(length, round(FRONT * sample_rate))
    total = np.zeros((len(ends), bank.shape[1]))
    for first in range(0, len(ends), 4096):  # bounded memory for long films
        index = ends[first : first + 4096, None] + np.arange(length)
        for channel in padded:
            spectrum = np.fft.rfft(channel[index] * window, axis=1)
            total[first : first + 4096] += (spectrum.real**2 + spectrum.imag**2) @ bank
    return total


def _front_window(length: int, front: int) -> Floats:
    fall = 0.5 - 0.5 * np.cos(np.pi * np.arange(length) / length)
    front = max(2, front)
    fall[-front:] *= 0.5 + 0.5 * np.cos(np.pi * (np.arange(front) + 0.5) / front)
    return fall


def _bank(length: int, sample_rate: int) -> Floats:
    """Triangular bands [bins, BANDS], evenly spaced in mel from 50 Hz to half the sample rate."""
    return mel.filterbank(BANDS, 50, sample_rate / 2, length, sample_rate)


def detect_onsets(strength: Signal, threshold: float = 0.15, apart: float = 0.05) -> Floats:
    """Times in seconds of the peaks of an onset strength, with sub-sample precision.

    Args:
        threshold: least height above the local median, as a share of the highest peak.
        apart: least distance of two onsets in seconds; the higher one stays.
    """
    values = strength.values - median_filter(strength.values, size=max(3, round(0.5 * strength.rate)))
    highest = values.max()
    if len(values) < 3 or highest <= 1e-9:
        return np.zeros(0)
    reach = 2 * max(1, round(apart * strength.rate)) + 1
    inner = (values == maximum_filter1d(values, reach)) & (values > threshold * highest)
    found = [i for i in np.flatnonzero(inner) if 0 < i < len(values) - 1]
    return strength.start + np.array([i + vertex(*values[i - 1 : i + 2]) for i in found]) / strength.rate


def onset_impulses(strength: Signal, width: float = IMPULSE) -> Signal:
    """Only the onsets of an onset strength: a bell of `width` seconds at each, as high as the root of its peak.

    The rise of a sound has a tail that noise covers, so its middle moves with the noise; its peak does not.
    """
    times = detect_onsets(strength)
    heights = np.sqrt(strength.at(times))
    away = strength.times[:, None] - times
    return Signal((heights * np.exp(-0.5 * (away / width) ** 2)).sum(axis=1), strength.rate, strength.start)


def vertex(before: float, at: float, after: float) -> float:
    """Where between its neighbours, −½ … ½, the top of the parabola through three values lies."""
    bend = before - 2 * at + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def onset_confidence(waveform: ArrayLike, sample_rate: int, onsets: ArrayLike, window: float = 0.05) -> Floats:
    """Peak of |waveform| within ± `window` seconds of each onset, scaled to 0 … 1 over the clip (as CondFoleyGen)."""
    sound, times = channels(waveform, sample_rate), vector(onsets, "onsets", least=0)
    level = np.abs(sound).max(axis=0)
    low, high = level.min(), level.max()
    level = (level - low) / (high - low) if high > low else np.zeros_like(level)
    reach = max(1, round(window * sample_rate))
    places = np.clip(np.rint(times * sample_rate).astype(int), 0, len(level) - 1)
    return np.array([level[max(0, i - reach) : i + reach].max() for i in places])


def suppress(onsets: ArrayLike, confidence: ArrayLike, window: float = 0.05) -> tuple[Floats, Floats]:
    """Onsets (and their confidence) without those less than `window` seconds from a more confident one."""
    times, trust = _onsets(onsets, confidence)
    kept: list[int] = []
    for i in np.argsort(-trust, kind="stable"):
        if all(abs(times[i] - times[j]) >= window for j in kept):
            kept.append(int(i))
    order = sorted(kept, key=lambda i: times[i])
    return times[order], trust[order]


@dataclass(frozen=True)
class OnsetScores:
    """All in 0 … 1, higher is better, not scaled.

    Attributes:
        accuracy: share of real onsets that a generated one answers within ± delta.
        average_precision: area under precision against recall as the confidence falls.
        same_count: whether there are as many of one as of the other.
    """

    accuracy: float
    average_precision: float
    same_count: bool


def onset_scores(generated: ArrayLike, real: ArrayLike, confidence: ArrayLike, delta: float = 0.1) -> OnsetScores:
    """Onset accuracy and AP of one clip, from times in seconds (Du et al. 2023, CondFoleyGen; delta 0.1 s).

    Real and generated onsets less than `delta` apart are paired, each once, with the most pairs possible: CondFoleyGen
    lets each real onset take the most confident one near, which may be its neighbour's, so that a sound that is the
    same does not score 1. Real onsets without an answer count as missed at every confidence: CondFoleyGen forgets
    those after its last generated onset is used up, and lets others be "retrieved" with confidence 0, both of which
    raise the AP.

    Args:
        confidence: of each generated onset (see `onset_confidence`); pass both through `suppress` first.

    Raises:
        ValueError: no real onset, where neither score has a value.
    """
    times, trust = _onsets(generated, confidence)
    truth = np.sort(vector(real, "real onsets", least=0))
    if not len(truth):
        raise ValueError("onset accuracy has no value for a clip without real onsets")
    order = np.argsort(times, kind="stable")
    hit = np.zeros(len(times), dtype=bool)
    i = j = 0
    while i < len(order) and j < len(truth):  # for intervals of one length, taking the earliest pair is optimal
        gap = times[order[i]] - truth[j]
        hit[order[i]] = abs(gap) < delta
        i, j = i + (gap < delta), j + (gap > -delta)
    return OnsetScores(float(hit.sum() / len(truth)), _precision(hit, trust, len(truth)), len(times) == len(truth))


def _precision(hit: np.ndarray, trust: Floats, positives: int) -> float:
    """Σ (recall gained) · precision, stepping through groups of equal confidence."""
    if not len(hit):
        return 0.0
    order = np.argsort(-trust, kind="stable")
    found = np.cumsum(hit[order])
    last = np.append(np.flatnonzero(np.diff(trust[order])), len(hit) - 1)
    gained = np.diff(found[last], prepend=0)
    return float((gained * (found[last] / (last + 1))).sum() / positives)


@dataclass(frozen=True)
class Agreement:
    """Precision, recall and F1 of generated against real onsets, 0 … 1, and signed errors of the pairs.

    `errors` float64 [pairs]: generated − real time of each matched pair in seconds.
    """

    precision: float
    recall: float
    f1: float
    errors: Floats


def onset_agreement(generated: ArrayLike, real: ArrayLike, delta: float = 0.06) -> Agreement:
    """F1 of onsets within ± delta seconds, each used once, with the most pairs possible.

    With no onsets on either side all three are 1, with none on one side 0.
    """
    times, truth = np.sort(vector(generated, "generated onsets", 0)), np.sort(vector(real, "real onsets", 0))
    if not len(times) and not len(truth):
        return Agreement(1.0, 1.0, 1.0, np.zeros(0))
    errors, i, j = [], 0, 0
    while i < len(times) and j < len(truth):  # for intervals of one length, taking the earliest pair is optimal
        gap = times[i] - truth[j]
        if abs(gap) <= delta:
            errors.append(gap)
            i, j = i + 1, j + 1
        elif gap < 0:
            i += 1
        else:
            j += 1
    pairs = len(errors)
    precision, recall = pairs / max(len(times), 1), pairs / max(len(truth), 1)
    return Agreement(precision, recall, 2 * pairs / (len(times) + len(truth)), np.array(errors))


def _onsets(onsets: ArrayLike, confidence: ArrayLike) -> tuple[Floats, Floats]:
    times, trust = vector(onsets, "generated onsets", least=0), vector(confidence, "confidence", least=0)
    if len(times) != len(trust):
        raise ValueError(f"{len(times)} generated onsets and {len(trust)} confidences must pair")
    return times, trust
