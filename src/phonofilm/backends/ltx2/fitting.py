"""A request on LTX-2's terms: the nearest size that it can make, the frame rate it is told, the noise levels."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from phonofilm.backends.base import JobContext
from phonofilm.backends.canvas.fit import near_size
from phonofilm.backends.canvas.layout import work_out
from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.backends.ltx2.config import DISTILLED_SIGMAS, MAX_SECONDS, TERMINAL
from phonofilm.errors import PhonofilmError
from phonofilm.sampling import flow_sigmas, steps_for
from phonofilm.types import Request

PIXELS = 1920 * 1088
"""The largest picture it was trained on; a larger one is made at that size and enlarged."""
RATES = (Fraction(8), Fraction(60))


def fitted(
    request: Request, trained: ModelDefaults, monitor: JobContext | None = None, stages: int = 1
) -> ModelDefaults:
    """The grid on which the model itself works: it takes any size in steps of 32 pixels, and is told the frame rate.

    In two stages the steps are of 64 pixels, so that half of each side is whole.
    """
    if request.draft:
        raise PhonofilmError("a draft is made by our own models; ask LTX-2 for fewer --steps and a smaller --size")
    job = work_out(request, trained)
    step = stages * trained.geometry.video_space
    size = near_size(job.size, step, PIXELS)
    fps = min(max(job.fps, RATES[0]), RATES[1])
    seconds = min(job.seconds, MAX_SECONDS)
    if monitor is not None and (size != job.size or fps != job.fps):
        monitor.warn(
            f"made at {size[0]}x{size[1]} and {float(fps):.5g} fps, which the model can do, "
            f"and brought to {job.size[0]}x{job.size[1]} at {float(job.fps):.5g} fps"
        )
    if monitor is not None and job.seconds > MAX_SECONDS:
        monitor.warn(f"longer than {MAX_SECONDS} s: continued through overlapping windows of that length")
    return replace(trained, size=size, fps=fps, seconds=seconds)


def schedule(request: Request, trained: ModelDefaults, distilled: bool) -> Tensor:
    """Noise levels float64 [steps + 1] from 1 to 0.

    Distilled weights were made for eight levels; another number of steps visits the same curve. All others use the
    schedule of the original: its shift is the same for any number of tokens, where diffusers' grows with them.
    """
    steps = steps_for(trained.sampler_of(request), request.steps or trained.steps)
    if not distilled:
        return flow_sigmas(steps, trained.shift, TERMINAL)
    places = np.linspace(0, len(DISTILLED_SIGMAS) - 1, steps + 1)
    return torch.from_numpy(np.interp(places, np.arange(len(DISTILLED_SIGMAS)), DISTILLED_SIGMAS))
