"""When something happens in a picture: changes of motion and of light, with the camera's own motion taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, uniform_filter

from phonofilm.evaluation.checks import Floats, finite
from phonofilm.evaluation.signals import Signal

Images = NDArray[np.float32]

SIDE = 64
"""Pixels of the short side that motion is measured at."""

CELLS = 4
"""Soft cells along each side; what happens in different cells cannot cancel out."""

CHUNK = 64
"""Frames worked on at once: bounded memory for long films."""


@dataclass(frozen=True, eq=False)
class Motion:
    """What the offset is measured against: signals on the clip's clock, none of them needs the others.

    Attributes:
        change: change of motion; an impact lies between the two frames that share it, in proportion.
        light: change of brightness between frames, half a frame before the later one.
    """

    change: Signal
    light: Signal


def motion_of_frames(frames: ArrayLike, fps: float, side: int = SIDE) -> Motion:
    """Changes of motion and light of frames [T, H, W, 3] or [T, H, W], 0 … 255, T ≥ 4.

    Flow is Lucas–Kanade over a pyramid, in numpy; with a better one at hand use `motion_of_flow`.
    """
    images = luminance(frames, side)
    if len(images) < 4:
        raise ValueError(f"motion needs at least 4 frames and the clip has {len(images)}")
    flows = []
    for first in range(0, len(images) - 1, CHUNK):
        part = images[first : first + CHUNK + 1]
        flows.append(_steady_flow(part[:-1], part[1:]))
    return Motion(_change(np.concatenate(flows), fps), _light(images, fps))


def _steady_flow(first: Images, second: Images) -> Images:
    """Flow less the camera's, which is found at half the size, undone, and what is left of it found again."""
    small = _half(first)
    rough = lucas_kanade(small, _half(second), levels=2)
    camera = 2 * camera_shift(rough, _texture(small))[:, None, None]
    flow = lucas_kanade(first, _warped(second, np.broadcast_to(camera, (*first.shape, 2))))
    return flow - camera_shift(flow, _texture(first))[:, None, None]


def motion_of_flow(flow: ArrayLike, images: ArrayLike, fps: float) -> Motion:
    """The same from dense flow [T − 1, H, W, 2] (x, y in pixels from each frame to the next) and frames [T, H, W]."""
    field, grey = finite(flow, "flow"), np.asarray(images, dtype=np.float32)
    if field.ndim != 4 or field.shape[-1] != 2 or grey.shape != (len(field) + 1, *field.shape[1:3]) or len(field) < 3:
        raise ValueError(f"flow [T − 1, H, W, 2] and frames [T, H, W], T ≥ 4, do not fit: {field.shape}, {grey.shape}")
    camera = camera_shift(field.astype(np.float32), _texture(grey[:-1]))
    return Motion(_change(field.astype(np.float32) - camera[:, None, None], fps), _light(grey, fps))


