"""A tone heard from a moving source: delay, Doppler shift, distance and side follow from its course."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from phonofilm.world.audio.synthesis import Tone, control_times
from phonofilm.world.common.geometry import Camera, Course, fading, pan_of


def moving_tone(
    camera: Camera,
    course: Course,
    seconds: float,
    pitch: Callable[[np.ndarray], np.ndarray],
    level: Callable[[np.ndarray], np.ndarray],
    gains: tuple[float, ...],
) -> Tone:
    """A tone as it is heard from a moving source; pitch in Hz and level are functions of the time of emission."""
    times = control_times(seconds)
    emitted = course.emission(times)
    return Tone(
        pitch(emitted) * course.doppler(times),
        level(emitted) * fading(course, emitted),
        pan_of(camera, course, emitted),
        gains,
    )
