"""What is seen in a clip of Foley World, by image processing alone: impacts, strikes, colours, flicker.

An impact shows itself by the dust it raises, a strike by the bar that lights up. No learned part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation

VIVID = 0.25  # saturation (max - min of RGB in 0..1) of a coloured thing
DUST = 7.0  # pixels, at 64 x 64, of new dust that make an impact
LIT = 0.16  # rise of a bar's whiteness that makes a strike
APART = 0.15  # s: impacts nearer than this are one


@dataclass(frozen=True)
class VisualEvent:
    """Something seen to happen: time in s, place x in 0..1, and the colour of what was hit (or None)."""

    time: float
    x: float
    colour: str | None = None


def hue(rgb: np.ndarray) -> np.ndarray:
    """Hue in degrees of RGB [..., 3] in 0..1."""
    high, low = rgb.max(-1), rgb.min(-1)
    span = np.maximum(high - low, 1e-6)
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    angle = np.where(high == r, (g - b) / span, np.where(high == g, 2 + (b - r) / span, 4 + (r - g) / span))
    return (angle * 60) % 360


def colour_name(rgb: np.ndarray, palette: dict[str, tuple[float, float, float]]) -> str:
    """The colour of `palette` whose hue is nearest to that of RGB [3]."""
    names = list(palette)
    gaps = np.abs((hue(np.array([palette[n] for n in names])) - hue(np.asarray(rgb)) + 180) % 360 - 180)
    return names[int(np.argmin(gaps))]


def impacts(frames: np.ndarray, fps: float) -> list[VisualEvent]:
    """Dust that appears outside every coloured thing: frames uint8 [T, H, W, 3]."""
    picture = frames.astype(np.float32) / 255
    scale = (min(frames.shape[1:3]) / 64) ** 2
    white = picture.min(-1)
    vivid = picture.max(-1) - white > VIVID
    bare = np.median(white, axis=0)
    amount = np.clip((white - bare) / np.maximum(0.9 - bare, 0.1), 0, 1)
    amount[amount < 0.15] = 0
    things = np.stack([binary_dilation(v, iterations=max(1, round(scale**0.5))) for v in vivid])
    amount[things] = 0
    total = amount.sum((1, 2)) / scale
    rise = np.diff(total, prepend=total[:1])
    found: list[VisualEvent] = []
    for frame in np.flatnonzero(rise > DUST):
        time = (frame - 0.5) / fps
        if found and time - found[-1].time < APART:
            continue
        fresh = np.maximum(amount[frame] - amount[frame - 1], 0)
        columns = (np.arange(frames.shape[2]) + 0.5) / frames.shape[2]
        found.append(VisualEvent(time, float((fresh.sum(0) * columns).sum() / max(fresh.sum(), 1e-6))))
    return found


def bars(frames: np.ndarray) -> list[tuple[slice, np.ndarray]]:
    """The bars of a xylophone, left to right: their columns and their colour [3] at rest."""
    still = np.median(frames, axis=0).astype(np.float32) / 255
    height, width = still.shape[:2]
    strip = np.median(still[round(0.70 * height) : round(0.78 * height)], axis=0)
    vivid = strip.max(-1) - strip.min(-1) > VIVID
    tone = hue(strip)
    found = []
    start = None
    for column in range(width + 1):
        inside = column < width and vivid[column]
        apart = start is not None and inside and abs((tone[column] - tone[start] + 180) % 360 - 180) > 11
        if start is not None and (not inside or apart):
            if column - start >= max(2, width // 24):
                found.append((slice(start, column), np.median(strip[start:column], axis=0)))
            start = None
        if inside and start is None:
            start = column
    return found


def strikes(frames: np.ndarray, fps: float, palette: dict[str, tuple[float, float, float]]) -> list[VisualEvent]:
    """Bars that light up: frames uint8 [T, H, W, 3]."""
    white = frames.min(-1).astype(np.float32) / 255
    height, width = white.shape[1:]
    found = []
    for columns, colour in bars(frames):
        level = np.median(white[:, round(0.70 * height) : round(0.78 * height), columns], axis=(1, 2))
        rise = np.diff(level, prepend=level[:1])
        last = float("-inf")
        for frame in map(int, np.flatnonzero(rise > LIT)):
            if (frame - last) / fps > APART:
                # the light fades within a tenth of a second: the dimmer it is when first seen, the older
                lit = max(level[frame] - np.median(level), 0.05) / (0.75 - 0.65 * colour.min())
                age = np.clip(-0.16 * np.log(lit), 0, 1 / fps)
                x = (columns.start + columns.stop) / 2 / width
                found.append(VisualEvent(float(frame / fps - age), x, colour_name(colour, palette)))
            last = frame
    return sorted(found, key=lambda sight: sight.time)


def colours(frames: np.ndarray, palette: dict[str, tuple[float, float, float]], least: float = 0.006) -> set[str]:
    """Colours that fill at least `least` of the picture in most frames."""
    picture = frames.astype(np.float32) / 255
    vivid = picture.max(-1) - picture.min(-1) > 0.3
    names = list(palette)
    tones = hue(np.array([palette[n] for n in names]))
    nearest = np.abs((hue(picture)[..., None] - tones + 180) % 360 - 180).argmin(-1)
    present = {}
    for index, name in enumerate(names):
        share = (vivid & (nearest == index)).mean((1, 2))
        present[name] = float(np.median(share))
    return {name for name, share in present.items() if share >= least}


def flicker(frames: np.ndarray) -> float:
    """Mean absolute change of the still part of the picture from frame to frame, in 0..255 levels."""
    steps = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean(-1)
    return float(np.mean(np.median(steps.reshape(len(steps), -1), axis=1))) if len(frames) > 1 else 0.0
