"""When something happens in a picture: changes of motion and of light, with the camera's own motion taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import uniform_filter

from phonofilm.signals.camera_motion import Images, camera_shift, coarse, half, inner, shot_cuts, translated, windows
from phonofilm.signals.onsets import detect_onsets
from phonofilm.signals.time_series import Signal
from phonofilm.signals.validation import Floats, finite

SIDE = 64
"""Pixels of the short side that motion is measured at."""

CHUNK = 64
"""Frames worked on at once: bounded memory for long films."""

CUT = 1.6
"""Frames from a cut within which nothing counts: all of the picture changes there, and nothing happens."""


@dataclass(frozen=True, eq=False)
class Motion:
    """What the offset is measured against: signals on the clip's clock, none of them needs the others.

    A shaking camera spoils some of them and leaves others, so each is a signal of its own.

    Attributes:
        change: change of motion; an impact lies between the two frames that share it, in proportion.
        across, upright: the same of horizontal and of vertical motion alone.
        light: change of brightness by place between frames, half a frame before the later one.
        tones: change of the picture's tones wherever they lie, which a shaking camera leaves as they are.
    """

    change: Signal
    across: Signal
    upright: Signal
    light: Signal
    tones: Signal


def when_it_changes(motion: Motion) -> Floats:
    """Times in seconds at which motion changes most: the picture's counterpart of onsets."""
    return detect_onsets(motion.change, threshold=0.15, apart=0.1)


def motion_of_frames(frames: ArrayLike, fps: float, side: int = SIDE) -> Motion:
    """Changes of motion and light of frames [T, H, W, 3] or [T, H, W], 0 … 255, T ≥ 4.

    Flow is Lucas–Kanade over a pyramid, in numpy; with a better one at hand use `motion_of_flow`.
    """
    return motion_of_images(luminance(frames, side), fps)


def motion_of_images(images: Images, fps: float) -> Motion:
    """The same from luminance [T, h, w]."""
    return motion_of(movement(images), images, fps)


@dataclass(frozen=True, eq=False)
class Movement:
    """How a picture changes from frame to frame with the camera's own motion taken out, by soft cell.

    Attributes:
        momentum: float [T − 1, cells, 2], mean flow. light: float [T − 1, cells], mean change of brightness.
        cuts: frames that begin a shot.
    """

    momentum: Images
    light: Floats
    cuts: NDArray[np.int64]


def movement(images: Images) -> Movement:
    """Movement of luminance [T, h, w], T ≥ 4."""
    if len(images) < 4:
        raise ValueError(f"motion needs at least 4 frames and the clip has {len(images)}")
    momenta, lights, steps = [], [], []
    for first in range(0, len(images) - 1, CHUNK):
        before, after = images[first : first + CHUNK], images[first + 1 : first + CHUNK + 1]
        before = before[: len(after)]
        steady = translated(after, camera_shift(before, after))
        momenta.append(_momentum(lucas_kanade(before, steady)))
        lights.append(_by_cell(steady - before))
        steps.append(coarse(steady - before))
    cuts = shot_cuts(images, np.concatenate(steps))
    return Movement(np.concatenate(momenta), np.concatenate(lights), cuts)


def motion_of(found: Movement, images: Images, fps: float) -> Motion:
    """Signals of a movement that was found in images [T, h, w]."""
    return _motion(found.momentum.astype(np.float64), found.light, images, found.cuts, fps)


def motion_of_flow(flow: ArrayLike, images: ArrayLike, fps: float) -> Motion:
    """The same from dense flow [T − 1, H, W, 2] (x, y in pixels from each frame to the next) and frames [T, H, W]."""
    field, grey = finite(flow, "flow"), np.asarray(images, dtype=np.float32)
    if field.ndim != 4 or field.shape[-1] != 2 or grey.shape != (len(field) + 1, *field.shape[1:3]) or len(field) < 3:
        raise ValueError(f"flow [T − 1, H, W, 2] and frames [T, H, W], T ≥ 4, do not fit: {field.shape}, {grey.shape}")
    camera = camera_shift(grey[:-1], grey[1:])
    steps = translated(grey[1:], camera) - grey[:-1]
    momentum = _momentum(field.astype(np.float32) - camera[:, None, None])
    return _motion(momentum, _by_cell(steps), grey, shot_cuts(grey, coarse(steps)), fps)