def luminance(frames: ArrayLike, side: int = SIDE) -> Images:
    """Frames as float32 [T, h, w] of luminance 0 … 1, averaged over whole pixels down to about `side`."""
    pictures = np.asarray(frames)
    if pictures.ndim not in (3, 4) or (pictures.ndim == 4 and pictures.shape[-1] != 3) or not pictures.size:
        raise ValueError(f"frames must be [T, H, W, 3] or [T, H, W], not of shape {pictures.shape}")
    height, width = pictures.shape[1:3]
    if min(height, width) < 16:
        raise ValueError(f"frames of {width}x{height} are too small to see motion in: 16 pixels at least")
    step = max(1, round(min(height, width) / side))
    top, left = height % step // 2, width % step // 2
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32) / 255
    small = []
    for picture in pictures:  # one at a time: a film as float32 would not fit in memory
        grey = picture.astype(np.float32) @ weights if picture.ndim == 3 else picture.astype(np.float32) / 255
        grey = grey[top : top + height // step * step, left : left + width // step * step]
        small.append(grey.reshape(height // step, step, width // step, step).mean(axis=(1, 3)))
    return np.stack(small)


def lucas_kanade(first: Images, second: Images, levels: int = 3, window: int = 7) -> Images:
    """Dense flow [T, h, w, 2] (x, y) in pixels between pairs of images [T, h, w] (Lucas and Kanade 1981)."""
    pyramid = [(first, second)]
    while len(pyramid) < levels and min(pyramid[-1][0].shape[1:]) >= 16:
        pyramid.append(tuple(_half(image) for image in pyramid[-1]))  # type: ignore[arg-type]
    flow = np.zeros((*pyramid[-1][0].shape, 2), dtype=np.float32)
    for a, b in reversed(pyramid):
        if flow.shape[1:3] != a.shape[1:]:
            flow = 2 * _grown(flow, a.shape[1], a.shape[2])
        for _ in range(1 if a is first else 2):  # the finest level costs most and has least left to find
            flow = flow + _step(a, _warped(b, flow), window)
    return flow


def _half(images: Images) -> Images:
    soft = gaussian_filter(images, (0, 1, 1), mode="nearest")
    return soft[:, ::2, ::2]


def _grown(flow: Images, height: int, width: int) -> Images:
    rows = np.clip(np.arange(height) / 2, 0, flow.shape[1] - 1)
    columns = np.clip(np.arange(width) / 2, 0, flow.shape[2] - 1)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = np.minimum(top + 1, flow.shape[1] - 1), np.minimum(left + 1, flow.shape[2] - 1)
    share_y = (rows - top).astype(np.float32)[None, :, None, None]
    share_x = (columns - left).astype(np.float32)[None, None, :, None]
    tall = flow[:, top] * (1 - share_y) + flow[:, down] * share_y
    wide: Images = tall[:, :, left] * (1 - share_x) + tall[:, :, right] * share_x
    return wide


def _warped(images: Images, flow: Images) -> Images:
    count, height, width = images.shape
    t, y, x = np.meshgrid(np.arange(count), np.arange(height), np.arange(width), indexing="ij", sparse=True)
    where = np.broadcast_arrays(t.astype(np.float32), y + flow[..., 1], x + flow[..., 0])
    return map_coordinates(images, where, order=1, mode="nearest")


def _step(a: Images, b: Images, window: int) -> Images:
    """One Gauss–Newton step of least squares in a square window, held back where there is no texture."""
    middle = (a + b) / 2
    dy, dx = np.gradient(middle, axis=(1, 2))
    dt = b - a
    xx, yy, xy, xt, yt = (
        uniform_filter(part, (1, window, window), mode="nearest")
        for part in (dx * dx, dy * dy, dx * dy, dx * dt, dy * dt)
    )
    hold = np.float32(1e-4)  # (1 % of full contrast per pixel)²: below it gradients are noise
    xx, yy = xx + hold, yy + hold
    scale = 1 / (xx * yy - xy * xy)
    step = np.stack([(xy * yt - yy * xt) * scale, (xy * xt - xx * yt) * scale], axis=-1)
    return np.clip(step, -2, 2)


def _texture(images: Images) -> Images:
    dy, dx = np.gradient(images, axis=(1, 2))
    return np.asarray(dx * dx + dy * dy, dtype=np.float32)


def camera_shift(flow: Images, texture: Images, rounds: int = 8) -> Images:
    """The translation [T, 2] that most of the textured picture shares: the robust mode of flow [T, h, w, 2].

    Where what agrees with it lies in one place only, it is a lone object on a bare ground, not a camera: then 0.
    """
    count, height, width = texture.shape
    weight = texture / (texture + 1e-3)
    planes = flow.reshape(count, -1, 2)
    weight = weight.reshape(count, -1)
    shift = np.stack([_weighted_median(planes[..., axis], weight) for axis in (0, 1)], axis=-1)
    for _ in range(rounds):
        away = ((planes - shift[:, None]) ** 2).sum(axis=-1)
        agree = weight / (1 + away / 0.15**2) ** 2
        shift = (planes * agree[..., None]).sum(axis=1) / (agree.sum(axis=1)[:, None] + 1e-12)
    cells = _windows(height, width).reshape(-1, height * width).astype(np.float32)
    held = agree @ cells.T
    spread = held.sum(axis=1) ** 2 / ((held**2).sum(axis=1) + 1e-12)  # how many cells share in it
    trust = np.clip((spread - 2) / 3, 0, 1)
    return (shift * trust[:, None]).astype(np.float32)


def _weighted_median(values: Images, weight: Images) -> Images:
    order = values.argsort(axis=1)
    run = np.take_along_axis(weight, order, 1).cumsum(axis=1)
    middle = (run >= run[:, -1:] / 2).argmax(axis=1)
    return np.take_along_axis(values, np.take_along_axis(order, middle[:, None], 1), 1)[:, 0]


def _windows(height: int, width: int) -> Floats:
    """Raised cosines [CELLS², h, w] that add to 1 everywhere, so that an object glides from cell to cell."""

    def along(length: int) -> Floats:
        place = (np.arange(length) + 0.5) / length * (CELLS - 1)
        away = np.abs(place[None] - np.arange(CELLS)[:, None])
        return np.where(away < 1, 0.5 + 0.5 * np.cos(np.pi * np.minimum(away, 1)), 0)

    windows = along(height)[:, None, :, None] * along(width)[None, :, None, :]
    return windows.reshape(CELLS * CELLS, height, width)


def _inner(height: int, width: int, border: int = 3) -> Images:
    """0 along the border, where a shaking camera shows what was not there before, 1 inside."""
    mask = np.zeros((height, width), dtype=np.float32)
    mask[border:-border, border:-border] = 1
    return mask


def _change(flow: Images, fps: float) -> Signal:
    """|Δ momentum| summed over cells: flow into a frame against flow out of it, at that frame's own time."""
    windows = _windows(*flow.shape[1:3]) * _inner(*flow.shape[1:3])
    momentum = np.einsum("thwa,chw->tca", flow, windows, optimize=True) / windows[0].size
    return Signal(np.linalg.norm(np.diff(momentum, axis=0), axis=-1).sum(axis=-1), fps, 1 / fps)


def _light(images: Images, fps: float) -> Signal:
    """|Δ brightness| summed over cells; what grows darker counts half, for light comes with the sound."""
    windows = _windows(*images.shape[1:]) * _inner(*images.shape[1:])
    level = np.einsum("thw,chw->tc", images, windows, optimize=True) / windows[0].size
    step = np.diff(level, axis=0)
    return Signal(np.where(step > 0, step, -0.5 * step).sum(axis=-1), fps, 0.5 / fps)
