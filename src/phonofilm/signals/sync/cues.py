"""What happens when in a sound and in a picture: the cues that `alignment` holds against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from einops import rearrange
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d

from phonofilm.signals.camera_motion import CELLS, Images
from phonofilm.signals.onsets import band_energy, channels, rising
from phonofilm.signals.sync.courses import COLUMNS as CROSSED
from phonofilm.signals.sync.courses import picture_courses, sound_courses
from phonofilm.signals.validation import Floats

COLUMNS, FINE, GRID = CELLS, 8, 16
"""Columns of the picture that changes of motion are summed over, finer ones for small things, and cells along a side of
the picture for the smallest."""

BANG = np.geomspace(50, 8000, 9)
"""Edges in Hz of the bands by which a bang is told dull or bright."""

LOW = 10
"""Row of the smallest cells from which on what falls is seen to land."""

AFTER_CUT = 0.25
"""Seconds around a cut in which brightness by cell means nothing."""

EXACT = ("courses",)
"""Cues that are times, which half precision is too coarse for."""


@dataclass(frozen=True, eq=False)
class SoundCues:
    """Attributes, all float64, at the rate and from the time of `onset_strength` on:

    strength: [N], onset strength. pan: [N], −1 … 1, where what sets in comes from; 0 throughout for one channel.
    stereo: 0 for one channel, or for two that are the same. level: [N, 4], log energy of four groups of bands.
    bang: [8], log share of the bands `BANG` in what the greatest rise of energy adds.
    courses: [K, 19], see `sound_courses`.
    """

    strength: Floats
    pan: Floats
    stereo: Floats
    level: Floats
    bang: Floats
    courses: Floats


@dataclass(frozen=True, eq=False)
class PictureCues:
    """Attributes, all float64 with time first:

    rate: frames a second.
    across, upright: [T − 2, 4], change of horizontal and vertical motion by column, from one frame on.
    flare: [T − 2, 4], how much faster than before it grows brighter (or, by half, darker), from 1.5 frames on.
    sparks: [T − 2, 8], the strongest sudden change of brightness of a small cell against that cell's habit, from 1.5
        frames on.
    texture: [T, 256], brightness of small cells. flash: greatest brightening that half of all cells share, 0 … 1;
        a cut to a brighter shot is none.
    landings: [T − 1, 16], how much grows brighter in the lower part of a column, from half a frame on.
    courses: [K, 19], see `picture_courses`.
    """

    rate: Floats
    across: Floats
    upright: Floats
    flare: Floats
    sparks: Floats
    texture: Floats
    flash: Floats
    landings: Floats
    courses: Floats


def arrays_of(cues: SoundCues | PictureCues) -> dict[str, np.ndarray]:
    """Cues as arrays to keep: in half precision where that is finer than they are measured."""
    kept = {field.name: np.asarray(getattr(cues, field.name)) for field in fields(cues)}
    halved = {name for name, value in kept.items() if value.ndim == 2 and name not in EXACT}
    return {f"cue.{name}": value.astype(np.float16) if name in halved else value for name, value in kept.items()}


def sound_cues_from(arrays: Mapping[str, np.ndarray]) -> SoundCues:
    """Cues of a sound that were kept by `arrays_of`."""
    return SoundCues(*(arrays[f"cue.{field.name}"].astype(np.float64) for field in fields(SoundCues)))


def picture_cues_from(arrays: Mapping[str, np.ndarray]) -> PictureCues:
    """Cues of a picture that were kept by `arrays_of`."""
    return PictureCues(*(arrays[f"cue.{field.name}"].astype(np.float64) for field in fields(PictureCues)))


def sound_cues(waveform: ArrayLike, sample_rate: int) -> SoundCues:
    """Cues of a waveform [N] or [C, N]; of more than two channels the first two tell the place."""
    sound = channels(waveform, sample_rate)
    energy = np.stack([band_energy(channel[None], sample_rate) for channel in sound[:2]], axis=-1)
    return _cues_of_energy(energy, _bang(sound.mean(axis=0), sample_rate), sound_courses(sound, sample_rate))


def _cues_of_energy(energy: Floats, bang: Floats, courses: Floats) -> SoundCues:
    """Cues of the band energy [N, bands, channels] of a sound."""
    total = energy.sum(axis=-1)
    groups = np.stack([part.sum(axis=1) for part in np.array_split(total, 4, axis=1)], axis=1)
    loudest = max(float(groups.max()), 1e-30)
    ears = energy.sum(axis=1)
    apart = ears.shape[1] > 1 and np.abs(ears[:, 0] - ears[:, 1]).sum() > 1e-3 * ears.sum()
    pan = np.zeros(len(ears))
    if apart:
        added = np.zeros_like(ears)
        added[2:-4] = np.maximum(ears[6:] - ears[:-6], 0)  # from 10 ms before to 20 ms after
        tiny = 1e-12 * max(float(ears.max()), 1e-30)
        pan = 4 / np.pi * np.arctan2(np.sqrt(added[:, 1] + tiny), np.sqrt(added[:, 0] + tiny)) - 1
    level = np.log10(groups + 1e-4 * loudest)
    return SoundCues(rising(total), pan, np.array(float(apart)), level, bang, courses)


def _bang(sound: Floats, sample_rate: int, length: float = 0.1) -> Floats:
    """Log share of each of the bands `BANG` in the tenth of a second that follows the greatest rise of energy."""
    count = round(length * sample_rate)
    if len(sound) < 3 * count:
        return np.zeros(len(BANG) - 1)
    total = np.concatenate([[0.0], np.cumsum(sound**2)])
    power = total[count:] - total[:-count]
    start = int((power[count:] - power[:-count]).argmax())
    before, after = (
        np.abs(np.fft.rfft(sound[first : first + count] * np.hanning(count))) ** 2 for first in (start, start + count)
    )
    hertz = np.fft.rfftfreq(count, 1 / sample_rate)
    added = np.maximum(after - before, 0)
    bands = np.array([added[(hertz >= a) & (hertz < b)].sum() for a, b in pairwise(BANG)])
    return np.log(np.maximum(bands / max(float(bands.sum()), 1e-30), 1e-6))


def picture_cues(momentum: Images, light: Floats, images: Images, cuts: NDArray[np.int64], fps: float) -> PictureCues:
    """Cues of luminance images [T, h, w], their motion [T − 1, cells, 2] and change of brightness [T − 1, cells]."""
    change = np.abs(np.diff(momentum.astype(np.float64), axis=0))
    growth = np.where(light > 0, light, -0.5 * light).astype(np.float64)
    cells = _cells(images)
    shared = np.diff(cells, axis=0).reshape(len(cells) - 1, -1)
    habit = _calm(cells.reshape(len(cells), -1), fps, 0.0, cuts)
    return PictureCues(
        rate=np.array(float(fps)),
        across=_uncut(_columns(change[..., 0]), 1.0, cuts),
        upright=_uncut(_columns(change[..., 1]), 1.0, cuts),
        flare=_uncut(np.maximum(np.diff(_columns(growth), axis=0), 0), 1.5, cuts),
        sparks=_uncut(_strongest(_sudden(images)), 1.5, cuts),
        texture=habit,
        flash=np.array(float(_uncut(np.median(shared, axis=1)[:, None], 1.0, cuts).max(initial=0.0))),
        landings=_uncut(_landings(images), 0.5, cuts),
        courses=np.zeros((0, len(CROSSED))) if len(cuts) else picture_courses(images, fps),
    )


def _columns(cells: Floats) -> Floats:
    """Soft cells [T, 16] summed to columns [T, 4]."""
    return rearrange(cells, "t (row column) -> t row column", row=COLUMNS).sum(axis=1)


def _cells(images: Images) -> Floats:
    """Mean [T, 16, 16] of each cell."""
    rows, columns = (np.linspace(0, side, GRID + 1).astype(int) for side in images.shape[1:])
    sums = np.add.reduceat(np.add.reduceat(images.astype(np.float64), rows[:-1], axis=1), columns[:-1], axis=2)
    return sums / np.outer(np.diff(rows), np.diff(columns))


def _sudden(images: Images) -> Floats:
    """How much more than before the pixels of a cell change [T − 2, 16, 16], in terms of what is usual there."""
    step = np.diff(images, axis=0)
    growth = _cells(np.maximum(step, 0) + np.float32(0.5) * np.maximum(-step, 0))
    rise = np.maximum(np.diff(growth, axis=0), 0)
    usual = np.median(rise, axis=0)
    spread = np.median(np.abs(rise - usual), axis=0)
    return np.log1p(np.maximum(rise - usual, 0) / (spread + 0.004))


def _landings(images: Images) -> Floats:
    """How much pixels of each column of the lower cells grow brighter [T − 1, 16], beyond what half of the picture
    does: a splash, and not a flash."""
    step = np.diff(images - np.median(images, axis=(1, 2), keepdims=True), axis=0)
    return _cells(np.maximum(step, 0))[:, LOW:].sum(axis=1)


def _strongest(cells: Floats) -> Floats:
    return rearrange(cells, "t y (x two) -> t x (y two)", x=FINE).max(axis=2)


def _calm(cells: Floats, fps: float, first: float, cuts: NDArray[np.int64]) -> Floats:
    """Cells less what is slow in them, and 0 around cuts."""
    out = cells - gaussian_filter1d(cells, AFTER_CUT * fps, axis=0)
    away = np.abs(first + np.arange(len(out))[:, None] - (cuts - 0.5))
    out[(away < AFTER_CUT * fps).any(axis=1)] = 0
    return out


def _uncut(values: Floats, first: float, cuts: NDArray[np.int64], within: float = 2.1) -> Floats:
    """Rows that begin `first` frames into the clip, with their median where one shot follows another."""
    away = np.abs(first + np.arange(len(values))[:, None] - (cuts - 0.5))
    values = values.copy()
    values[(away < within).any(axis=1)] = np.median(values, axis=0)
    return values
