"""The one loop over the windows of a job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from phonofilm.backends.canvas.canvas import Canvas
from phonofilm.backends.canvas.layout import Job, lay_out
from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.types import Grid

Made = tuple[np.ndarray | None, np.ndarray | None]
"""Frames uint8 [T, H, W, 3] and sound float32 [S, 2, N] of a window, a mix being one stem; an absent stream is None."""


@dataclass(frozen=True)
class Part:
    """One window of a job.

    Attributes:
        number, count: which of how many.
        span: its frames of the canvas, on which everything before it is made already.
    """

    number: int
    count: int
    span: range
    grid: Grid
    canvas: Canvas


def make_windows(job: Job, trained: ModelDefaults, make: Callable[[Part], Made]) -> Canvas:
    """The finished canvas of a job: its windows one after the other, each given what was made before it."""
    canvas = lay_out(job, trained)
    spans = canvas.spans(trained.frames)
    for number, span in enumerate(spans):
        canvas.write(span, *make(Part(number, len(spans), span, trained.grid(len(span)), canvas)))
    return canvas
