"""Ways across the picture: when what passes by is at each column, as it is seen and as it is heard.

A course is the times [19] in seconds at which something is at each of the columns `COLUMNS`, NaN where it is not
followed. A sound's place is the pan of each bin of its spectrum, a picture's is the middle of what differs from the
clip's median image. Both are sought in the same two steps: the straight line in time and place along which most lies
(a Hough transform, Duda and Hart 1972), then a parabola through what lies near it, for what comes nearer grows faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from phonofilm.signals.camera_motion import Images
from phonofilm.signals.validation import Floats

COLUMNS = np.linspace(-0.9, 0.9, 19)
"""Places from the left edge of the picture (−1) to the right one (1)."""

LONGEST = 12.0
"""Seconds of a clip in which courses are sought at most: the picture's median is its ground for no longer."""

MOST = 2
"""Courses of a clip at most."""

BINS, STRIDE, STEP = 64, 0.02, 0.04
"""Places that are told apart, and seconds from one spectrum to the next and between the lines that are tried."""

WINDOW, HEARD = 0.128, (50.0, 5000.0)
"""Seconds of a spectrum, and the frequencies that count."""

SPEEDS = np.concatenate([sign * np.geomspace(0.45, 2.0, 20) for sign in (1, -1)])
"""Halves of the picture's width a second."""

LOUD, LASTING = 0.15, 0.2
"""Level, as a share of the highest, from which on a spectrum counts in full, and share of the time in which it must:
what knocks does not pass by."""

SUPPORT, OUTLIERS, DEVIATION = 0.5, 0.06, 0.025
"""Share of a sound's weight that must lie near its course; share of a picture's points that may lie far from theirs,
and the deviation of the others, in halves of the picture's width."""

PLACES = (np.arange(BINS) + 0.5) / BINS * 2 - 1


@dataclass(frozen=True)
class _Path:
    """Place over time, and the times between which it was followed."""

    place: Polynomial
    first: float
    last: float

    def times(self) -> Floats:
        """When it is at each of the columns; NaN throughout for one that turns back."""
        clock = np.arange(self.first - 0.15, self.last + 0.15, 0.005)
        along = self.place(clock)
        if len(along) and along[-1] < along[0]:
            clock, along = clock[::-1], along[::-1]
        if len(along) < 2 or (np.diff(along) <= 0).any():
            return np.full(len(COLUMNS), np.nan)
        return np.interp(COLUMNS, along, clock, left=np.nan, right=np.nan)


def sound_courses(sound: Floats, sample_rate: int) -> Floats:
    """Courses [K, 19] of a waveform [C, N], of which the first two channels are heard; K ≤ 2."""
    if len(sound) < 2 or not 0.5 <= sound.shape[1] / sample_rate <= LONGEST or not sound.any():
        return np.zeros((0, len(COLUMNS)))
    pan, weight = _pans(sound[:2], sample_rate)
    if (weight.sum(axis=1) > 0.999).mean() < LASTING:
        return np.zeros((0, len(COLUMNS)))
    times: Floats = np.arange(len(pan), dtype=np.float64) * STRIDE
    rest, found = weight.copy(), []
    cell = np.clip(((pan + 1) / 2 * BINS).astype(int), 0, BINS - 1)
    for _ in range(MOST):
        places = np.stack([np.bincount(row, mass, BINS) for row, mass in zip(cell, rest, strict=True)])
        line = _strongest(gaussian_filter1d(places, 2.0, axis=1), 1 / STRIDE)
        place = _pan_along(line, times, pan, rest)
        if place is None:
            break
        along = place(times)
        seen = np.abs(along) < 0.92
        near = (np.abs(pan - along[:, None]) < 0.1) & seen[:, None]
        held = (rest * near).sum(axis=1)
        followed = times[held > 0.2 * SUPPORT]
        if len(followed) and held.sum() > SUPPORT * weight[seen].sum():
            found.append(_Path(place, followed[0], followed[-1]).times())
        rest = np.where(near, 0, rest)
    return _whole(found)


