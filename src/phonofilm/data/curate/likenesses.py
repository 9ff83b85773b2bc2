"""How like the shots of a test set others are, by what networks make of pictures and sound (the step "likeness")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from phonofilm.data.curate.common.step import Value
from phonofilm.data.curate.steps.likeness import HEARD, pictures_of, sound_of

SAME_SOUND, MORE = 0.92, 0.11
"""Cosine of two sounds from which on they are alike, and how much more alike that makes two shots. Chosen, as the
threshold of the rule, on 24 scenes of Foley World against themselves mirrored, cropped, graded and turned down."""


@dataclass(frozen=True)
class Like:
    """The shot of a test set that another is most like, and how much (the cosine of pictures, and more where sounds are
    alike as well)."""

    original: str
    likeness: float


def find_like(shots: Mapping[str, Value], tests: Mapping[str, Value]) -> dict[str, Like]:
    """For each shot, by key, the shot of a test set that it is most like; none where either has no picture to compare.

    The cosine is the mean over its pictures, of each to the nearest picture of the other shot.
    """
    seen = {key: vectors for key, value in tests.items() if len(vectors := pictures_of(value))}
    if not seen:
        return {}
    names, stacked = list(seen), np.concatenate(list(seen.values()))
    firsts = np.cumsum([0, *(len(vectors) for vectors in seen.values())])[:-1]
    sounds = [sound_of(tests[name]) for name in names]
    heard = np.concatenate([sound if len(sound) else np.zeros((1, HEARD), np.float32) for sound in sounds])
    found = {}
    for key, value in shots.items():
        own, sound = pictures_of(value), sound_of(value)
        if not len(own):
            continue
        alike = np.maximum.reduceat(own @ stacked.T, firsts, axis=1).mean(axis=0)
        if len(sound):
            alike = alike + MORE * (heard @ sound[0] >= SAME_SOUND)
        place = int(alike.argmax())
        found[key] = Like(names[place], float(alike[place]))
    return found
