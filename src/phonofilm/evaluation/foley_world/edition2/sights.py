"""What is seen to happen, by image processing alone: impacts, struck bars, flashes and falling drops.

Frames are uint8 [T, H, W, 3] of any size and frame rate; times are in seconds and places in 0 ... 1 of the picture.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, maximum_filter1d, uniform_filter

from phonofilm.evaluation.foley_world.visual_events import VisualEvent, hue
from phonofilm.world.common.palette import COLOURS

Picture = NDArray[np.float32]

NAMES = tuple(COLOURS)
HUES = hue(np.array([COLOURS[name] for name in NAMES]))
BAR_ROWS = (0.70, 0.78)
"""Heights between which every bar is seen, below the head of the mallet."""

LIT, FLARE = 0.03, 0.05
"""Rise of whiteness that makes a strike; rise of light of most of the picture that makes a flash."""


def scaled(frames: np.ndarray) -> Picture:
    """Frames as float32 in 0 ... 1."""
    return frames.astype(np.float32) / np.float32(255)


def nearest_hue(picture: np.ndarray) -> NDArray[np.int64]:
    """Index in NAMES of the colour whose hue is nearest: [..., 3] -> [...]."""
    return np.asarray(np.abs((hue(picture)[..., None] - HUES + 180) % 360 - 180).argmin(-1))


def colourful(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chroma (max - min) and saturation (chroma over max) of [..., 3]."""
    high = picture.max(-1)
    chroma = high - picture.min(-1)
    return chroma, chroma / np.maximum(high, 1e-3)


