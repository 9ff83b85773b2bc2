"""The mark in the picture: brightness of cells of space and time, raised and lowered by one or two of 255 levels.

Cells are a 24th of the shorter side, about five pixels of 128, and last half a second; a picture of twice the size has
twice as many, so that they stay as small as what H.264 at CRF 28 still keeps. A tile of cells is repeated over a wide
picture and through a long film. Who looks compares each half second with the ones before and after, in which a still
background is the same and falls away. Spread spectrum after Cox et al. (1997), shaped by what hides it: more in texture
and in the light, less in flat and dark places (Watson 1993, contrast masking).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scipy.ndimage import uniform_filter

from phonofilm.provenance.watermark.signs import Found, best_sum, signs, threshold

CELLS, SIDE = 24, 128
"""Cells along the shorter side of a picture from this many pixels on; twice as many from twice as many on."""
SLOTS, SLOT = 12, 1 / 3
"""Slots of time in a table, and seconds of each."""
BLEND = 0.25
"""Part of a slot in which its signs become those of the next one."""
RMS = 1.85
"""Levels of 255 by which a clip is changed: a PSNR of 43.3 dB."""
SCALES = (1.0, 1.05, 1.1, 1.16, 1.22)
"""How much larger than now, against the sides of the picture, cells may be by a crop: along each axis by itself."""
MIRRORS = 2
"""Ways round that are tried: as it is, and with left and right exchanged."""
TIME_PHASES, PHASES = 4, 2
"""Beginnings of a slot, and of a cell along each axis, that are tried."""
WINDOW, EVERY = 2 * SLOTS, SLOTS
"""Slots of a stretch of a long film that is looked at by itself, and from one to the next."""
SMALLEST, SHORTEST = 48, 1.5
"""Pixels of the shorter side and seconds below which a mark is not looked for."""
SLOWEST = 6
"""Frames a second, as many as make two for a slot."""
WIDTH, SURROUND = 0.45, 1.1
"""Standard deviations, in cells, of the blob of a cell and of its surroundings, with which it is compared."""
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
BUSY = 0.05
STEADY = 1.5
"""Levels of 255: a difference between slots that is as good as none."""


def cells_of(size: tuple[int, int]) -> int:
    """Cells along the shorter side of a picture of a size (width, height)."""
    return int(CELLS * 2.0 ** int(np.clip(np.floor(np.log2(min(size) / SIDE)), -1, 3)))


def table(key: bytes, cells: int) -> np.ndarray:
    """float32 [SLOTS, cells, cells] of signs, a tile of square cells."""
    return signs(key, f"picture {cells}", (SLOTS, cells, cells))


def mark_frames(frames: np.ndarray, fps: Fraction, keys: Sequence[bytes], start: int = 0) -> np.ndarray:
    """Frames with the mark, uint8 [T, H, W, 3].

    Args:
        keys: share the strength among them.
        start: which frame of the whole film is the first here.
    """
    count, height, width, _ = frames.shape
    if not count or not keys:
        return frames
    cells = cells_of((width, height))
    fields = _fields(np.sum([table(key, cells) for key in keys], axis=0), (width, height), cells)
    weights = _blends((start + np.arange(count)) / float(fps) / SLOT)
    marked, strength = np.empty_like(frames), 0.0
    for number, frame in enumerate(frames):
        field = (
            weights[number, 0] * fields[int(weights[number, 1])] + weights[number, 2] * fields[int(weights[number, 3])]
        )
        if number % 12 == 0:
            hidden = _hides(frame @ LUMA)
            strength = RMS / max(1e-6, float(np.sqrt((hidden**2 * (fields**2).mean(0)).mean())))
        added = np.rint(strength * hidden * field).astype(np.int16)
        np.clip(frame + added[..., None], 0, 255, out=marked[number], casting="unsafe")
    return marked


def _fields(total: np.ndarray, size: tuple[int, int], cells: int) -> np.ndarray:
    """float32 [SLOTS, H, W]: the tile of signs as smooth blobs over a picture."""
    width, height = size
    pixels = min(size) / cells
    rows, columns = (_blobs(side, cells, pixels, 0.0, WIDTH) for side in (height, width))
    return np.asarray(rows.T @ total @ columns, np.float32)


def _blobs(side: int, cells: int, pixels: float, phase: float, width: float) -> np.ndarray:
    """float32 [cells, side]: how much each pixel of an axis belongs to each cell of a tile, repeated."""
    distance = (np.arange(side) + 0.5) / pixels - (np.arange(cells)[:, None] + 0.5 + phase)
    distance = (distance + cells / 2) % cells - cells / 2
    return np.exp(-0.5 * (distance / width) ** 2).astype(np.float32)


def _blends(slots: np.ndarray) -> np.ndarray:
    """float [T, 4]: weight and number of the slot of each frame, and of the next one."""
    place, number = np.modf(slots)
    ramp = np.clip((place - (1 - BLEND)) / BLEND, 0, 1)
    later = (1 - np.cos(np.pi * ramp)) / 2
    return np.stack([1 - later, number % SLOTS, later, (number + 1) % SLOTS], axis=1)


def _hides(luma: np.ndarray) -> np.ndarray:
    """float32 [H, W]: how much of a change each place of a picture hides, from 0 to 255 of brightness."""
    near = max(5, min(luma.shape) // CELLS)
    mean = uniform_filter(luma, near)
    busy = np.sqrt(np.maximum(uniform_filter(luma * luma, near) - mean * mean, 0))
    return uniform_filter((1 + BUSY * np.minimum(busy, 15)) * (0.75 + mean / 400), near)


def find_in_picture(frames: np.ndarray, fps: Fraction, key: bytes) -> Found:
    """Look for the mark of a key in frames, uint8 [T, H, W, 3], of which a part may be marked.

    Below `SIDE` pixels a mark has a quarter of the cells or fewer: found it is one, not found it may yet be there.
    """
    count, height, width, _ = frames.shape
    if min(height, width) < SMALLEST:
        return Found(reason=f"the picture is smaller than {SMALLEST} pixels")
    if fps < SLOWEST:
        return Found(reason=f"there are fewer than {SLOWEST} pictures a second")
    if count / float(fps) < SHORTEST:
        return Found(reason=f"the picture is shorter than {SHORTEST:g} s")
    luma = np.stack([frame @ LUMA for frame in frames])
    differences = [_differences(luma, fps, phase / TIME_PHASES) for phase in range(TIME_PHASES)]
    sizes, stretches = _sizes((width, height)), _stretches(min(map(len, differences)))
    each = MIRRORS * TIME_PHASES * len(SCALES) ** 2 * PHASES**2 * SLOTS * len(stretches)
    limit, best = threshold(sum(each * cells * cells for cells in sizes)), 0.0
    for cells in sizes:
        tables = (table(key, cells), table(key, cells)[..., ::-1])
        for begin, end in stretches:
            for part in differences:
                seen = aligned(part[begin:end], cells)
                best = max(best, *(best_sum(seen, each_table, (0, 1, 2)) for each_table in tables))
            if best > limit:
                return Found(best, limit)
    if not best:
        return Found(reason="the picture does not change")
    small = f"at {width}x{height} pixels, less than {SIDE}, it may be too weak to be found, and none was"
    return Found(best, limit, doubt=small if min(height, width) < SIDE else "")


def _sizes(size: tuple[int, int]) -> list[int]:
    """Numbers of cells that a picture may have: that of its size, of twice its size, and of half of it."""
    usual = cells_of(size)
    return list(dict.fromkeys([usual, 2 * usual, max(CELLS // 2, usual // 2)]))


def _differences(luma: np.ndarray, fps: Fraction, offset: float) -> np.ndarray:
    """float32 [slots, H, W]: how each slot differs from the ones before and after it, evened out over the picture."""
    numbers = np.floor(np.arange(len(luma)) / float(fps) / SLOT - offset).astype(int)
    numbers -= numbers[0]
    slots = np.stack([luma[numbers == number].mean(0) for number in range(numbers[-1] + 1)])
    if len(slots) < 2:
        return np.zeros_like(slots)
    around = np.stack([slots[[max(0, at - 1), min(len(slots) - 1, at + 1)]].mean(0) for at in range(len(slots))])
    different = slots - around
    power = uniform_filter(different * different, (1, 9, 9))
    return (different / (power + STEADY**2)).astype(np.float32)


def _stretches(slots: int) -> list[tuple[int, int]]:
    whole = [(0, slots)]
    return whole if slots <= WINDOW else whole + [(at, at + WINDOW) for at in range(0, slots - EVERY, EVERY)]


def aligned(different: np.ndarray, cells: int) -> np.ndarray:
    """float32 [alignments, SLOTS, cells, cells] for each scale and beginning of the cells."""
    folded = np.pad(different, ((0, -len(different) % SLOTS), (0, 0), (0, 0)))
    folded = folded.reshape(-1, SLOTS, *different.shape[1:]).sum(0)
    _, height, width = folded.shape
    pixels, found = min(height, width) / cells, []
    rows = [_filters(height, cells, pixels * scale) for scale in SCALES]
    columns = [_filters(width, cells, pixels * scale) for scale in SCALES]
    for across in columns:
        half = folded @ across.T
        for down in rows:
            both = down @ half
            found += [both[:, y::PHASES, x::PHASES] for y in range(PHASES) for x in range(PHASES)]
    return np.stack(found)


def _filters(side: int, cells: int, pixels: float) -> np.ndarray:
    """float32 [cells * PHASES, side]: a cell against its surroundings, for each beginning."""
    rows = np.empty((cells * PHASES, side), np.float32)
    for phase in range(PHASES):
        blob, wide = (_blobs(side, cells, pixels, phase / PHASES, width) for width in (WIDTH, SURROUND))
        rows[phase::PHASES] = blob / blob.sum(1, keepdims=True) - wide / wide.sum(1, keepdims=True)
    return rows
