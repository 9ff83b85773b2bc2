"""The other way from a prompt to a film with sound: the picture first, then a sound for it."""

from __future__ import annotations

import numpy as np

from phonofilm.backends.native import NativeBackend
from phonofilm.types import Clip, Request


def cascade(picture: NativeBackend, sound: NativeBackend, prompt: str, seed: int) -> Clip:
    """A silent film by one model and its sound by another, or by the same: each noise as one pass would draw it."""
    silent = picture.generate(picture_request(picture, prompt, seed))
    return sound.generate(Request(prompt=prompt, task="foley", seed=seed, source=silent))


def picture_request(backend: NativeBackend, prompt: str, seed: int) -> Request:
    """Text to picture alone: a silent film made again from beginning to end, so that the sound is absent."""
    trained = backend.parts.trained
    blank = np.zeros((trained.frames, trained.size[1], trained.size[0], 3), np.uint8)
    film = Clip(frames=blank, fps=trained.fps)
    return Request(prompt=prompt, task="retake", seed=seed, source=film, span=(0.0, float(film.seconds)))
