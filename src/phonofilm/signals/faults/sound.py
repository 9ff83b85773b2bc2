"""Faults of a sound: silence, clipping, clicks, one channel written twice, and a spectrum cut off by a lower rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d, median_filter
from scipy.signal import welch

from phonofilm.signals.faults.channels import channels_apart
from phonofilm.signals.faults.picture import longest_run
from phonofilm.signals.validation import Floats

HOP = 0.02
SILENT = -60.0
"""dBFS of a hop that is silent."""

FULL, FLAT_LEAST, FLAT = 0.985, 0.25, 1e-6
"""Share of full scale that clipped samples reach, lowest peak whose flat tops are looked at, and how flat those are."""

CLICK, CLICK_LONG, CLICK_QUIET = 14.0, 0.0012, 5.0
"""A click: how far a second difference stands above its neighbourhood, seconds that it lasts at most, and how far what
follows may stand above what was before."""

DROP, FLOOR, WALL = 18.0, -75.0, 0.10
"""A wall in the spectrum: dB that it falls by, dB below the loudest band that lie above it at most, and share of the
frequency within which it falls."""


@dataclass(frozen=True)
class SoundFaults:
    """Attributes:

    level: dBFS (root mean square) of the loudest half second. silent: share of the time below −60 dBFS.
    gap: seconds of the longest such stretch. clipped: share of samples at a ceiling. clicks: a second.
    apart: level of the difference of two channels against their sum in dB; NaN for one channel.
    cutoff: Hz above which there is nothing though it reaches right up to there; half the rate where there is no wall.
    """

    level: float
    silent: float
    gap: float
    clipped: float
    clicks: float
    apart: float
    cutoff: float


def sound_faults(waveform: np.ndarray, sample_rate: int) -> SoundFaults:
    """Faults of a waveform [C, N] in [−1, 1]."""
    sound = np.nan_to_num(np.atleast_2d(waveform).astype(np.float64))
    power = _power(sound, round(HOP * sample_rate))
    level = 10 * np.log10(power + 1e-12)
    quiet = level < SILENT
    window = min(len(power), round(0.5 / HOP))
    loudest = np.convolve(power, np.ones(window) / window, "valid").max()
    return SoundFaults(
        level=float(10 * np.log10(loudest + 1e-12)),
        silent=float(quiet.mean()),
        gap=longest_run(quiet)[1] * HOP,
        clipped=max(clipped_share(channel) for channel in sound),
        clicks=max(len(click_times(channel, sample_rate)) for channel in sound) / (sound.shape[1] / sample_rate),
        apart=channels_apart(sound),
        cutoff=cutoff_of(sound, sample_rate),
    )


def _power(sound: Floats, length: int) -> Floats:
    count = max(1, sound.shape[1] // length)
    whole = sound[:, : count * length] if sound.shape[1] >= length else sound
    return np.asarray((whole.reshape(len(sound), count, -1) ** 2).mean(axis=2).max(axis=0))


def clipped_share(channel: Floats) -> float:
    """Share of samples [N] that lie at full scale, or in flat tops of three samples and more at the peak."""
    peak = float(np.abs(channel).max(initial=0.0))
    if peak < FLAT_LEAST:
        return 0.0
    full = np.abs(channel) >= FULL
    same = (np.abs(np.diff(channel)) <= FLAT) & (np.abs(channel[1:]) >= 0.98 * peak)
    flat = same[1:] & same[:-1]
    return float(max(full.mean() if full.sum() > 2 else 0.0, flat.mean()))


def click_times(channel: Floats, sample_rate: int) -> Floats:
    """Seconds of clicks in a sound [N]: a few samples out of line, after which the sound is as it was before.

    What strikes, bangs or speaks goes on after its onset, and so is none.
    """
    if len(channel) < sample_rate // 10 or not channel.any():
        return np.zeros(0)
    bend = np.abs(channel[2:] - 2 * channel[1:-1] + channel[:-2])
    hop = max(1, round(0.002 * sample_rate))
    count = len(bend) // hop
    blocks = bend[: count * hop].reshape(count, hop)
    peaks, usual = blocks.max(axis=1), np.sqrt((blocks**2).mean(axis=1))
    around = median_filter(usual, size=15, mode="nearest") + 1e-5
    found: list[int] = []
    for block in np.flatnonzero((peaks > CLICK * around) & (peaks > 0.01)).tolist():
        place = block * hop + int(blocks[block].argmax())
        if found and place - found[-1] < 0.01 * sample_rate:
            continue
        if _goes_back(bend, place, sample_rate):
            found.append(place)
    return np.array(found) / sample_rate


def _goes_back(bend: Floats, place: int, sample_rate: int) -> bool:
    """Whether a sound is after a moment as restless as before, and that moment is short."""
    short, beside = round(CLICK_LONG * sample_rate), round(0.008 * sample_rate)
    before = bend[max(0, place - short - beside) : max(0, place - short)]
    after = bend[place + short : place + short + beside]
    if len(before) < beside // 2 or len(after) < beside // 2:
        return False
    calm_before, calm_after = (float(np.sqrt((part**2).mean())) + 1e-6 for part in (before, after))
    stands = float(bend[place]) / max(calm_before, calm_after)
    return stands > CLICK and calm_after < CLICK_QUIET * calm_before


def cutoff_of(sound: Floats, sample_rate: int) -> float:
    """Hz of a wall in the spectrum above which there is next to nothing, or half the rate where there is none.

    A sound that was resampled from a lower rate ends at half of that rate all at once; one that has no highs by itself
    falls gently.
    """
    nyquist = sample_rate / 2
    mono = sound[np.argmax((sound**2).sum(axis=1))]
    if len(mono) < 4096 or not mono.any():
        return nyquist
    hertz, power = welch(mono, sample_rate, nperseg=1024)
    level = 10 * np.log10(maximum_filter1d(power, 3) + 1e-16)
    top = level.max()
    # the level that a band is followed by, whatever lies further up
    highest = np.maximum.accumulate(level[::-1])[::-1]
    best: tuple[float, float] | None = None
    for place in np.flatnonzero((hertz > 1500) & (hertz < 0.92 * nyquist)):
        wide = max(WALL * hertz[place], 3 * hertz[1])
        first, last, after = np.searchsorted(hertz, hertz[place] + wide * np.array([-2.0, -0.5, 0.5]))
        fall, rest = float(np.median(level[first:last]) - highest[after]), float(highest[after] - top)
        if fall > DROP and rest < FLOOR + 25 and (best is None or fall > best[0]):
            best = fall, float(hertz[place])
    return nyquist if best is None else best[1]
