"""Which parts of a film a request asks for (picture, speech, effects, music), and what is wrong with how it asks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from phonofilm.choices import PARTS, STEMS, Part, Stem
from phonofilm.errors import PhonofilmError
from phonofilm.types import Request

GAINS = (-96.0, 24.0)
"""Levels in dB that a stem can be given."""
PROMPTED: tuple[Stem, ...] = ("effects", "music")
"""The stems with a prompt of their own."""


class Fault(NamedTuple):
    """What is wrong with one field of a request: where it is, as `guidance[1]`, and what to do."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass(frozen=True)
class Wanted:
    """The parts of a film that a request asks for.

    Attributes:
        picture: whether a picture is made.
        made: stems that are made; all of them stand for a mix.
        silent: stems that are given to the model as silence.
        given: stems that are given as they are.
    """

    picture: bool
    made: tuple[Stem, ...]
    silent: tuple[Stem, ...]
    given: tuple[Stem, ...]

    @property
    def stems(self) -> tuple[Stem, ...]:
        """Those that the film has, in the order of models."""
        return tuple(stem for stem in STEMS if stem in (*self.made, *self.silent, *self.given))


def wanted(request: Request) -> Wanted:
    """The parts that a request asks for, whatever its task; animate keeps its sound, and adds what is named to it."""
    asked = set(PARTS if request.only is None else request.only)
    if request.task == "animate" and request.only is None:
        asked = {"video", *(stem for stem in PROMPTED if getattr(request, stem))}
    without = set(request.no)
    if "audio" in asked:
        asked |= set(STEMS)
    silent = tuple(stem for stem in STEMS if stem in without)
    if "audio" in without:
        asked, silent = asked - set(STEMS), ()
    given = tuple(stem for stem in STEMS if stem in request.given_stems)
    made = tuple(stem for stem in STEMS if stem in asked - without - set(given))
    return Wanted("video" in asked - without, made, silent, given)


def stem_faults(request: Request) -> Iterator[Fault]:
    """All that is wrong with the parts that a request asks for, whichever model it is for."""
    unknown = list(_unknown(request))
    if unknown:
        yield from unknown
        return
    yield from _of_the_task(request)
    yield from _contradictions(request)
    for name, level in request.gain.items():
        if not (math.isfinite(level) and GAINS[0] <= level <= GAINS[1]):
            yield Fault(f"gain[{name}]", f"a gain of {level:g} dB is not possible; choose {GAINS[0]:g} to {GAINS[1]:g}")
    for stem, clip in request.given_stems.items():
        if clip.waveform is None or clip.waveform.shape[1] == 0:
            yield Fault(f"given_stems[{stem}]", f"what is given as {stem} has no sound; give a sound file")
        elif not np.isfinite(clip.waveform).all():
            yield Fault(f"given_stems[{stem}]", f"what is given as {stem} holds values that are not finite")


def _unknown(request: Request) -> Iterator[Fault]:
    for path, names in (("only", request.only or ()), ("no", request.no)):
        for name in names:
            if name not in PARTS:
                yield Fault(path, f"there is no part {name!r} of a film; choose from {', '.join(PARTS)}")
    asked = {"given_stems": request.given_stems, "gain": request.gain}
    for path, stems in asked.items():
        for stem in stems:
            if stem not in STEMS:
                yield Fault(path, f"there is no stem {stem!r}; choose from {', '.join(STEMS)}")
    if request.mix_as not in (None, *STEMS):
        yield Fault("mix_as", f"there is no stem {request.mix_as!r}; choose from {', '.join(STEMS)}")


def _of_the_task(request: Request) -> Iterator[Fault]:
    """What a task has no use for."""
    task, own = request.task, "; omit it"
    if task == "extend" and request.only is not None:
        yield Fault("only", f"extend: picture and sound go on as they are{own}")
    streams = [name for name in request.no if name in ("video", "audio")]
    if task != "generate" and streams:
        yield Fault("no", f"{task} keeps of its clip what it does not make; {streams[0]} cannot be left out")
    if task in ("generate", "foley") and request.mix_as is not None:
        yield Fault("mix_as", f"{task} has no sound of a clip to work on{own}")
    elif request.mix_as in request.given_stems:
        said = f"the clip's sound is taken for {request.mix_as}, and {request.mix_as} is given; choose another mix_as"
        yield Fault("mix_as", said)
    if task == "animate" and not streams:
        yield from _beside_its_sound(request)


def _beside_its_sound(request: Request) -> Iterator[Fault]:
    """What animate cannot add to the sound that it keeps."""
    found, only = wanted(request), request.only or ()
    added = (*found.made, *found.given, *found.silent)
    if "audio" in only:
        yield Fault("only", "animate keeps the sound of its clip; name the stems that are added, as video,effects")
    elif not found.picture:
        yield Fault("only", "animate makes a picture; add video, or give the sound to generate (given_stems)")
    elif set(added) == set(STEMS):
        yield Fault(
            "only" if only else "given_stems",
            f"animate keeps the sound of its clip, and {', '.join(STEMS)} are all made, given or silent; leave one out",
        )
    elif request.mix_as in (*found.made, *found.silent):
        said = "made" if request.mix_as in found.made else "silent"
        yield Fault("mix_as", f"the clip's sound is taken for {request.mix_as}, which is {said}; choose another mix_as")


def _contradictions(request: Request) -> Iterator[Fault]:
    found = wanted(request)
    only: tuple[Part, ...] = request.only or ()
    for name in request.no:
        if name in only:
            yield Fault("no", f"{name} is in only and in no; leave it out of one")
            return
    for stem in found.given:
        if stem in request.no or "audio" in request.no:
            yield Fault("given_stems", f"{stem} is given and left out; choose one")
            return
    left = found.made or (found.picture and request.task != "foley")
    if not left:
        path = "only" if request.only is not None else "no" if request.no else "given_stems"
        yield Fault(path, "nothing is left to make; leave something in")
        return
    for stem in PROMPTED:
        if getattr(request, stem) and stem not in found.made:
            yield Fault(stem, f"there is a prompt for {stem}, which is not made; omit the prompt, or make it")
    for stem in request.gain:
        if stem in STEMS and stem not in found.stems:
            yield Fault(f"gain[{stem}]", f"there is no {stem} in what is made; omit its gain")
    if request.image is not None and request.task == "generate" and not found.picture:
        yield Fault("image", "an image is the beginning of a picture, and no picture is made; omit it")


def needs_prompt(request: Request) -> bool:
    """Whether something is made that only `prompt` can tell about."""
    found = wanted(request)
    return found.picture or not found.made or any(not getattr(request, stem, "") for stem in found.made)


def stems_of(backend: object) -> tuple[Stem, ...]:
    """The kinds of sound that a backend keeps apart; none where it makes one mix, or does not say."""
    found: tuple[Stem, ...] = getattr(backend, "stems", ())
    return found


def check_stems(request: Request, stems: tuple[Stem, ...]) -> None:
    """Refuse what a model with these stems cannot do; none means one mix of all sound.

    Raises:
        PhonofilmError: with what is wrong and what to do.
    """
    if stems:
        return
    asked = [f"only {name}" for name in request.only or () if name in STEMS]
    asked += [f"no {name}" for name in request.no if name in STEMS]
    asked += [f"a prompt for {name}" for name in PROMPTED if getattr(request, name)]
    asked += [f"{name} that is given" for name in request.given_stems]
    asked += [f"a gain for {name}" for name in request.gain]
    if asked:
        raise PhonofilmError(
            f"{request.model} has one mix of sound: {asked[0]} needs a model with speech, effects and music apart"
        )
