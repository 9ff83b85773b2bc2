"""What a request must be, whichever model it is for."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

import numpy as np

from phonofilm.backends.canvas.control import check_heard, control_faults
from phonofilm.backends.canvas.stems import Fault, needs_prompt, stem_faults, wanted
from phonofilm.choices import SAMPLERS, TASKS
from phonofilm.errors import PhonofilmError
from phonofilm.types import Clip, Request, rational

MAX_SECONDS = 600
SIDES = (16, 4096)
RATES = (1, 120)
MAX_STEPS = 1000


def as_request(request: Request | str, fields: dict[str, Any], heard: frozenset[str] = frozenset()) -> Request:
    """A checked `Request` from one, or from a prompt, with some of its fields replaced.

    A size given as one number is a square, a rate may be anything that `types.rational` reads, and one
    guidance scale stands for both modalities.

    Args:
        heard: what the model's control modules hear (see `backends.controls`).

    Raises:
        PhonofilmError: an unknown field, a value that makes no sense, or what no module hears.
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
    check_heard(made, heard)
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
    for fault in (*value_faults(request), *source_faults(request)):
        raise PhonofilmError(fault.message)


def value_faults(request: Request) -> Iterator[Fault]:
    """All that is wrong with a request whatever its source is; an image counts as far as it is there."""
    if request.task not in TASKS:
        yield Fault("task", f"unknown task {request.task!r}; choose one of {', '.join(TASKS)}")
    yield from _number_faults(request)
    if request.sampler not in (None, *SAMPLERS):
        yield Fault("sampler", f"unknown sampler {request.sampler!r}; choose one of {', '.join(SAMPLERS)}")
    yield from stem_faults(request)
    yield from control_faults(request)
    yield from _text_faults(request)
    image = request.image
    if image is not None and (image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3):
        yield Fault("image", f"an image must be uint8 [H, W, 3], not {image.dtype} {image.shape}")
    if image is not None and request.task not in ("generate", "animate"):
        yield Fault("image", f"{request.task} has a picture of its own; an image goes with generate and animate")
    if request.task == "extend" and request.seconds is None:
        yield Fault("seconds", "extend needs to know by how much; pass seconds")
    if request.task == "retake":
        yield from _span_faults(request)


def _text_faults(request: Request) -> Iterator[Fault]:
    for path in ("prompt", "negative", "effects", "music"):
        text = getattr(request, path)
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            yield Fault(path, "the prompt is not text in UTF-8; type it again, or check the file that it is from")
    if request.task == "generate" and not request.prompt.strip() and needs_prompt(request):
        yield Fault("prompt", 'the prompt is empty; say what to make, for example "a red ball bounces on wood"')


def _number_faults(request: Request) -> Iterator[Fault]:
    seconds = request.seconds
    if seconds is not None and not (math.isfinite(seconds) and 0 < seconds <= MAX_SECONDS):
        yield Fault(
            "seconds", f"a duration of {seconds:g} s is not possible; choose more than 0, up to {MAX_SECONDS} s"
        )
    for number, side in enumerate(request.size or ()):
        if not SIDES[0] <= side <= SIDES[1]:
            yield Fault(f"size[{number}]", f"a side of {side} pixels is not possible; choose {SIDES[0]} to {SIDES[1]}")
    if request.fps is not None:
        try:
            frame_rate(request.fps)
        except PhonofilmError as error:
            yield Fault("fps", str(error))
    given = max((float(clip.sound_seconds) for clip in request.given_stems.values()), default=0.0)
    if request.task == "generate" and seconds is None and given > MAX_SECONDS:
        yield Fault("seconds", f"what is given lasts {given:.0f} s; say how much of it to use, up to {MAX_SECONDS} s")
    if request.steps is not None and not 1 <= request.steps <= MAX_STEPS:
        yield Fault("steps", f"{request.steps} steps are not possible; choose 1 to {MAX_STEPS}")
    for path in ("seed", "video_seed", "audio_seed"):
        seed = getattr(request, path)
        if seed is not None and not 0 <= seed < 2**63:
            yield Fault(path, f"a seed of {seed} is not possible; choose 0 to {2**63 - 1}")
    for path, none in (("guidance", 1), ("modality_guidance", 1), ("stg", 0)):
        for number, scale in enumerate(getattr(request, path) or ()):
            if not (math.isfinite(scale) and 0 <= scale <= 100):
                said = f"a guidance of {scale:g} is not possible; choose 0 to 100 ({none} is none)"
                yield Fault(f"{path}[{number}]", said)