def _motion(momentum: Floats, light: Floats, images: Images, cuts: NDArray[np.int64], fps: float) -> Motion:
    """Momentum [T − 1, cells, 2] and change of brightness [T − 1, cells] as signals, without what is at cuts.

    Flow into a frame against flow out of it lies at that frame's own time. What grows darker counts half, for light
    comes with the sound.
    """
    change = np.diff(momentum, axis=0)
    inside = images[:, 4:-4, 4:-4] if min(images.shape[1:]) > 16 else images
    sorted_tones = np.sort(inside.reshape(len(images), -1), axis=1)
    tones = np.diff(sorted_tones, axis=0)  # the mean of its size is the earth mover's distance of the tones
    return Motion(
        change=_uncut(np.linalg.norm(change, axis=-1).sum(axis=-1), fps, 1.0, cuts),
        across=_uncut(np.abs(change[..., 0]).sum(axis=-1), fps, 1.0, cuts),
        upright=_uncut(np.abs(change[..., 1]).sum(axis=-1), fps, 1.0, cuts),
        light=_uncut(np.where(light > 0, light, -0.5 * light).sum(axis=-1), fps, 0.5, cuts),
        tones=_uncut(np.where(tones > 0, tones, -0.5 * tones).mean(axis=-1), fps, 0.5, cuts),
    )


def _uncut(values: Floats, fps: float, first: float, cuts: NDArray[np.int64]) -> Signal:
    """A signal that begins `first` frames into the clip, with nothing happening where one shot follows another."""
    values = values.astype(np.float64)
    away = np.abs(first + np.arange(len(values))[:, None] - (cuts - 0.5))
    values[(away < CUT).any(axis=1)] = np.median(values)
    return Signal(values, fps, first / fps)


def _momentum(flow: Images) -> Floats:
    """Mean flow [T, cells, 2] of each cell."""
    cells = windows(*flow.shape[1:3]) * inner(*flow.shape[1:3])
    return np.einsum("thwa,chw->tca", flow, cells, optimize=True) / cells[0].size


def _by_cell(images: Images) -> Floats:
    cells = windows(*images.shape[1:]) * inner(*images.shape[1:])
    return np.einsum("thw,chw->tc", images, cells, optimize=True) / cells[0].size


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
    tall, wide = height // step, width // step
    pictures = pictures[:, top : top + tall * step, left : left + wide * step]
    weights = np.array([0.299, 0.587, 0.114] if pictures.ndim == 4 else [1.0]) / (255 * step * step)
    total = np.uint32 if pictures.dtype == np.uint8 else np.float64
    small = np.empty((len(pictures), tall, wide), dtype=np.float32)
    for out, picture in zip(small, pictures, strict=True):  # one at a time: a film as sums would not fit in memory
        rows = picture.reshape(tall, step, -1).sum(axis=1, dtype=total)
        out[:] = rows.reshape(tall, wide, step, -1).sum(axis=2) @ weights
    return small


def lucas_kanade(first: Images, second: Images, levels: int = 3, window: int = 7) -> Images:
    """Dense flow [T, h, w, 2] (x, y) in pixels between pairs of images [T, h, w] (Lucas and Kanade 1981)."""
    pyramid = [(first, second)]
    while len(pyramid) < levels and min(pyramid[-1][0].shape[1:]) >= 16:
        pyramid.append(tuple(half(image) for image in pyramid[-1]))  # type: ignore[arg-type]
    flow = np.zeros((*pyramid[-1][0].shape, 2), dtype=np.float32)
    for a, b in reversed(pyramid):
        if flow.shape[1:3] != a.shape[1:]:
            flow = 2 * _grown(flow, a.shape[1], a.shape[2])
        for _ in range(1 if a is first else 2):  # the finest level costs most and has least left to find
            flow = flow + _step(a, _warped(b, flow), window)
    return flow


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
    """Images [T, h, w] at each pixel's place plus flow [T, h, w, 2], bilinear; beyond the border it goes on."""
    count, height, width = images.shape
    x = np.clip(np.arange(width, dtype=np.float32) + flow[..., 0], 0, width - 1)
    y = np.clip(np.arange(height, dtype=np.float32)[:, None] + flow[..., 1], 0, height - 1)
    left, top = x.astype(np.int32), y.astype(np.int32)
    share_x, share_y = x - left, y - top
    corner = top * width + left + np.arange(count, dtype=np.int32)[:, None, None] * (height * width)
    right, down = (left < width - 1).astype(np.int32), np.where(top < height - 1, np.int32(width), np.int32(0))
    flat = images.ravel()
    upper = flat[corner] * (1 - share_x) + flat[corner + right] * share_x
    lower = flat[corner + down] * (1 - share_x) + flat[corner + down + right] * share_x
    warped: Images = upper * (1 - share_y) + lower * share_y
    return warped


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
