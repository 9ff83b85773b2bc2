"""Space in metres before the camera: where things appear in the picture, and when and how they are heard.

The camera and the ear are one point; x runs right, y up from the ground, z away from the camera.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from phonofilm.types import Event

SPEED_OF_SOUND = 343.0  # m/s, in air at 20 °C
TOGETHER = 0.04  # s: half a frame at 12 a second; a longer lag makes an event of the sound alone
NEAR_GROUND = 1.5  # level falls as distance to this power: 1 in free air, more over soft ground


@dataclass(frozen=True)
class Camera:
    """A pinhole camera looking along z.

    Attributes:
        focal: focal length in shorter sides of the picture. horizon: its y in the picture. height: in m.
    """

    focal: float
    horizon: float
    height: float

    def scale(self, z: np.ndarray | float) -> np.ndarray | float:
        """World units per metre at depth z."""
        return self.focal / z

    def project(self, place: np.ndarray) -> np.ndarray:
        """Places [..., 3] in m -> [..., 2] in the picture."""
        scale = self.scale(place[..., 2])
        return np.stack([0.5 + scale * place[..., 0], self.horizon + scale * (self.height - place[..., 1])], -1)


@dataclass(frozen=True)
class Course:
    """Straight and even motion: place in m at time 0, velocity in m/s, seen and heard from `ear` m above ground."""

    start: tuple[float, float, float]
    velocity: tuple[float, float, float]
    ear: float

    def at(self, times: np.ndarray) -> np.ndarray:
        """Places [T, 3] at times [T] in s."""
        return np.array(self.start) + np.multiply.outer(times, np.array(self.velocity))

    def distance(self, times: np.ndarray) -> np.ndarray:
        """Metres from the ear [T]."""
        return np.linalg.norm(self.at(times) - (0, self.ear, 0), axis=-1)

    def nearest(self) -> float:
        """When it is closest to the ear."""
        offset, velocity = np.array(self.start) - (0, self.ear, 0), np.array(self.velocity)
        return float(-(offset @ velocity) / (velocity @ velocity))

    def shifted(self, back: float) -> Course:
        """The course of a part of the same body, `back` m behind."""
        velocity = np.array(self.velocity)
        start = np.array(self.start) - back * velocity / np.linalg.norm(velocity)
        return Course(tuple(float(v) for v in start), self.velocity, self.ear)  # type: ignore[arg-type]

    def arrival(self, times: np.ndarray) -> np.ndarray:
        """When what is emitted at times [T] is heard."""
        return times + self.distance(times) / SPEED_OF_SOUND

    def emission(self, times: np.ndarray) -> np.ndarray:
        """When what is heard at times [T] was emitted: the earlier root of |place(e)| = c (t - e)."""
        offset, velocity = np.array(self.start) - (0, self.ear, 0), np.array(self.velocity)
        square = SPEED_OF_SOUND**2
        lead = square - velocity @ velocity
        half = offset @ velocity + square * times
        return (half - np.sqrt(half**2 - lead * (square * times**2 - offset @ offset))) / lead

    def doppler(self, times: np.ndarray) -> np.ndarray:
        """Heard frequency over emitted frequency, at the times [T] it is heard."""
        emitted = self.emission(times)
        offset = self.at(emitted) - (0, self.ear, 0)
        receding = offset @ np.array(self.velocity) / np.linalg.norm(offset, axis=-1)
        return 1 / (1 + receding / SPEED_OF_SOUND)


def pan_of(camera: Camera, course: Course, times: np.ndarray) -> np.ndarray:
    """Pan [T] of a source at times [T]: its place in the picture, and the edge for what is beyond it."""
    return np.clip(2 * camera.project(course.at(times))[..., 0] - 1, -1, 1)


def fading(course: Course, times: np.ndarray) -> np.ndarray:
    """Level [T] of what is emitted at times [T], relative to the closest approach."""
    nearest = course.distance(np.array([course.nearest()]))
    return (nearest / course.distance(times)) ** NEAR_GROUND


def seen_and_heard(
    time: float,
    kind: str,
    box: tuple[float, float, float, float],
    pan: float,
    loudness: float,
    distance: float,
    label: str | None = None,
) -> tuple[Event, ...]:
    """One event, or two where the sound comes noticeably later: a silent one that is seen, an unseen one heard."""
    lag = distance / SPEED_OF_SOUND
    if lag < TOGETHER:
        return (Event(time, kind, box, pan, loudness, label=label),)
    return Event(time, kind, box, label=label), Event(time + lag, kind, None, pan, loudness, label=label)


def within(events: Iterable[Event], seconds: float) -> tuple[Event, ...]:
    """Those that begin in a scene of this duration, in order of time; none lasts beyond it."""
    inside = sorted((event for event in events if 0 <= event.time < seconds), key=lambda event: event.time)
    return tuple(replace(e, end=min(e.end, seconds)) if e.end is not None else e for e in inside)


def clipped(x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
    """A box as far as it lies in the picture."""
    low_x, low_y, high_x, high_y = (float(v) for v in np.clip((x0, y0, x1, y1), 0, 1))
    return low_x, low_y, high_x, high_y
