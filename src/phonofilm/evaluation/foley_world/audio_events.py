"""What is heard in a clip, by signal processing alone: onsets, notes, materials, sides, level.

No learned part: whatever model made a clip, the same arithmetic listens to it.

The detector is not that of `signals.onsets`, whose threshold is a share of the clip's highest peak, so that it works at
any level of recording. Here a clip may hold nothing but noise, and then nothing must be found: the thresholds are
absolute. On true scenes both find the same onsets (docs/metrics.md, *Two detectors of onsets*).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import maximum_filter1d, minimum_filter1d
from scipy.signal import ShortTimeFFT, get_window

HOP = 0.004  # s between analysis frames
WINDOW = 0.024  # s of each
RISE = 1.3  # rise of log energy, averaged over bands, that makes an onset
SOFTEST = 1e-3  # RMS of a band below which nothing is heard
APART = 0.09  # s: onsets nearer than this are one


@dataclass(frozen=True)
class Onset:
    """The start of a sound: time in s, strength in nats of log energy, pan from -1 (left) to 1 (right)."""

    time: float
    strength: float
    pan: float


def spectrogram(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Magnitudes float64 [C, bins, frames] at HOP; frame k is centred on k * HOP seconds."""
    size, hop = round(WINDOW * sample_rate), round(HOP * sample_rate)
    transform = ShortTimeFFT(get_window("hann", size), hop, sample_rate, scale_to="magnitude", mfft=max(1024, 2 * size))
    last = transform.upper_border_begin(waveform.shape[-1])[1]
    return np.abs(transform.stft(waveform.astype(np.float64), p0=0, p1=max(last, 1)))


def onset_strength(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Rise of log energy in twelve bands between 60 Hz and 7 kHz, averaged: float64 [frames] at HOP.

    Half-wave rectified spectral flux (Bello et al., "A tutorial on onset detection", 2005), over 5 frames.
    """
    power = (spectrogram(waveform, sample_rate) ** 2).sum(0)
    frequency = np.linspace(0, sample_rate / 2, len(power))
    edges = np.geomspace(60, min(7000, sample_rate / 2), 13)
    bands = np.stack([power[(frequency >= a) & (frequency < b)].sum(0) for a, b in pairwise(edges)])
    level = np.log(bands + SOFTEST**2)
    before = minimum_filter1d(np.pad(level, ((0, 0), (5, 0)), mode="edge")[:, :-5], 3, axis=1)
    return np.maximum(level - before, 0).mean(0)


def onsets(waveform: np.ndarray, sample_rate: int) -> list[Onset]:
    """Starts of sounds in waveform [C, N], in order of time."""
    if waveform.shape[-1] < round(WINDOW * sample_rate):
        return []
    flux = onset_strength(waveform, sample_rate)
    reach = round(APART / HOP)
    peak = (flux == maximum_filter1d(flux, 2 * reach + 1)) & (flux > RISE)
    times = (
        (np.flatnonzero(peak) - 0.5) * round(HOP * sample_rate) / sample_rate
    )  # the flux peaks when the window has taken the onset in
    found: list[Onset] = []
    for time, frame in zip(times, np.flatnonzero(peak), strict=True):
        if not found or time - found[-1].time > APART:
            found.append(Onset(float(max(time, 0.0)), float(flux[frame]), pan(waveform, sample_rate, float(time))))
    return found


def pan(waveform: np.ndarray, sample_rate: int, time: float, span: float = 0.08) -> float:
    """Where the sound that starts at `time` lies: constant-power pan of the energy it adds, -1 to 1."""
    if len(waveform) < 2:
        return 0.0
    start, length = round(time * sample_rate), round(span * sample_rate)
    after = waveform[:2, max(start, 0) : max(start, 0) + length].astype(np.float64)
    before = waveform[:2, max(start - length, 0) : max(start, 0)].astype(np.float64)
    added = (after**2).sum(-1) - ((before**2).sum(-1) if before.shape[-1] else 0) * 0.5
    left, right = np.sqrt(np.maximum(added, 1e-12))
    return float(np.arctan2(right, left) * 4 / np.pi - 1)


def spectrum_after(
    waveform: np.ndarray, sample_rate: int, time: float, span: float = 0.16
) -> tuple[np.ndarray, np.ndarray]:
    """Power a sound adds in `span` seconds from its onset: frequencies [F] in Hz, power [F]."""
    mono, length = waveform.mean(0).astype(np.float64), round(span * sample_rate)
    start = round((time + 0.006) * sample_rate)

    def power(begin: int) -> np.ndarray:
        piece = mono[max(begin, 0) : max(begin + length, 0)]
        piece = np.pad(piece, (0, length - len(piece)))
        return np.abs(np.fft.rfft(piece * np.hanning(length), 1 << 14)) ** 2

    added = np.maximum(power(start) - 0.8 * power(start - length - round(0.02 * sample_rate)), 0)
    return np.fft.rfftfreq(1 << 14, 1 / sample_rate), added


def note(waveform: np.ndarray, sample_rate: int, time: float, notes: dict[str, float]) -> str:
    """Which of `notes` (name -> Hz) starts at `time`: the one whose neighbourhood gains the most power."""
    frequency, power = spectrum_after(waveform, sample_rate, time)
    gains = {name: power[np.abs(frequency / pitch - 1) < 0.022].sum() for name, pitch in notes.items()}
    return max(gains, key=lambda name: gains[name])


def ringing(waveform: np.ndarray, sample_rate: int, time: float) -> float:
    """Decay of the sound that starts at `time`, in dB per second, from 20 ms to 140 ms after it."""
    mono = (waveform.astype(np.float64) ** 2).sum(0)

    def level(begin: float) -> float:
        piece = mono[round((time + begin) * sample_rate) : round((time + begin + 0.04) * sample_rate)]
        return float(10 * np.log10(piece.mean() + 1e-9)) if len(piece) else -90.0

    return (level(0.02) - level(0.11)) / 0.09


def material(waveform: np.ndarray, sample_rate: int, time: float, limits: tuple[float, float] = (220.0, 1450.0)) -> str:
    """rubber (low thud), wood (short knock), metal (long ring) or glass (high tinkle).

    Args:
        limits: Hz of the strongest frequency, below which it is rubber and above which glass; large bodies sound low.
    """
    frequency, power = spectrum_after(waveform, sample_rate, time, 0.1)
    strongest = frequency[np.argmax(power * (frequency > 50))]
    if strongest < limits[0]:
        return "rubber"
    if strongest > limits[1]:
        return "glass"
    return "wood" if ringing(waveform, sample_rate, time) > 150 else "metal"