def _span_faults(request: Request) -> Iterator[Fault]:
    if request.span is None:
        yield Fault("span", "retake needs to know what to make again; pass span=(from, to) in seconds")
        return
    start, end = request.span
    if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < end):
        yield Fault("span", f"a retake from {start:g} to {end:g} s is not possible; choose 0 <= from < to")


def source_faults(request: Request) -> Iterator[Fault]:
    """What is wrong between a task and the clip it works on."""
    source = request.source
    if request.task == "generate":
        if source is not None:
            yield Fault("source", "generate takes no source clip; foley, animate, extend and retake do")
    elif source is None or source.seconds <= 0:
        yield Fault("source", f"{request.task} needs a clip to work on; pass source=Clip(...)")
    elif request.task == "foley" and source.frames is None:
        yield Fault("source", "foley needs a picture, and this clip has none; try animate for sound alone")
    elif request.task == "animate" and source.waveform is None:
        yield Fault("source", "animate needs sound, and this clip has none; try foley for a silent film")
    elif request.task == "retake":
        yield from _retake_faults(request, source)
    if source is not None and source.seconds > 0 and request.task in ("extend", "retake"):
        yield from _given_faults(request, source)


def _given_faults(request: Request, source: Clip) -> Iterator[Fault]:
    """Stems that are given to a part of a clip lie on the clip's clock: some of each must fall into that part."""
    if request.given_stems and source.waveform is None:
        said = f"this clip has no sound for a given {min(request.given_stems)} to go with; use foley, or soundtrack"
        yield Fault("given_stems", said)
        return
    start = made_from(request, source)
    for stem, clip in request.given_stems.items():
        if (length := float(clip.sound_seconds)) <= start:
            yield Fault(
                f"given_stems[{stem}]",
                f"the given {stem} lasts {length:.4g} s, and what is made begins {start:.4g} s into the clip: none of "
                "it is heard there; a stem begins with the clip, so give one that is longer",
            )


def made_from(request: Request, source: Clip) -> float:
    """The second of a clip at which extend or retake begins to make."""
    if request.task == "retake":
        return request.span[0] if request.span is not None else 0.0
    return float(source.picture_seconds or source.sound_seconds)


def remarks(request: Request) -> Iterator[str]:
    """Sentences about a clip that does not have all that a task would make of it."""
    source, asked = request.source, wanted(request)
    if source is None or request.task not in ("retake", "extend"):
        return
    if request.span is not None and request.span[1] > source.seconds + 0.005:
        yield (f"the clip ends at {source.seconds:.2f} s, before {request.span[1]:g} s: it is made again up to its end")
    if source.waveform is None and asked.made:
        yield "the clip has no sound, and gets none: the picture alone is made; phonofilm foley makes its sound"
    if source.frames is None and asked.picture:
        yield "the clip has no picture, and gets none: the sound alone is made; phonofilm animate makes its picture"


def _retake_faults(request: Request, source: Clip) -> Iterator[Fault]:
    if request.span is not None and request.span[0] >= source.seconds:
        start, end = request.span[0], source.seconds
        yield Fault("span[0]", f"a retake from {start:g} s starts after the clip's end at {end:.2f} s")
    asked = wanted(request)
    if not asked.picture and source.waveform is None:
        yield Fault("only", "this clip has no sound to retake; foley makes some")
    if not asked.made and source.frames is None:
        yield Fault("only", "this clip has no picture to retake; animate makes one")
