"""A backend without a network: a flash and a beep. Command line, server and pages are tested on it in milliseconds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm.backends.base import Cancel, JobContext
from phonofilm.backends.canvas.canvas import Canvas
from phonofilm.backends.canvas.control import check_heard
from phonofilm.backends.canvas.layout import deliver, work_out
from phonofilm.backends.canvas.loop import Made, Part, make_windows
from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.backends.canvas.windows import Window
from phonofilm.backends.provenance import provenance_metadata
from phonofilm.backends.requests import as_request, check
from phonofilm.choices import STEMS, Stem
from phonofilm.types import Clip, Event, Progress, Request, nearest

PERIOD = Fraction(1)
"""Seconds from one flash to the next."""
FLASH = Fraction(1, 6)
BEEP = Fraction(1, 10)
HUMS: dict[Stem, float] = {"speech": 150.0, "music": 220.0}
"""Pitches of the stems that do not beep, and how loud they are."""
HUM = 0.02


class FakeBackend:
    """Flashes white and beeps at the same instants, half a second into every second.

    Deterministic: the seed decides the colour between flashes, the pitch and the pan. It goes through the
    same layout as every other backend, so all tasks, sizes, rates and durations work.
    """

    def __init__(self, trained: ModelDefaults | None = None) -> None:
        self.trained = trained or ModelDefaults(stems=STEMS)

    @staticmethod
    def load(model: str | Path = "fake", device: str = "auto") -> FakeBackend:
        """Nothing is read, and every device does."""
        return FakeBackend()

    @property
    def window(self) -> Window:
        return self.trained.window

    @property
    def stems(self) -> tuple[Stem, ...]:
        """Speech, effects and music, unless it stands for a model of one mix."""
        return self.trained.stems

    def check(self, request: Request) -> None:
        """See `Backend.check`."""
        check(request)
        check_heard(request)
        work_out(request, self.trained)

    def generate(
        self, request: Request | str, progress: Progress | None = None, cancel: Cancel | None = None, **fields: Any
    ) -> Clip:
        """See `Backend.generate`."""
        request, monitor = as_request(request, {**fields, "model": "fake"}), JobContext(progress, cancel)
        monitor("text", 0, 1)
        job = work_out(request, self.trained)
        for line in job.notices:
            monitor.warn(line)
        times = flash_times(job.canvas_seconds(self.trained.fps))

        def make(part: Part) -> Made:
            monitor("sampling", part.number, part.count)
            start = Fraction(part.span.start) / part.canvas.fps
            here = [time - start for time in times]
            frames = _flashes(part.canvas, part.span, here, request.seed)
            return frames, _sound(part.grid.samples, part.canvas, here, request, start, self.stems)

        canvas = make_windows(job, self.trained, make)
        monitor("decoding", 0, 1)
        events = tuple(Event(float(time), "flash") for time in times if time < job.seconds)
        return deliver(job, canvas, provenance_metadata(request, "fake", "none", monitor.notices)).with_(events=events)


def flash_times(seconds: Fraction) -> list[Fraction]:
    """Half a second into every second; a clip shorter than that flashes at its middle."""
    times = [PERIOD / 2 + PERIOD * n for n in range(int(seconds / PERIOD) + 1)]
    return [time for time in times if time < seconds] or [seconds / 2]


def _flashes(canvas: Canvas, span: range, times: list[Fraction], seed: int) -> np.ndarray | None:
    if canvas.frames is None:
        return None
    frames = np.empty((len(span), *canvas.frames.shape[1:]), np.uint8)
    frames[:] = np.random.default_rng(seed).integers(10, 90, 3)
    for time in times:
        first, last = (nearest(moment * canvas.fps) for moment in (time, time + FLASH))
        frames[max(first, 0) : max(last, first + 1, 0)] = 255
    return frames


def _sound(
    samples: int, canvas: Canvas, times: list[Fraction], request: Request, start: Fraction, names: tuple[Stem, ...]
) -> np.ndarray | None:
    """float32 [S, 2, N]: the beeps are the effects, or the mix; speech and music hum softly, each at its own pitch."""
    if canvas.waveform is None:
        return None
    found = np.zeros((len(canvas.waveform), 2, samples), np.float32)
    moments = float(start) + np.arange(samples) / canvas.sample_rate
    for row, stem in enumerate(canvas.stems):
        pitch = HUMS.get(names[stem]) if names else None
        if pitch is None:
            found[row] = _beeps(samples, canvas, times, request)
        else:
            found[row] = HUM * np.sin(2 * np.pi * pitch * moments)
    return found


def _beeps(samples: int, canvas: Canvas, times: list[Fraction], request: Request) -> np.ndarray:
    random = np.random.default_rng(request.seed)
    pitch, pan = random.uniform(400, 1200), random.uniform(0.2, 0.8)
    beep = nearest(BEEP * canvas.sample_rate)
    tone = 0.5 * np.sin(2 * np.pi * pitch * np.arange(beep) / canvas.sample_rate)
    waveform = np.zeros((2, samples), np.float32)
    for time in times:
        start = nearest(time * canvas.sample_rate)
        part = slice(max(start, 0), min(max(start + beep, 0), samples))
        if part.start < part.stop:
            shape = tone[part.start - start : part.stop - start]
            waveform[:, part] = np.outer([np.sqrt(1 - pan), np.sqrt(pan)], shape)
    return waveform
