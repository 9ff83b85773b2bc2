"""A request on Wan's terms: what it can do, the nearest size that it can make, the noise levels."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from phonofilm.backends.base import JobContext
from phonofilm.backends.canvas.control import check_heard
from phonofilm.backends.canvas.fit import near_size
from phonofilm.backends.canvas.layout import work_out
from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.backends.canvas.stems import wanted
from phonofilm.backends.wan.config import SECONDS, Settings
from phonofilm.errors import PhonofilmError
from phonofilm.sampling import steps_for
from phonofilm.types import Request

PIXELS = 1280 * 720
"""The largest picture it was trained on; a larger one is made at that size and enlarged."""


def check_task(request: Request, name: str, settings: Settings) -> None:
    """Refuse what the model cannot do.

    Raises:
        PhonofilmError: with what to do instead.
    """
    check_heard(request)
    if request.task != "generate":
        raise PhonofilmError(f"{name} makes film from text, and cannot {request.task}; ltx2 and nano can")
    if request.draft:
        raise PhonofilmError(f"a draft is made by our own models; ask {name} for fewer --steps and a smaller --size")
    if not wanted(request).picture:
        raise PhonofilmError(f"{name} makes silent film, so without a picture nothing is left to make")
    if request.image is not None and settings.picture == "none":
        raise PhonofilmError(f"{name} takes no picture; wan2.2-i2v and wan2.2-5b do")
    if request.image is None and settings.picture == "channels":
        raise PhonofilmError(f"{name} needs a picture to start from: add --image; wan2.2 makes film from text alone")
    if request.seconds is not None and request.seconds > SECONDS:
        raise PhonofilmError(f"{name} makes up to {SECONDS} s; ask for less, or take ltx2, which goes on beyond that")


def fitted(request: Request, trained: ModelDefaults, name: str, monitor: JobContext | None = None) -> ModelDefaults:
    """The grid on which the model itself works: any size in steps of 16 or 32 pixels, at the rate it was trained on."""
    job = replace(work_out(request, trained), sound=None)
    size = near_size(job.size, trained.geometry.video_space * trained.geometry.patch[1], PIXELS)
    if monitor is not None and (size != job.size or trained.fps != job.fps):
        monitor.warn(
            f"{name} made it at {size[0]}x{size[1]} and {float(trained.fps):.5g} fps; it was "
            f"brought to {job.size[0]}x{job.size[1]} at {float(job.fps):.5g} fps"
        )
    return replace(trained, size=size, seconds=job.canvas_seconds(trained.fps))


def schedule(request: Request, trained: ModelDefaults) -> Tensor:
    """Noise levels float64 [steps + 1] to 0: evenly spaced from 1 to a thousandth, then shifted, as in diffusers."""
    steps = steps_for(trained.sampler_of(request), request.steps or trained.steps)
    even = torch.linspace(1, 1e-3, steps + 1, dtype=torch.float64)[:-1]
    sigmas = trained.shift * even / (1 + (trained.shift - 1) * even)
    return torch.cat([sigmas.clamp(max=1 - 1e-6), torch.zeros(1, dtype=torch.float64)])
