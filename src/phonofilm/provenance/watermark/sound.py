"""The mark in sound: levels of cells of time and frequency, raised and lowered by about a decibel.

Cells are 64 ms long and a twelfth of an octave wide. What is changed is the magnitude of what is there, so silence
stays silence, and the change lies about 20 dB below the sound of its own cell, which masks it (ISO/IEC 11172-3, annex
D: noise 6 dB, and tones 14.5 dB and more, below their masker). Spread spectrum after Cox et al. (1997); log-magnitudes,
in which volume, filters and codecs are additive, after Kirovski and Malvar (2003).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.fft
from scipy.ndimage import uniform_filter1d

from phonofilm.provenance.watermark.signs import Found, best_sum, signs, threshold

SLOT = 0.064
"""Seconds of a cell."""
HOPS = 3
"""Steps of the transform in a cell."""
SLOTS = 64
"""Cells until the table comes again."""
USUAL, STRENGTHS = 1.1, (0.7, 2.0)
"""dB, by which a cell is raised or lowered: at first, and at least and at most."""
AIM = 12.0
"""Score of each key that is aimed at in four seconds."""
SPEEDS = (0.0, -0.01, 0.01, -0.02, 0.02, -0.03, 0.03)
"""Changes of speed that are tried: half a step, .5 % of 4 s, is 10 ms to either side."""
PHASES = 4
"""Beginnings of a cell that are tried."""
WINDOW, EVERY = 2 * SLOTS, SLOTS
"""Slots of a stretch of a long sound that is looked at by itself, and from one to the next."""
FLOOR = 10 ** (-90 / 10)
"""Power of a cell that is as good as silent."""
SHORTEST = 1.0
"""Seconds of sound that is not silent, below which a mark is not looked for."""
NEIGHBOURS, WIDE = 5, 7
"""Cells along each axis with which a level is compared, and over which its usual changes are measured."""
CLIP, STEADY = 1.0, 0.2
"""Nepers of power: larger changes count as this one; and changes squared that count as none."""
MASKED = 10 ** (-22 / 10)
"""Power of what is put into a cell that is raised, against the sound that masks it there."""
UPWARD, DOWNWARD, LATER = 10 ** (-3.5 / 10), 10 ** (-9 / 10), 10 ** (-3.5 / 10)
"""How masking fades from a band to the next higher and lower one, and from a step to the next."""
FILL, BELOW, FADES = 10 ** (-84 / 10), 10 ** (-50 / 10), 10 ** (-0.2 / 10)
"""Power put into a raised cell at most where nothing masks it: of full scale, and against the loudest band heard
before; and how that fades from a step to the next. All cells together stay 70 dB below full scale."""
HUSH = 4 * 10 ** (-62 / 20)
"""Amplitude of a sound below which a change is not held back further."""


def band_edges() -> np.ndarray:
    """Hz: at least 60 wide below 1 kHz, then a twelfth of an octave, from 400 Hz to 7 kHz."""
    edges = [400.0]
    while edges[-1] < 7000:
        edges.append(edges[-1] + max(60.0, edges[-1] * (2 ** (1 / 12) - 1)))
    return np.array(edges)


EDGES = band_edges()
BANDS = len(EDGES) - 1


def table(key: bytes) -> np.ndarray:
    """float32 [SLOTS, BANDS] of signs."""
    return signs(key, "sound", (SLOTS, BANDS))


def mark_sound(sound: np.ndarray, rate: int, keys: Sequence[bytes], start: int = 0) -> np.ndarray:
    """What is to be added to a sound, float32 [C, N], of the same shape; zero where nothing has been heard yet.

    A sound in which the mark would be weak is changed more, up to a limit, and one in which it is strong, less.

    Args:
        keys: share the strength among them.
        start: which sample of the whole this sound begins with.
    """
    if not sound.any() or not keys:
        return np.zeros_like(sound)
    added = _added(sound, rate, keys, start, USUAL)
    score = _aligned(sound + added, rate, keys[0], start) / np.sqrt(max(1.0, sound.shape[1] / rate / 4))
    strength = float(np.clip(USUAL * AIM / max(score, 1e-6), *STRENGTHS))
    return added if abs(strength - USUAL) < 0.1 else _added(sound, rate, keys, start, strength)


def _aligned(sound: np.ndarray, rate: int, key: bytes, start: int) -> float:
    """The score of a mark whose place is known."""
    at = start / rate / SLOT
    first = int(np.ceil(at))
    found = features(Levels(sound, rate).cells(0.0, first - at))
    expected = table(key)[(first + np.arange(len(found))) % SLOTS]
    return float((found * expected).sum() / max(1e-9, np.sqrt((found**2).sum())))


def _added(sound: np.ndarray, rate: int, keys: Sequence[bytes], start: int, strength: float) -> np.ndarray:
    hop = round(SLOT / HOPS * rate)
    size = 2 * hop
    first = start // hop - 1
    before = start - first * hop
    steps = (before + sound.shape[1]) // hop + 2
    padded = np.zeros((len(sound), (steps + 1) * hop), np.float32)
    padded[:, before : before + sound.shape[1]] = sound
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, ::hop]
    spectrum = scipy.fft.rfft(frames * window, axis=-1)
    spectrum = _changes(spectrum, keys, first + np.arange(frames.shape[1]), rate, size, strength)
    parts = scipy.fft.irfft(spectrum, n=size, axis=-1) * window
    added = np.zeros_like(padded)
    added[:, :-hop] += parts[..., :hop].reshape(len(sound), -1)
    added[:, hop:] += parts[..., hop:].reshape(len(sound), -1)
    return _shaped(added, padded, rate)[:, before : before + sound.shape[1]]


def _changes(
    spectrum: np.ndarray, keys: Sequence[bytes], steps: np.ndarray, rate: int, size: int, strength: float
) -> np.ndarray:
    """complex64 [C, steps, bins]: what is to be added to a spectrum of the same shape."""
    total = sum(table(key) for key in keys) / np.sqrt(len(keys))
    bands = np.searchsorted(EDGES, scipy.fft.rfftfreq(size, 1 / rate), side="right") - 1
    known = np.flatnonzero((bands >= 0) & (bands < BANDS))
    bands = bands[known]
    wanted = total[steps // HOPS % SLOTS][:, bands]
    there = spectrum[..., known]
    counts = np.bincount(bands, minlength=BANDS)
    starts = np.cumsum(counts) - counts
    power = np.add.reduceat(np.abs(there) ** 2, np.minimum(starts, len(bands) - 1), axis=-1)
    masked = _masked(np.where(counts > 0, power, 0), size * size / 8) / np.maximum(counts, 1)
    share = np.maximum(0, 1 + wanted / np.abs(total).max()) / 2
    phases = np.exp(2j * np.pi * _noise(len(known), steps)).astype(np.complex64)
    changes = np.zeros_like(spectrum)
    changes[..., known] = (10 ** (strength / 20 * wanted) - 1) * there + np.sqrt(share * masked[..., bands]) * phases
    return changes


def _noise(count: int, steps: np.ndarray) -> np.ndarray:
    """float [steps, count] in [0, 1), the same for a step whichever piece of a sound it is in."""
    return np.modf(np.sin(np.outer(steps % 9973 + 1, np.arange(1, count + 1)) * 12.9898) * 43758.5453)[0] % 1


def _masked(power: np.ndarray, scale: float) -> np.ndarray:
    """Power [C, steps, BANDS] of noise that bands of this power mask, in the same step and in those after it."""
    found = power.copy()
    for band in range(1, BANDS):
        found[..., band] = np.maximum(found[..., band], UPWARD * found[..., band - 1])
    for band in range(BANDS - 2, -1, -1):
        found[..., band] = np.maximum(found[..., band], DOWNWARD * found[..., band + 1])
    for step in range(1, power.shape[1]):
        found[:, step] = np.maximum(found[:, step], LATER * found[:, step - 1])
    loudest = power.max(-1)
    for step in range(1, power.shape[1]):
        loudest[:, step] = np.maximum(loudest[:, step], FADES * loudest[:, step - 1])
    return np.maximum(MASKED * found, np.minimum(FILL * scale, BELOW * loudest)[..., None])


def _shaped(added: np.ndarray, sound: np.ndarray, rate: int) -> np.ndarray:
    """The change, held 12 dB below the sound of the five milliseconds around: none is heard before a stroke."""
    width = max(1, round(0.005 * rate))
    there, new = (
        np.sqrt(np.maximum(uniform_filter1d(x * x, width, axis=1, mode="constant"), 0)) for x in (sound, added)
    )
    return added * np.minimum(1, (there + HUSH) / np.maximum(4 * new, 1e-12)).astype(np.float32)


class Levels:
    """The power of a sound in any cell of time and frequency: an integral over both, read between its points."""

    def __init__(self, sound: np.ndarray, rate: int) -> None:
        self.rate = rate
        self.hop = round(SLOT / HOPS / 2 * rate)
        self.size = 4 * self.hop
        padded = np.pad(sound, ((0, 0), (self.size // 2, self.size)))
        window = np.hanning(self.size + 1)[:-1].astype(np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.size, axis=1)[:, :: self.hop]
        power = (np.abs(scipy.fft.rfft(frames * window, axis=-1)) ** 2).sum(0) / (window.sum() ** 2)
        self.total = np.zeros((len(power) + 1, power.shape[1] + 1))
        self.total[1:, 1:] = power.astype(np.float64).cumsum(0).cumsum(1)
        self.seconds = sound.shape[1] / rate

    def cells(self, speed: float = 0.0, offset: float = 0.0) -> np.ndarray:
        """float64 [slots, BANDS] of a sound that plays faster by `speed` than it was made: times shrink, pitches rise.

        Args:
            offset: slots from the beginning to where the first cell begins.
        """
        faster = 1 + speed
        count = int(self.seconds * faster / SLOT - offset)
        times = (offset + np.arange(max(0, count) + 1)) * SLOT / faster * self.rate / self.hop + 0.5
        pitches = EDGES * faster * self.size / self.rate + 0.5
        rows, columns = (
            np.clip(at, 0, size - 1.001) for at, size in ((times, self.total.shape[0]), (pitches, self.total.shape[1]))
        )
        below = self.total[:, columns.astype(int)]
        inside = below + (columns % 1) * (self.total[:, columns.astype(int) + 1] - below)
        low = inside[rows.astype(int)]
        whole = low + (rows % 1)[:, None] * (inside[rows.astype(int) + 1] - low)
        return np.maximum(np.diff(np.diff(whole, axis=0), axis=1), 0) / (2 * HOPS)


def features(power: np.ndarray) -> np.ndarray:
    """float32 of the shape of `power` [slots, BANDS]: how each level stands out from those before and after it."""
    level = np.log(np.maximum(power, 0) + FLOOR)
    level = level - uniform_filter1d(level, NEIGHBOURS, axis=0, mode="nearest")
    level = level - uniform_filter1d(level, NEIGHBOURS, axis=1, mode="nearest")
    near = uniform_filter1d(uniform_filter1d(power, NEIGHBOURS, axis=0), NEIGHBOURS, axis=1)
    audible = near / (near + 4 * FLOOR)
    level = np.clip(level, -CLIP, CLIP)
    varies = uniform_filter1d(uniform_filter1d(level * level, WIDE, axis=0), WIDE, axis=1)
    return (level * audible / (varies + STEADY)).astype(np.float32)


def find_in_sound(sound: np.ndarray, rate: int, key: bytes) -> Found:
    """Look for the mark of a key in a sound, float32 [C, N], of which a part may be marked."""
    if sound.shape[1] < SHORTEST * rate or not sound.any():
        return Found(reason="the sound is shorter than a second" if sound.any() else "there is no sound")
    stretches = alignments(sound / np.abs(sound).max(), rate)  # what is as good as silent depends on the volume
    best = max(best_sum(stretch, table(key), (0,)) for stretch in stretches)
    return Found(best, threshold(sum(len(stretch) for stretch in stretches) * SLOTS))


def alignments(sound: np.ndarray, rate: int) -> list[np.ndarray]:
    """float32 [speeds and beginnings, SLOTS, BANDS] for each stretch of a sound that is looked at."""
    known = Levels(sound, rate)
    made: list[list[np.ndarray]] = []
    for speed in SPEEDS:
        for phase in range(PHASES):
            found = features(known.cells(speed, phase / PHASES))
            for number, (begin, end) in enumerate(_stretches(len(found))):
                made += [[]] if number == len(made) else []
                made[number].append(_folded(found[begin:end]))
    return [np.stack(one) for one in made]


def _stretches(slots: int) -> list[tuple[int, int]]:
    whole = [(0, slots)]
    return whole if slots <= WINDOW else whole + [(at, at + WINDOW) for at in range(0, slots - EVERY, EVERY)]


def _folded(found: np.ndarray) -> np.ndarray:
    padded = np.pad(found, ((0, -len(found) % SLOTS), (0, 0)))
    return padded.reshape(-1, SLOTS, found.shape[1]).sum(0)
