"""What the camera does: how it shakes from frame to frame, and where one shot gives way to the next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from phonofilm.signals.validation import Floats

Images = NDArray[np.float32]

CELLS = 4
"""Soft cells along each side; what happens in different cells cannot cancel out."""

FLOOR = 0.01
"""Difference of luminance (0 … 1) that noise alone may make."""

NEAR = 5
"""Frames on either side that a cut is compared with."""


def camera_shift(first: Images, second: Images, levels: int = 3) -> Images:
    """The translation [T, 2] (x, y in pixels) that most of the textured picture shares between images [T, h, w].

    Robust least squares (Geman and McClure's weights) from coarse to fine. An axis along which all that agrees lies
    in one place is told by a lone object on a bare ground, not by a camera: there the shift is held at 0.
    """
    pyramid = [(first, second)]
    while len(pyramid) < levels and min(pyramid[-1][0].shape[1:]) >= 16:
        pyramid.append((half(pyramid[-1][0]), half(pyramid[-1][1])))
    shift = np.zeros((len(first), 2), dtype=np.float32)
    for a, b in reversed(pyramid):
        shift = shift if a.shape == pyramid[-1][0].shape else 2 * shift
        for _ in range(2 if a is first else 4):  # the finest level costs most and has least left to find
            step, agree = _shared_step(a, translated(b, shift))
            shift = shift + step
    return shift * _trust(agree)


def _shared_step(a: Images, b: Images) -> tuple[Images, tuple[Images, Images]]:
    """One Gauss–Newton step of a translation [T, 2], and how strongly each pixel holds to it along x and y."""
    dy, dx = np.gradient((a + b) / 2, axis=(1, 2))
    dt = b - a
    dt = dt - np.median(dt, axis=(1, 2), keepdims=True)  # a lamp is no motion
    texture = dx * dx + dy * dy
    typical = np.sqrt((dt * dt * texture).sum(axis=(1, 2)) / (texture.sum(axis=(1, 2)) + 1e-9))
    weight = 1 / (1 + (dt / np.maximum(typical, FLOOR)[:, None, None]) ** 2) ** 2
    weight *= inner(a.shape[1], a.shape[2], border=2)
    held = 1e-6 * a.shape[1] * a.shape[2]
    xx, yy, xy, xt, yt = ((weight * part).sum(axis=(1, 2)) for part in (dx * dx, dy * dy, dx * dy, dx * dt, dy * dt))
    xx, yy = xx + held, yy + held
    scale = 1 / (xx * yy - xy * xy)
    step = np.stack([(xy * yt - yy * xt) * scale, (xy * xt - xx * yt) * scale], axis=-1)
    return np.clip(step, -1.5, 1.5).astype(np.float32), (weight * dx * dx, weight * dy * dy)


def _trust(agree: tuple[Images, Images]) -> Images:
    """0 … 1 for each axis [T, 2]: whether more than two of the cells hold what agrees."""
    cells = windows(*agree[0].shape[1:]).reshape(CELLS * CELLS, -1).astype(np.float32)
    trusted = []
    for part in agree:
        # a cell's say is bounded, so that one sharp edge does not outvote a soft background
        held = np.minimum(part, 4e-3).reshape(len(part), -1) @ cells.T
        total = held.sum(axis=1)
        spread = total**2 / ((held**2).sum(axis=1) + 1e-12)
        trusted.append(np.clip((spread - 2) / 2, 0, 1) * (total > 1e-3))
    return np.stack(trusted, axis=-1).astype(np.float32)


def translated(images: Images, shift: Images) -> Images:
    """Images [T, h, w] moved back by a shift [T, 2] (x, y): each pixel shows what lies that far from it."""
    sides = images.shape[2], images.shape[1]
    whole = np.floor(shift).astype(int)
    part = (shift - whole).astype(np.float32)
    low = [np.clip(np.arange(side) + whole[:, axis, None], 0, side - 1) for axis, side in enumerate(sides)]
    high = [np.clip(np.arange(side) + whole[:, axis, None] + 1, 0, side - 1) for axis, side in enumerate(sides)]
    share_x, share_y = part[:, 0, None, None], part[:, 1, None, None]
    rows = np.take_along_axis(images, low[1][:, :, None], 1) * (1 - share_y)
    rows += np.take_along_axis(images, high[1][:, :, None], 1) * share_y
    moved: Images = np.take_along_axis(rows, low[0][:, None, :], 2) * (1 - share_x)
    moved += np.take_along_axis(rows, high[0][:, None, :], 2) * share_x
    return moved


def shot_cuts(images: Images, steady: Images | None = None) -> NDArray[np.int64]:
    """Index of each frame of [T, h, w] that begins another shot.

    All over the picture it differs from the frame before, far more than frames near it differ from their own
    neighbours, and the picture does not come back; a flash does, and what an impact changes is in one place.

    Args:
        steady: `coarse` differences [T − 1, blocks] of frames whose shake is taken out, which would hide a cut
            between like scenes; those of the images as they are if None.
    """
    small = coarse(images)
    steps = np.abs(np.diff(small, axis=0) if steady is None else steady)
    level = steps.mean(axis=1)
    wide = (steps > FLOOR).mean(axis=1)
    found = []
    for k in np.flatnonzero((level > 0.8 * FLOOR) & (wide > 0.4)).tolist():
        beside = np.concatenate([level[max(0, k - NEAR) : k], level[k + 1 : k + 1 + NEAR]])
        later = small[min(len(small) - 1, k + 1 + NEAR)]
        stays = np.abs(later - small[k]).mean() > 0.6 * level[k]
        if len(beside) and stays and level[k] > 4 * (np.median(beside) + 0.3 * FLOOR):
            found.append(k + 1)
    return np.array(found, dtype=np.int64)


def coarse(images: Images) -> Images:
    """Means [T, blocks] of blocks of images [T, h, w], an eighth of the short side wide."""
    block = max(1, min(images.shape[1:]) // 8)
    small = uniform_filter(images, (0, block, block))[:, block // 2 :: block, block // 2 :: block]
    return small.reshape(len(images), -1)


def half(images: Images) -> Images:
    """Every other pixel of softened images."""
    soft = gaussian_filter(images, (0, 1, 1), mode="nearest")
    return soft[:, ::2, ::2]


def windows(height: int, width: int) -> Floats:
    """Raised cosines [CELLS², h, w] that add to 1 everywhere, so that an object glides from cell to cell."""

    def along(length: int) -> Floats:
        place = (np.arange(length) + 0.5) / length * (CELLS - 1)
        away = np.abs(place[None] - np.arange(CELLS)[:, None])
        return np.where(away < 1, 0.5 + 0.5 * np.cos(np.pi * np.minimum(away, 1)), 0)

    cells = along(height)[:, None, :, None] * along(width)[None, :, None, :]
    return cells.reshape(CELLS * CELLS, height, width)


def inner(height: int, width: int, border: int = 3) -> Images:
    """0 along the border, where a shaking camera shows what was not there before, 1 inside."""
    mask = np.zeros((height, width), dtype=np.float32)
    mask[border:-border, border:-border] = 1
    return mask