def _pans(sound: Floats, sample_rate: int) -> tuple[Floats, Floats]:
    """Pan and weight [T, bins] of a sound [2, N]: partials of two sources at once lie in bins of their own."""
    length, hop = round(WINDOW * sample_rate), STRIDE * sample_rate
    count = int(sound.shape[1] / hop) + 1
    starts = np.rint(np.arange(count) * hop).astype(int)
    padded = np.pad(sound, ((0, 0), (length // 2, length)))
    hertz = np.fft.rfftfreq(length, 1 / sample_rate)
    heard = (hertz > HEARD[0]) & (hertz < HEARD[1])
    window = np.hanning(length)
    left, right = (np.abs(np.fft.rfft(ear[starts[:, None] + np.arange(length)] * window)[:, heard]) for ear in padded)
    weight = np.hypot(left, right)
    loud = weight.sum(axis=1, keepdims=True)
    pan = 4 / np.pi * np.arctan2(right, left + 1e-12) - 1
    return pan, weight / np.maximum(loud, max(LOUD * float(loud.max()), 1e-12))


def picture_courses(images: Images, fps: float) -> Floats:
    """Courses [K, 19] of luminance images [T, h, w]; K ≤ 2."""
    if not 0.5 <= len(images) / fps <= LONGEST:
        return np.zeros((0, len(COLUMNS)))
    apart = np.maximum(np.abs(images - np.median(images, axis=0)) - 0.03, 0).sum(axis=1).astype(np.float64)
    at = (PLACES + 1) / 2 * apart.shape[1] - 0.5
    columns = np.stack([np.interp(at, np.arange(apart.shape[1]), row) for row in apart])
    full = float(np.quantile(columns.max(axis=1), 0.9))
    if full <= 1e-6:
        return np.zeros((0, len(COLUMNS)))
    mask, times, found = np.clip(columns / (0.35 * full), 0, 1), np.arange(len(images)) / fps, []
    for _ in range(MOST):
        line, half = _sharpest(mask, fps)
        followed = _middles(mask, times, line, half)
        if followed is None:
            break
        place, half, points, fits = followed
        if fits:
            found.append(_Path(place, points[0], points[-1]).times())
        mask = np.where(np.abs(PLACES - place(times)[:, None]) < half + 0.04, 0, mask)
    return _whole(found)


def _whole(found: list[Floats]) -> Floats:
    kept = [times for times in found if np.isfinite(times).any()]
    return np.array(kept).reshape(-1, len(COLUMNS))


def _along(places: Floats, rate: float, speed: float) -> tuple[Floats, Floats, Floats]:
    """Of the lines of one speed: when each is in the middle, the sum along it, and the seconds that it is in view."""
    middles, cells, seen = _lines(len(places), rate, speed)
    total = np.append(places.ravel(), 0.0)[cells].sum(axis=1) / rate
    return middles, total, seen


@lru_cache(maxsize=2 * len(SPEEDS))
def _lines(count: int, rate: float, speed: float) -> tuple[Floats, NDArray[np.int32], Floats]:
    """Of the lines of one speed: when each is in the middle, the cells [lines, count] of places [count, BINS] that it
    crosses (count · BINS where it is out of view), and the seconds that it is in view. Clips of one length share it.
    """
    middles = np.arange(-0.5, count / rate + 0.5, STEP)
    at = speed * (np.arange(count) / rate - middles[:, None])
    inside = np.abs(at) < 1
    cell = np.clip(((at + 1) / 2 * BINS).astype(int), 0, BINS - 1)
    cells = np.where(inside, np.arange(count) * BINS + cell, count * BINS).astype(np.int32)
    return middles, cells, inside.sum(axis=1) / rate


def _strongest(places: Floats, rate: float) -> Polynomial:
    """The straight line along which most lies, for the time that it is in view."""
    best, line = -1.0, Polynomial([0.0, 1.0])
    for speed in SPEEDS:
        middles, total, seen = _along(places, rate, speed)
        score = np.where(seen > 0.5, total / (seen + 0.5), 0)
        if score.max() > best:
            best, line = float(score.max()), _line(speed, middles[score.argmax()])
    return line


def _sharpest(mask: Floats, rate: float) -> tuple[Polynomial, float]:
    """The straight line and half the width of what keeps its outline best when the picture is moved along with it."""
    best, line, half = -1.0, Polynomial([0.0, 1.0]), 0.1
    for speed in SPEEDS:
        middles, total, seen = _along(mask, rate, speed)
        outline = np.where(seen > 0.4, total / (seen + 0.3), 0)
        sharp = float((outline**2).sum() / (outline.sum() + 1e-9))
        if sharp > best:
            inside = outline > 0.5 * outline.max()
            top = int(outline.argmax())
            low, high = top - _run(inside[: top + 1][::-1]) + 1, top + _run(inside[top:]) - 1
            best, line = sharp, _line(speed, (middles[low] + middles[high]) / 2)
            half = abs(speed) * (middles[high] - middles[low] + STEP) / 2
    return line, half


def _line(speed: float, middle: float) -> Polynomial:
    return Polynomial([-speed * middle, speed])


def _run(inside: np.ndarray) -> int:
    """How many of the first values are true."""
    return len(inside) if inside.all() else int(inside.argmin())


def _pan_along(line: Polynomial, times: Floats, pan: Floats, weight: Floats) -> Polynomial | None:
    """A parabola through the pans [T, bands] near a line, nearer from time to time."""
    place = line
    for band in (0.3, 0.2, 0.12):
        along = place(times)
        near = (np.abs(pan - along[:, None]) < band) & (np.abs(along) < 0.92)[:, None] & (weight > 0)
        if near.any(axis=1).sum() < 12:
            return None
        clock = np.broadcast_to(times[:, None], pan.shape)[near]
        place = Polynomial.fit(clock, pan[near], 2, w=np.sqrt(weight[near]))
    return place


def _middles(
    mask: Floats, times: Floats, line: Polynomial, half: float
) -> tuple[Polynomial, float, Floats, bool] | None:
    """A parabola through the middles of what moves along a line: with half its width, the times of its points, and
    whether they keep to it."""
    place = line
    for _ in range(3):
        along = place(times)
        edges = [
            _edges(row, at, half) if abs(at) <= 1 + half else (np.nan, np.nan)
            for row, at in zip(mask, along, strict=True)
        ]
        left, right = np.array(edges).T
        whole = np.isfinite(left + right)
        if whole.sum() >= 3:
            half = float(np.median((right - left)[whole]) / 2)
        middle = np.where(whole, (left + right) / 2, np.where(np.isfinite(left), left + half, right - half))
        some = np.isfinite(middle)
        if some.sum() < 8:
            return None
        trust = np.where(whole, 1.0, 0.3)[some]
        place, away, weight = _robust(times[some], middle[some], trust)
    deviation = float(np.sqrt(np.average(away**2, weights=weight)))
    fits = deviation < DEVIATION and float((np.abs(away) > 0.08).mean()) < OUTLIERS
    return place, half, times[some], fits


def _robust(times: Floats, places: Floats, trust: Floats) -> tuple[Polynomial, Floats, Floats]:
    """A parabola by reweighted least squares, what lies off it, and the last weights."""
    weight = trust
    for _ in range(3):
        place = Polynomial.fit(times, places, 2, w=weight)
        away = places - place(times)
        weight = trust / (1 + (away / 0.03) ** 2)
    return place, away, weight


def _edges(row: Floats, at: float, half: float) -> tuple[float, float]:
    """Left and right edge of what a mask [BINS] shows about a place, NaN where it does not end in the picture or ends
    elsewhere than it should."""
    shown = np.flatnonzero((np.abs(PLACES - at) < half + 0.2) & (row > 0.5))
    if not len(shown):
        return np.nan, np.nan
    first, last = int(shown[0]), int(shown[-1])
    left, right = _crossing(row, first, -1), _crossing(row, last, 1)
    left = left if abs(left - (at - half)) <= 0.2 else np.nan
    right = right if abs(right - (at + half)) <= 0.2 else np.nan
    return left, right


def _crossing(row: Floats, inside: int, way: int) -> float:
    """Where between a cell above one half and its neighbour the mask falls below it."""
    outside = inside + way
    if not 0 <= outside < BINS or row[outside] > 0.5:
        return np.nan
    share = (row[inside] - 0.5) / (row[inside] - row[outside])
    return float(PLACES[inside] + share * (PLACES[outside] - PLACES[inside]))
