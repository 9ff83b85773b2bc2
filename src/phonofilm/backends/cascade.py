"""Two models one after the other: the picture of one, then sound for it by another.

That is how sound was added to film before both were made together; as one command, the two can be compared on the same
prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonofilm.backends.base import Backend, Cancel, JobContext, Progress, load, provenance_metadata, public_backend
from phonofilm.backends.canvas.windows import Window
from phonofilm.backends.requests import as_request
from phonofilm.backends.streamed import window_of
from phonofilm.errors import PhonofilmError
from phonofilm.types import Clip, Request

OWN_SOUND = "foley"
"""Stands for the embedded model in the name of a cascade."""


def split_cascade_name(model: str | Path) -> tuple[str, str] | None:
    """The models of picture and of sound in a name like "wan2.2+foley", or None for any other name or path."""
    picture, plus, sound = str(model).rpartition("+")
    if not plus or not picture or not sound or Path(model).exists():
        return None
    return picture, "nano" if sound == OWN_SOUND else sound


@dataclass(frozen=True)
class Cascade:
    """Picture by one model, sound by another; made by `load`."""

    name: str
    picture: Backend
    sound: Backend

    @staticmethod
    def load(model: str, device: str = "auto", **options: Any) -> Cascade:
        """Load both; `options` are for those of them that are public models.

        Raises:
            PhonofilmError: a model that is not here, or one that makes no silent film.
        """
        first, second = pair_of(model)
        picture = public_backend(first, options).load(first, device=device, alone=False, **options)
        return Cascade(_short(model), picture, load(second, device=device, **options_for(second, options)))

    @property
    def window(self) -> Window:
        """What the model of the sound looks at in one go."""
        return window_of(self.sound)

    def check(self, request: Request) -> None:
        """See `Backend.check`."""
        (self.sound if _is_sound_alone(request) else self.picture).check(request)

    def generate(
        self, request: Request | str, progress: Progress | None = None, cancel: Cancel | None = None, **fields: Any
    ) -> Clip:
        """See `Backend.generate`: first the film, then its sound, which alone hears `audio_seed`.

        The steps, the sampler and the scales of a request are for the picture; the sound has its model's own. Where
        the sound alone is to make, they are for the sound.
        """
        request, monitor = as_request(request, {**fields, "model": self.name}), JobContext(progress, cancel)
        if _is_sound_alone(request):
            return self.sound.generate(request, progress, cancel)
        film = self.picture.generate(request, progress, cancel)
        monitor("sound", 0, 1)
        asked = Request(
            prompt=request.prompt,
            task="foley",
            source=film,
            seed=request.seed if request.audio_seed is None else request.audio_seed,
            negative=request.negative,
        )
        clip = self.sound.generate(asked, progress, cancel)
        notices = [line for part in (film, clip) for line in part.metadata.get("notices", "").splitlines()]
        weights = join_hashes([part.metadata.get("weights", "") for part in (film, clip)])
        return clip.with_(metadata=provenance_metadata(request, self.name, weights, notices))


def _is_sound_alone(request: Request) -> bool:
    """Whether the picture stays as it is."""
    return request.task == "foley" or (request.task == "retake" and request.only == "audio")


def pair_of(model: str | Path) -> tuple[str, str]:
    """The two models of a cascade, checked.

    Raises:
        PhonofilmError: the first one makes no silent film.
    """
    from phonofilm.weights import family

    pair = split_cascade_name(model)
    assert pair is not None  # whoever calls has asked
    if family(pair[0]) != "wan":
        raise PhonofilmError(f"{model}: {pair[0]} makes no silent film for another model to add sound to; wan2.2 does")
    return pair


def join_hashes(weights: Sequence[str]) -> str:
    """What names the weights of both."""
    return "+".join(weights)


def _short(model: str) -> str:
    """A folder's own name is enough in results."""
    return Path(model).name


def options_for(model: str, options: dict[str, Any]) -> dict[str, Any]:
    from phonofilm.weights import family

    return options if family(model) is not None else {}
