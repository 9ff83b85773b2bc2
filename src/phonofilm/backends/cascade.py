"""Two models one after the other: the picture of one, then sound for it by another.

That is how sound was added to film before both were made together; as one command, the two can be compared on the same
prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from phonofilm.backends.base import Backend, Cancel, JobContext
from phonofilm.backends.canvas.stems import check_stems, stems_of, wanted
from phonofilm.backends.canvas.windows import Window
from phonofilm.backends.provenance import provenance_metadata
from phonofilm.backends.requests import as_request
from phonofilm.backends.streamed import window_of
from phonofilm.choices import Stem
from phonofilm.errors import PhonofilmError
from phonofilm.provenance.watermark.given import made_of
from phonofilm.types import Clip, Progress, Request


@dataclass(frozen=True)
class Cascade:
    """Picture by one model, sound by another; made by `registry.load`."""

    name: str
    picture: Backend
    sound: Backend

    @property
    def window(self) -> Window:
        """What the model of the sound looks at in one go."""
        return window_of(self.sound)

    @property
    def stems(self) -> tuple[Stem, ...]:
        """The kinds of sound that the model of the sound keeps apart."""
        return stems_of(self.sound)

    def check(self, request: Request) -> None:
        """See `Backend.check`."""
        if _is_sound_alone(request):
            self.sound.check(request)
        else:
            self._check_sound(request)
            self.picture.check(_silent(request))

    def generate(
        self, request: Request | str, progress: Progress | None = None, cancel: Cancel | None = None, **fields: Any
    ) -> Clip:
        """See `Backend.generate`: first the film, then its sound; `audio_seed` applies to the sound only.

        The steps, the sampler and the scales of a request are for the picture; the sound has its model's own. Where
        the sound alone is to make, they are for the sound.
        """
        heard: frozenset[str] = getattr(getattr(self.sound, "controls", None), "heard", frozenset())
        request = as_request(request, {**fields, "model": self.name}, heard)
        monitor = JobContext(progress, cancel)
        if _is_sound_alone(request):
            return self.sound.generate(request, progress, cancel)
        self._check_sound(request)
        film = self.picture.generate(_silent(request), progress, cancel)
        if not wanted(request).stems:
            return film
        monitor("sound", 0, 1)
        asked = Request(
            prompt=request.prompt,
            task="foley",
            source=film,
            seed=request.seed if request.audio_seed is None else request.audio_seed,
            negative=request.negative,
            only=request.only,
            no=request.no,
            effects=request.effects,
            music=request.music,
            given_stems=request.given_stems,
            gain=request.gain,
            hits=request.hits,
            follow=request.follow,
            sync=request.sync,
            control_scale=request.control_scale,
        )
        clip = self.sound.generate(asked, progress, cancel)
        notices = [line for part in (film, clip) for line in part.metadata.get("notices", "").splitlines()]
        weights = join_hashes([part.metadata.get("weights", "") for part in (film, clip)])
        metadata = provenance_metadata(request, self.name, weights, notices)
        return clip.with_(metadata=metadata, made=made_of(clip, request))

    def _check_sound(self, request: Request) -> None:
        """Refuse a sound that the second model cannot make."""
        asked = wanted(request)
        check_stems(replace(request, model=self.name), self.stems)
        added = asked.stems if request.task == "animate" else asked.given
        if added and request.task not in ("generate", "foley"):
            raise PhonofilmError(
                f"{self.name} is two models, of which neither can {request.task} with {added[0]} added; "
                "a model of speech, effects and music can"
            )
        if asked.given and not asked.made:
            raise PhonofilmError(f"{self.name} makes sound for a picture, and all of it is given; leave a stem to make")


def _silent(request: Request) -> Request:
    """What is asked of the model of the picture."""
    told = replace(request, only=None, no=(), effects="", music="", given_stems={}, gain={})
    return replace(told, hits=(), follow=None, sync=None, control_scale=None)


def _is_sound_alone(request: Request) -> bool:
    """Whether the picture stays as it is."""
    return request.task == "foley" or not wanted(request).picture


def join_hashes(weights: Sequence[str]) -> str:
    """What names the weights of both."""
    return "+".join(weights)
