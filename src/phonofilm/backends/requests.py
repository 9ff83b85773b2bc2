"""What a request must be, whichever model it is for."""

from __future__ import annotations

import dataclasses
import math
from difflib import get_close_matches
from fractions import Fraction
from typing import Any, get_args

import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.types import Clip, Request, SamplerName, rational

MAX_SECONDS = 600
SIDES = (16, 4096)
RATES = (1, 120)
MAX_STEPS = 1000
TASKS = ("generate", "foley", "animate", "extend", "retake")
SAMPLERS: tuple[SamplerName, ...] = get_args(SamplerName)


def as_request(request: Request | str, fields: dict[str, Any]) -> Request:
    """A checked `Request` from one, or from a prompt, with some of its fields replaced.

    A size given as one number is a square, a rate may be anything that `types.rational` reads, and one
    guidance scale stands for both modalities.

    Raises:
        PhonofilmError: an unknown field or a value that makes no sense.
    """
    known = [field.name for field in dataclasses.fields(Request)]
    for name in fields.keys() - set(known):
        close = get_close_matches(name, known, n=1)
        raise PhonofilmError(
            f"unknown option {name!r}; " + (f"did you mean {close[0]}?" if close else f"known: {known}")
        )
    fields = dict(fields)
    if isinstance(fields.get("size"), int):
        fields["size"] = (fields["size"], fields["size"])
    if isinstance(fields.get("guidance"), (int, float)):
        fields["guidance"] = (float(fields["guidance"]), float(fields["guidance"]))
    if fields.get("fps") is not None:
        fields["fps"] = frame_rate(fields["fps"])
    made = Request(prompt=request, **fields) if isinstance(request, str) else dataclasses.replace(request, **fields)
    check(made)
    return made


def frame_rate(fps: float | int | str | Fraction) -> Fraction:
    """A frame rate between 1 and 120.

    Raises:
        PhonofilmError: it is not.
    """
    try:
        rate = rational(fps)
    except ValueError as error:
        raise PhonofilmError(str(error)) from error
    if not RATES[0] <= rate <= RATES[1]:
        raise PhonofilmError(f"a frame rate of {fps} is not possible; choose {RATES[0]} to {RATES[1]} frames a second")
    return rate


def check(request: Request) -> None:
    """Refuse what no model can do.

    Raises:
        PhonofilmError: with what is wrong and what to do.
    """
    if request.task not in TASKS:
        raise PhonofilmError(f"unknown task {request.task!r}; choose one of {', '.join(TASKS)}")
    _check_numbers(request)
    _check_source(request)
    if request.image is not None and (
        request.image.dtype != np.uint8 or request.image.ndim != 3 or request.image.shape[-1] != 3
    ):
        raise PhonofilmError(f"an image must be uint8 [H, W, 3], not {request.image.dtype} {request.image.shape}")
    if request.image is not None and request.task not in ("generate", "animate"):
        raise PhonofilmError(f"{request.task} has a picture of its own; an image goes with generate and animate")
    for text in (request.prompt, request.negative):
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise PhonofilmError("the prompt is not text in UTF-8; type it again, or check the file that it is from")
    if request.task == "generate" and not request.prompt.strip():
        raise PhonofilmError('the prompt is empty; say what to make, for example "a red ball bounces on wood"')


def _check_numbers(request: Request) -> None:
    seconds = request.seconds
    if seconds is not None and not (math.isfinite(seconds) and 0 < seconds <= MAX_SECONDS):
        raise PhonofilmError(f"a duration of {seconds:g} s is not possible; choose more than 0, up to {MAX_SECONDS} s")
    for side in request.size or ():
        if not SIDES[0] <= side <= SIDES[1]:
            raise PhonofilmError(f"a side of {side} pixels is not possible; choose {SIDES[0]} to {SIDES[1]}")
    if request.fps is not None:
        frame_rate(request.fps)
    if request.steps is not None and not 1 <= request.steps <= MAX_STEPS:
        raise PhonofilmError(f"{request.steps} steps are not possible; choose 1 to {MAX_STEPS}")
    for seed in (request.seed, request.video_seed, request.audio_seed):
        if seed is not None and not 0 <= seed < 2**63:
            raise PhonofilmError(f"a seed of {seed} is not possible; choose 0 to {2**63 - 1}")
    for scales, none in ((request.guidance, 1), (request.modality_guidance, 1), (request.stg, 0)):
        for scale in scales or ():
            if not (math.isfinite(scale) and 0 <= scale <= 100):
                raise PhonofilmError(f"a guidance of {scale:g} is not possible; choose 0 to 100 ({none} is none)")
    if request.sampler not in (None, *SAMPLERS):
        raise PhonofilmError(f"unknown sampler {request.sampler!r}; choose one of {', '.join(SAMPLERS)}")
    if request.only not in (None, "audio", "video"):
        raise PhonofilmError(f"retake only audio or only video, not {request.only!r}")


def _check_source(request: Request) -> None:
    if request.task == "generate":
        if request.source is not None:
            raise PhonofilmError("generate takes no source clip; foley, animate, extend and retake do")
        return
    source = request.source
    if source is None or source.seconds <= 0:
        raise PhonofilmError(f"{request.task} needs a clip to work on; pass source=Clip(...)")
    if request.task == "foley" and source.frames is None:
        raise PhonofilmError("foley needs a picture, and this clip has none; try animate for sound alone")
    if request.task == "animate" and source.waveform is None:
        raise PhonofilmError("animate needs sound, and this clip has none; try foley for a silent film")
    if request.task == "extend" and request.seconds is None:
        raise PhonofilmError("extend needs to know by how much; pass seconds")
    if request.task == "retake":
        _check_span(request, source)


def _check_span(request: Request, source: Clip) -> None:
    if request.span is None:
        raise PhonofilmError("retake needs to know what to make again; pass span=(from, to) in seconds")
    start, end = request.span
    if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < end):
        raise PhonofilmError(f"a retake from {start:g} to {end:g} s is not possible; choose 0 <= from < to")
    if start >= source.seconds:
        raise PhonofilmError(f"a retake from {start:g} s starts after the clip's end at {source.seconds:.2f} s")
    if request.only == "audio" and source.waveform is None:
        raise PhonofilmError("this clip has no sound to retake; foley makes some")
    if request.only == "video" and source.frames is None:
        raise PhonofilmError("this clip has no picture to retake; animate makes one")
