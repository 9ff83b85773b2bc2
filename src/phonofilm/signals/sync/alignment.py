"""How far sound and picture of a clip are apart, and whether that can be known at all.

**Positive = audio early**, as in DeSync, PEAVS, SyncNet and ITU-R BT.1359; tables turn the sign.

Five cues are tried, four of them correlations over lags that are 1 where sound and picture say the same at the same
time:

- *events*: onsets against changes of motion and of light, by column of the picture and pan of the sound. The more
  clearly one lag fits better than all others, the less well it has to fit: what recurs evenly fits at many. Sound whose
  ears are exchanged is tried too, and has to fit better; sound that comes from one place throughout is held against
  the whole picture. Where the pans of a sound contradict the picture, a rhythm that fits is not enough: two melodies
  of one rhythm are not one scene;
- *sparks*, where there is a flash: onsets against the strongest sudden change of a small cell, by finer columns; the
  bang is expected later than the flash, by the way that its dullness tells (`sound_travel`);
- *texture*: levels of four groups of bands against brightness of small cells, whatever its sign: a mouth. Both are
  made less alike first, so that a head that nods does not outweigh the lips;
- *landings*: onsets against what grows brighter low in the picture, by sixteen columns: drops of rain;
- *courses*: what passes by is at each column of the picture when its sound is at that pan, so that the lag is the same
  all along the way (`courses`).

An offset is known where a cue's highest correlation passes a threshold and stands clear of the next best lag. Both
were chosen on scenes of Foley World of other seeds than those that are reported, so that of the same scenes with
another one's sound at most 1 or 2 of 100 pass (docs/metrics.md). What is heard but not seen to happen, as most of a
film under music, passes none of them, and then the offset has no value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import gaussian_filter1d

from phonofilm.signals.onsets import DELAY, vertex
from phonofilm.signals.onsets import RATE as SOUND_RATE
from phonofilm.signals.sync.cues import COLUMNS, FINE, GRID, PictureCues, SoundCues
from phonofilm.signals.validation import Floats

RATE = 200
"""Correlations are sampled at 5 ms, and read between samples."""

LIMIT, SHARE = 2.5, 0.25
"""Seconds of offset that are searched at most, and as a share of the clip (1 s always): less overlap fits by chance."""

BLUR, PICTURE_BLUR, SOUND_BLUR, STEADY = 0.02, 0.02, 0.03, 1.0
"""Seconds (standard deviation) that a correlation, a picture's cue and a sound's are smoothed by, and over which what
is steady is taken out of both."""

APART = 0.12
"""Seconds from the best lag within which another peak is the same one."""

QUICK, LATE = 0.25, 0.016
"""Seconds over which a level that changes more slowly is taken out, and by which a band's energy lies behind the sound:
half the window that it looks back over."""


@dataclass(frozen=True)
class Cue:
    """A cue's name; the correlation from which on its lag is known, for sound with places and for sound without; the
    gap to the next best lag that it needs; the lag in ms that it reads on clips in sync; and how much of the gap (of
    `CLEAR` at most) counts as correlation, for sound with places."""

    name: str
    least: float
    least_mono: float
    gap: float
    bias: float
    clear: float = 0.0


CLEAR = 0.3
"""Gap to the next best lag beyond which a lag is no clearer."""

EVENTS = Cue("events", 0.66, 0.75, 0.10, 0.0, clear=0.5)
EXCHANGED = Cue("events, ears exchanged", 0.78, 0.78, 0.10, 0.0, clear=0.5)
ANYWHERE = Cue("events anywhere", 0.76, 0.76, 0.12, 0.0)
SPARKS = Cue("sparks", 0.29, 0.60, 0.05, -2.0)
TEXTURE = Cue("texture", 0.26, 0.26, 0.06, -10.0)
LANDINGS = Cue("landings", 0.24, 0.24, 0.12, -25.0)
COURSES = Cue("courses", 0.78, 0.78, 0.0, -22.0)

ONE_PLACE = 0.1
"""Standard deviation of the pans of what sets in (−1 … 1) up to which a sound comes from one place throughout."""

VOICE, DROPS, LANDED = 0.2, (0.125, 0.21), 0.18
"""Shares of the time (`share_of_time`) in which something sets in: from which on a sound may be a voice, and between
which it may be drops; and the least in which something grows brighter low in the picture. Where little happens, it fits
by chance."""

WHITE, PARTS = 0.1, 12
"""Share of the greatest eigenvalue below which bands are not made louder, and principal components of the texture."""

CROSSED, UNLIKE = 11, 0.1
"""Columns that both courses must have in common, and seconds of deviation of their lag at which they are nothing alike
(agreement is 1 less the deviation over this)."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """How far sound and picture of one clip are apart.

    Attributes:
        milliseconds: positive = audio early. known: whether it is more than the best of many lags that do not fit.
        confidence: 0 … 1; 0.5 at the threshold of `known`. cue: the one that it was read from.
    """

    milliseconds: float
    known: bool
    confidence: float
    cue: str


def align(sound: SoundCues, picture: PictureCues) -> Alignment:
    """The offset of a sound against a picture.

    Raises:
        ValueError: nothing is heard, or nothing moves.
    """
    found = [_read(cue, sound, curve) for cue, curve in _curves(sound, picture)]
    found += _passing(sound, picture)
    if not found:
        raise ValueError("nothing sets in, or nothing moves: an offset has no value")
    best = max(found, key=lambda alignment: alignment.confidence)
    if best.cue == "sparks":
        later = 1000 * sound_travel(sound.bang)
        return Alignment(best.milliseconds + later, best.known, best.confidence, best.cue)
    return best


FLASH = 0.15
"""Brightening that half of the picture shares, 0 … 1, from which on a bang is the sound of a flash."""

TRAVEL = (-0.1652, -0.0291, -0.0002, 0.0, 0.0256, 0.0256, 0.0074, -0.0671, -0.0761)
"""Seconds, and seconds for each of the bands `BANG`: least squares over scenes of Foley World that blow up 20 to 160 m
away (Spearman and error in docs/metrics.md)."""


def sound_travel(bang: Floats) -> float:
    """Seconds that a bang was on its way, from how much of its highs the air has taken; 0 … 0.6."""
    return float(np.clip(TRAVEL[0] + bang @ np.array(TRAVEL[1:]), 0.0, 0.6))


def _read(cue: Cue, sound: SoundCues, curve: Floats) -> Alignment:
    lags = (np.arange(len(curve)) - len(curve) // 2) / RATE
    top = int(curve[1:-1].argmax()) + 1
    lag = lags[top] + vertex(*curve[top - 1 : top + 2]) / RATE
    others = curve[np.abs(lags - lag) > APART]
    gap = float(curve[top] - others.max()) if len(others) else 0.0
    if sound.stereo:
        fit = float(curve[top]) + cue.clear * min(gap, CLEAR) - cue.least
    else:
        fit = float(curve[top]) - cue.least_mono
    margin = min(fit, gap - cue.gap)
    confidence = 1 / (1 + np.exp(-12 * margin))
    return Alignment(1000 * float(lag) - cue.bias, margin > 0, float(confidence), cue.name)


def _passing(sound: SoundCues, picture: PictureCues) -> list[Alignment]:
    """The lag of the two courses that are most alike, if any are."""
    reach, best = _reach(len(picture.texture) / float(picture.rate)), None
    for heard in sound.courses:
        for seen in picture.courses:
            lags = (seen - heard)[np.isfinite(seen - heard)]
            if len(lags) < CROSSED or abs(np.median(lags)) > reach:
                continue
            # what was compared on a shorter way could deviate less
            agreement = 1 - float(lags.std()) * (len(heard) - 1) / (len(lags) - 1) / UNLIKE
            if best is None or agreement > best[0]:
                best = agreement, float(np.median(lags))
    if best is None:
        return []
    margin = best[0] - COURSES.least
    confidence = 1 / (1 + np.exp(-12 * margin))
    return [Alignment(1000 * best[1] - COURSES.bias, margin > 0, float(confidence), COURSES.name)]


def _reach(seconds: float) -> float:
    """Seconds of offset that are searched in a clip."""
    return min(LIMIT, max(1.0, SHARE * seconds))


def _curves(sound: SoundCues, picture: PictureCues) -> list[tuple[Cue, Floats]]:
    """Correlation over lags of each cue that sound and picture both have."""
    pair = _Pair(sound, picture)
    curves, busy = [(EVENTS, pair.events())], share_of_time(sound.strength, SOUND_RATE, SOUND_BLUR)
    if busy > VOICE:
        curves.append((TEXTURE, pair.texture()))
    if sound.stereo:
        if pan_spread(sound) < ONE_PLACE:
            curves.append((ANYWHERE, _Pair(replace(sound, stereo=np.array(0.0)), picture).events()))
        else:
            curves.append((EXCHANGED, _Pair(replace(sound, pan=-sound.pan), picture).events()))
        landed = share_of_time(picture.landings.sum(axis=1), pair.rate, PICTURE_BLUR)
        if DROPS[0] < busy < DROPS[1] and landed > LANDED:
            curves.append((LANDINGS, pair.landings()))
    if float(picture.flash) > FLASH:
        curves.append((SPARKS, pair.sparks()))
    return [(cue, curve) for cue, curve in curves if curve.any()]


class _Pair:
    """A sound and a picture on one clock."""

    def __init__(self, sound: SoundCues, picture: PictureCues, slowest: float = 1.0) -> None:
        self.sound, self.picture, self.rate = sound, picture, float(picture.rate)
        lasts = max(len(sound.strength) / SOUND_RATE / slowest, len(picture.texture) / self.rate)
        self.clock = _Clock(lasts, round(RATE * _reach(lasts)))
        self.times = np.arange(len(sound.strength)) / SOUND_RATE - DELAY
        moved = ((picture.across, 1.0), (picture.upright, 1.0), (picture.flare, 1.5))
        self._moved = np.mean([self._seen(values, first) for values, first in moved], axis=0)
        self._onsets = _standing(sound.strength[:, None] * _placed(sound, COLUMNS), SOUND_RATE, SOUND_BLUR)

    def events(self, speed: float = 1.0) -> Floats:
        """With the sound, which ran at `speed`, played at its own pace again."""
        return self.clock.correlation(self.clock.spectrum(self._onsets, self.times * speed), self._moved)

    def sparks(self) -> Floats:
        onsets = _standing(self.sound.strength[:, None] * _placed(self.sound, FINE), SOUND_RATE, SOUND_BLUR)
        return self.clock.correlation(self.clock.spectrum(onsets, self.times), self._seen(self.picture.sparks, 1.5))

    def landings(self) -> Floats:
        onsets = _standing(self.sound.strength[:, None] * _placed(self.sound, GRID), SOUND_RATE, PICTURE_BLUR, 6.0)
        return self.clock.correlation(
            self.clock.spectrum(onsets, self.times), self._seen(self.picture.landings, 0.5, 6.0)
        )

    def texture(self) -> Floats:
        """Size over lags of the covariance of levels [N, 4] with principal components of brightness [T, 12]."""
        level = gaussian_filter1d(self.sound.level, SOUND_BLUR * SOUND_RATE, axis=0)
        level = _whitened(level - gaussian_filter1d(level, QUICK * SOUND_RATE, axis=0))
        cells = _components(gaussian_filter1d(self.picture.texture, PICTURE_BLUR * self.rate, axis=0))
        heard = self.clock.spectrum(level, self.times + DELAY - LATE)
        seen = self.clock.spectrum(cells, np.arange(len(cells), dtype=np.float64) / self.rate)
        total = np.zeros(2 * self.clock.reach + 1)
        for band in heard.T:
            total += (self.clock.lags(band[:, None].conj() * seen) ** 2).sum(axis=1)
        return gaussian_filter1d(np.sqrt(total), BLUR * RATE)

    def _seen(self, values: Floats, first: float, most: float = 4.0) -> Floats:
        if not self.sound.stereo:
            values = values.sum(axis=1, keepdims=True)
        times: Floats = (first + np.arange(len(values), dtype=np.float64)) / self.rate
        return self.clock.spectrum(_standing(values, self.rate, PICTURE_BLUR, most), times)


def pan_spread(sound: SoundCues) -> float:
    """Standard deviation of the pans of what sets in, 0 … 1."""
    weight = np.maximum(_standing(sound.strength[:, None], SOUND_RATE, SOUND_BLUR), 0)[:, 0]
    if not weight.any():
        return 0.0
    mean = np.average(sound.pan, weights=weight)
    return float(np.sqrt(np.average((sound.pan - mean) ** 2, weights=weight)))


def share_of_time(values: Floats, rate: float, blur: float) -> float:
    """In which share of the time values [N] stand out: their participation ratio, 1 / N … 1; 0 if they never do."""
    out = np.maximum(_standing(values[:, None], rate, blur, 6.0), 0)
    return float(out.sum() ** 2 / (out.size * (out**2).sum())) if out.any() else 0.0


def _placed(sound: SoundCues, columns: int) -> Floats:
    """Weight [N, columns] of each column at the pan of what sets in; one column for sound without places."""
    if not sound.stereo:
        return np.ones((len(sound.pan), 1))
    place = (sound.pan + 1) / 2
    # soft cells have their middles at the picture's edges, small cells half a cell inside
    at = place * (columns - 1) if columns == COLUMNS else np.clip(place * columns - 0.5, 0, columns - 1)
    reach = 1.0 if columns == COLUMNS else 1.5
    away = np.abs(at[:, None] - np.arange(columns)) / reach
    return np.where(away < 1, 0.5 + 0.5 * np.cos(np.pi * np.minimum(away, 1)), 0.0)


def _whitened(level: Floats) -> Floats:
    """Bands [N, K] turned into as many of equal size, of which those that hardly vary stay small."""
    sizes, turn = np.linalg.eigh(level.T @ level)
    sizes = np.maximum(sizes, 0)
    return level @ turn / np.sqrt(sizes + WHITE * sizes.max() + 1e-12)


def _components(cells: Floats) -> Floats:
    """Principal components [T, 12] of cells [T, K], the greater ones held down by a root."""
    sizes, turn = np.linalg.eigh(cells.T @ cells)
    kept = np.maximum(sizes[-PARTS:], 0)
    return cells @ turn[:, -PARTS:] / (kept + 1e-12) ** 0.25


def _standing(values: Floats, rate: float, blur: float, most: float = 4.0) -> Floats:
    """Columns smoothed, less what is steady in them, limited to `most` standard deviations of all."""
    out = gaussian_filter1d(values, blur * rate, axis=0)
    out = out - gaussian_filter1d(out, STEADY * rate, axis=0)
    for _ in range(3):  # what is cut off has raised the deviation that it is measured by
        size = np.sqrt((out**2).mean())
        out = np.clip(out, -most * size, most * size)
    return out


@dataclass(frozen=True)
class Pace:
    """Speed of the sound over that of the picture, less 1, in per mille; and whether that can be known."""

    permille: float
    known: bool


SPEEDS = np.arange(-0.30, 0.3001, 0.01)
"""Logarithms of the speeds that are tried: 0.74 to 1.35, so that a quarter slower or faster lies well within."""

PACE_LEAST, PACE_LEAST_MONO, PACE_GAP = 0.60, 0.85, 0.05
"""How much a speed must correlate, for sound with places and without, and how much more than others 5 % away."""


def pace(sound: SoundCues, picture: PictureCues) -> Pace:
    """How much faster than the picture a sound runs, by the cue *events* alone.

    Raises:
        ValueError: nothing is heard, or nothing moves.
    """
    pair = _Pair(sound, picture, slowest=float(np.exp(SPEEDS[0])))

    def height(log: float) -> float:
        return float(pair.events(float(np.exp(log)))[1:-1].max())

    heights = np.array([height(log) for log in SPEEDS])
    if not heights.any():
        raise ValueError("nothing sets in, or nothing moves: a drift has no value")
    near = SPEEDS[heights.argmax()] + np.arange(-0.01, 0.0101, 0.002)
    fine = np.array([height(log) for log in near])
    top = int(fine[1:-1].argmax()) + 1
    log = near[top] + 0.002 * vertex(*fine[top - 1 : top + 2])
    others = heights[np.abs(SPEEDS - log) > 0.05].max()
    least = PACE_LEAST if sound.stereo else PACE_LEAST_MONO
    return Pace(1000 * float(np.expm1(log)), bool(fine[top] > least and fine[top] - others > PACE_GAP))


@dataclass(frozen=True)
class _Clock:
    """A grid of `seconds` at `RATE`, and lags of up to ± `reach` steps."""

    seconds: float
    reach: int

    @property
    def size(self) -> int:
        return int(next_fast_len(int(self.seconds * RATE) + self.reach + 1, real=True))

    def spectrum(self, values: Floats, times: Floats) -> Floats:
        """Spectrum [F, K] of columns [N, K] at the given times, put on the grid and made of unit energy."""
        grid = np.arange(int(self.seconds * RATE)) / RATE
        laid = np.stack([np.interp(grid, times, column, left=0, right=0) for column in values.T], axis=1)
        size = np.linalg.norm(laid)
        spectrum: Floats = rfft(laid / size if size > 1e-9 else 0 * laid, self.size, axis=0)
        return spectrum

    def lags(self, product: Floats) -> Floats:
        """Correlation [2·reach + 1, ...] from the product of two spectra."""
        circle = irfft(product, self.size, axis=0)
        return np.concatenate([circle[-self.reach :], circle[: self.reach + 1]])

    def correlation(self, heard: Floats, seen: Floats) -> Floats:
        """Σ heard(t) · seen(t + lag) over time and columns, smoothed: lag > 0 where the sound comes first."""
        return gaussian_filter1d(self.lags((heard.conj() * seen).sum(axis=1)), BLUR * RATE)
