"""Coloured bodies in a still room: which there are, where they move, and when they strike something.

A body stands out from its room by colour: rooms are painted alike along each row of the picture. An impact is a kink
in its path, which a hop from rest, that makes no sound, is told from by what comes before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import find_objects, label, maximum_filter, maximum_filter1d, minimum_filter
from scipy.optimize import linear_sum_assignment

from phonofilm.evaluation.foley_world.edition2.sights import NAMES, colourful, nearest_hue, scaled
from phonofilm.evaluation.foley_world.visual_events import VisualEvent

APART = 0.12
"""Distance in colour, red less green and yellow less blue, at which a pixel is no part of the room."""
LEAST = 0.006
"""Share of the picture that a body fills at least."""
STEP = 0.14
"""Longest way from frame to frame, in widths of the picture."""


@dataclass(frozen=True, eq=False)
class Track:
    """A body: its colour, and centre x, y, lower edge and area [T, 4] in shares of the picture, NaN where unseen."""

    colour: str
    path: np.ndarray

    @property
    def start(self) -> tuple[float, float]:
        """Where it is first seen."""
        first = int(np.flatnonzero(~np.isnan(self.path[:, 0]))[0])
        return float(self.path[first, 0]), float(self.path[first, 1])


def standing_out(frames: np.ndarray) -> np.ndarray:
    """bool [T, H, W]: pixels whose colour is not that of their row of the room."""
    picture = scaled(frames)
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    opponents = np.stack([red - green, (red + green) / 2 - blue], -1)
    room = np.median(opponents[:: max(1, len(frames) // 8)].swapaxes(0, 1).reshape(frames.shape[1], -1, 2), axis=1)
    apart = np.hypot(*np.moveaxis(opponents - room[:, None], -1, 0)) > APART
    return np.asarray(apart & (apart.mean(0) < 0.93))


def tracks(frames: np.ndarray) -> list[Track]:
    """Bodies in order of their colour's place in the palette."""
    picture = scaled(frames)
    chroma, saturation = colourful(picture)
    apart = standing_out(frames) & (chroma > 0.16) & (saturation > 0.22)
    tone = np.full(apart.shape, -1)
    tone[apart] = nearest_hue(picture[apart])
    found = []
    for index, name in enumerate(NAMES):
        mask = tone == index
        if np.median(mask.mean((1, 2))) > LEAST * 0.5:
            found += [Track(name, path) for path in _linked([_blobs(_filled(frame)) for frame in mask])]
    return found


def _filled(mask: np.ndarray) -> np.ndarray:
    """Bands and lights on a body are filled; what is thinner than three pixels is left out."""
    reach = 2 * round(mask.shape[0] / 32) + 1
    solid = maximum_filter(minimum_filter(mask.astype(np.uint8), 3), 3)
    return np.asarray(minimum_filter(maximum_filter(solid, reach), reach) > 0)


def _blobs(mask: np.ndarray) -> np.ndarray:
    """Centre x, y, lower edge and area [N, 4] of what hangs together."""
    names, _ = label(mask)
    height, width = mask.shape
    rows = []
    for number, box in enumerate(find_objects(names), 1):
        y, x = np.nonzero(names[box] == number)
        if len(y) > LEAST * mask.size:
            middle = box[0].start + y.mean() + 0.5
            edge = middle + 1.87 * y.std()
            rows.append(((box[1].start + x.mean() + 0.5) / width, middle / height, edge / height, len(y) / mask.size))
    return np.array(rows).reshape(-1, 4)


def _linked(blobs: list[np.ndarray]) -> list[np.ndarray]:
    """Paths [T, 4] of blobs frame by frame; as many as are seen apart in a fifth of all frames."""
    counts = np.array([len(found) for found in blobs])
    many = int(np.flatnonzero([(counts >= n).mean() > 0.2 for n in range(counts.max() + 1)])[-1])
    if not many:
        return []
    begin = int(np.flatnonzero(counts >= many)[0])
    paths = np.full((many, len(blobs), 4), np.nan)
    for way in (range(begin, len(blobs)), range(begin, -1, -1)):
        last = _largest(blobs[begin], many)
        for frame in way:
            last = _step(last, blobs[frame], paths[:, frame])
    return list(paths)


def _largest(found: np.ndarray, many: int) -> np.ndarray:
    return found[np.argsort(-found[:, 3])[:many]].copy()


def _step(last: np.ndarray, found: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Each path takes the blob nearest to where it was, written to `out`; where none is near it stays."""
    last = last.copy()
    if len(found):
        gaps = np.hypot(last[:, None, 0] - found[None, :, 0], last[:, None, 1] - found[None, :, 1])
        for path, blob in zip(*linear_sum_assignment(gaps), strict=True):
            if gaps[path, blob] < STEP:
                out[path] = last[path] = found[blob]
    return last


KINK, DUST = 0.35, 1.0
"""Change of speed, in heights of the picture a second, and rise of dust (`sights.dust`): together an impact."""


def impacts(bodies: list[Track], dust: np.ndarray, fps: float) -> list[VisualEvent]:
    """Kinks of paths that raise dust, in order of time; what happens within 70 ms is one."""
    near = maximum_filter1d(dust, 3)
    found = sorted((event for body in bodies for event in _kinks(body, near, fps)), key=lambda event: event.time)
    return _apart(found, 0.07)


def _apart(events: list[VisualEvent], seconds: float) -> list[VisualEvent]:
    kept: list[VisualEvent] = []
    for event in events:
        if not kept or event.time - kept[-1].time > seconds:
            kept.append(event)
    return kept


def _kinks(body: Track, dust: np.ndarray, fps: float) -> list[VisualEvent]:
    x, edge = body.path[:, 0], body.path[:, 2]
    bend_x, bend_y = (np.diff(track, 2, prepend=np.nan, append=np.nan) * fps for track in (x, edge))
    speed = np.diff(edge, prepend=np.nan) * fps
    fall = np.fmax(speed, np.append(np.nan, speed[:-1]))  # a hop comes from rest
    up = np.where(fall > 0.15, 3 / fps - bend_y - np.append(bend_y[1:], np.nan), 0)  # gravity bends down
    aside = np.abs(bend_x + np.append(bend_x[1:], np.nan))
    power = np.nan_to_num(np.maximum(up, 0) + aside)
    peak = (power > KINK) & (dust > DUST) & (power == maximum_filter1d(power, 3))
    found = []
    for frame in np.flatnonzero(peak):
        first, second = (max(-bend_y[k], 0) + abs(bend_x[k]) for k in (frame, frame + 1))
        late = second / max(first + second, 1e-6)
        found.append(VisualEvent(float((frame + 0.1 + late) / fps), float(x[frame]), body.colour))
    return _apart(found, 0.12)