def bars(frames: np.ndarray) -> list[tuple[str, slice]]:
    """Bars of an instrument from left to right: colour and columns; each colour of the palette has at most one."""
    still = np.median(frames[:: max(1, len(frames) // 48)], axis=0).astype(np.float32) / 255
    height, width = still.shape[:2]
    strip = np.median(still[round(BAR_ROWS[0] * height) : round(BAR_ROWS[1] * height)], axis=0)
    chroma, saturation = colourful(strip)
    label = np.where((chroma > 0.11) & (saturation > 0.33), nearest_hue(strip), -1)
    edges = np.flatnonzero(np.diff(label)) + 1
    runs: dict[int, slice] = {}
    for start, end in pairwise([0, *edges.tolist(), width]):
        colour = int(label[start])
        longest = runs.get(colour, slice(0, 0))
        if colour >= 0 and end - start > max(width // 32, longest.stop - longest.start):
            runs[colour] = slice(start, end)
    return [(NAMES[colour], columns) for colour, columns in sorted(runs.items(), key=lambda run: run[1].start)]


def strikes(frames: np.ndarray, fps: float) -> list[VisualEvent]:
    """Bars that light up; of several within a tenth of a second the one that does most, for there is one mallet."""
    found: list[tuple[float, VisualEvent]] = []
    height, width = frames.shape[1:3]
    rows = slice(round(BAR_ROWS[0] * height), round(BAR_ROWS[1] * height))
    for colour, columns in bars(frames):
        inner = slice(columns.start + 1, max(columns.stop - 1, columns.start + 2))
        level = np.median(frames[:, rows, inner].min(-1), axis=(1, 2)).astype(np.float64) / 255
        rise = np.diff(level, prepend=level[:1])
        # the light comes within one frame, or, where the shutter closes on it, within two
        two = np.where(rise > 0.012, rise + np.maximum(np.append(rise[1:], 0.0), 0.0), 0.0)
        peak = (two > LIT) & (two == maximum_filter1d(two, 5))
        for frame in np.flatnonzero(peak):
            share = rise[frame] / max(two[frame], 1e-6)  # the less of it is in the first frame, the later it came
            x = (columns.start + columns.stop) / 2 / width
            found.append((float(two[frame]), VisualEvent(float((frame + 0.05 - 0.5 * share) / fps), x, colour)))
    kept: list[VisualEvent] = []
    for _, sight in sorted(found, key=lambda pair: -pair[0]):
        if all(abs(sight.time - other.time) > 0.1 for other in kept):
            kept.append(sight)
    return sorted(kept, key=lambda sight: sight.time)


def dust(frames: np.ndarray) -> NDArray[np.float64]:
    """What rises of dust within two frames [T], in pixels of 64 x 64: paleness outside everything colourful."""
    picture = scaled(frames)
    white = picture.min(-1)
    vivid = (picture.max(-1) - white > 0.25).astype(np.uint8)
    hidden, wide = (maximum_filter(vivid, (1, 2 * reach + 1, 2 * reach + 1)) > 0 for reach in (2, 4))
    bare = _behind(white, wide)
    fresh = np.clip((white - bare) / np.maximum(0.9 - bare, 0.1), 0, 1)
    fresh[(fresh < 0.1) | hidden] = 0
    total = fresh.sum((1, 2), dtype=np.float64) / (min(frames.shape[1:3]) / 64) ** 2
    rise = np.diff(total, prepend=total[:1])
    return rise + np.append(rise[1:], 0)


def _behind(white: Picture, hidden: np.ndarray) -> Picture:
    """Median over time [H, W] of what is not hidden; 1 where everything always is."""
    ordered = np.sort(np.where(hidden, np.float32(2), white), axis=0)
    seen = (~hidden).sum(0)
    middle = np.take_along_axis(ordered, (seen // 2)[None], axis=0)[0]
    return np.where(seen > 0, middle, np.float32(1))


def flashes(frames: np.ndarray, fps: float) -> list[VisualEvent]:
    """Moments at which most of the picture grows lighter at once; x is where it grows lightest."""
    grey = frames.mean(-1, dtype=np.float32) / np.float32(255)
    step = np.diff(grey, axis=0, prepend=grey[:1])
    rise = np.quantile(step.reshape(len(step), -1), 0.4, axis=1)
    two = rise + np.maximum(np.append(rise[1:], 0), 0)
    reach = 2 * round(0.25 * fps) + 1
    columns = (np.arange(frames.shape[2]) + 0.5) / frames.shape[2]
    found: list[VisualEvent] = []
    for frame in np.flatnonzero((rise > FLARE / 3) & (two > FLARE) & (two == maximum_filter1d(two, reach))):
        light = np.maximum(grey[min(frame + 2, len(grey) - 1)] - grey[max(frame - 1, 0)] - two[frame], 0) ** 2
        share = np.clip(rise[frame] / max(two[frame], 1e-6), 0, 1)
        x = float((light.sum(0) * columns).sum() / max(light.sum(), 1e-9))
        found.append(VisualEvent(float((frame + 0.4 - share) / fps), x))
    return found


FALL, PULL = 1.72, 2.5
"""Speed at which drops land and gravity, in heights of the picture and seconds."""
SPLASH, OF_LARGEST = 0.10, 0.55
"""Least trace of a drop that lands, and its least share of the third largest in the clip."""


def drops(frames: np.ndarray, fps: float) -> list[VisualEvent]:
    """Drops that land in the lower half: pale, falling for four frames, then gone, with a crown where they were."""
    grey = frames.mean(-1, dtype=np.float32) / np.float32(255)
    pale = grey - np.median(grey, axis=0)
    pale = np.maximum(pale - np.median(pale, axis=(1, 2), keepdims=True), 0)  # less the glare of lightning
    height, width = pale.shape[1:]
    unit = width / 128
    small = uniform_filter(pale, (1, round(5 * unit), round(5 * unit)))
    broad = uniform_filter(pale, (1, round(7 * unit), round(17 * unit)))
    half = height // 2

    def at(images: Picture, later: int, above: int = 0) -> Picture:
        index = np.clip(np.arange(len(images)) + later, 0, len(images) - 1)
        return images[index, half - above : height - above]

    body = np.zeros((len(pale), height - half, width), np.float32)
    for step in range(1, 5):
        age = (step - 0.25) / fps
        above = min(round((FALL * age - PULL / 2 * age**2) * height), half)
        body += at(small, -step, above) - 0.5 * at(small, 0, above) - 0.5 * at(small, 1, above)
    crown = sum((at(broad, step) - at(broad, -1 - step) for step in range(3)), np.zeros_like(body))
    trace = np.sqrt(np.maximum(body, 0) * np.maximum(crown, 0))
    strength = trace.max((1, 2))
    peak = strength == maximum_filter1d(strength, 5)
    least = max(SPLASH, OF_LARGEST * float(np.sort(strength[peak])[-3:][0]))
    found = []
    for frame in np.flatnonzero(peak & (strength > least)):
        column = int(trace[frame].max(0).argmax())
        found.append(VisualEvent(float((frame - 0.15) / fps), (column + 0.5) / width))
    return found


def moving_colour(frames: np.ndarray) -> str:
    """Colour of the palette that fills most of what is not always there, "" where there is none."""
    still = np.median(frames[::3], axis=0).astype(np.int16)
    amounts = np.zeros(len(NAMES))
    for frame in frames[::2]:
        picture = scaled(frame)
        chroma, saturation = colourful(picture)
        new = (np.abs(frame.astype(np.int16) - still).max(-1) > 40) & (chroma > 0.16) & (saturation > 0.4)
        amounts += np.bincount(nearest_hue(picture[new]), weights=chroma[new], minlength=len(NAMES))
    return NAMES[int(amounts.argmax())] if amounts.any() else ""
