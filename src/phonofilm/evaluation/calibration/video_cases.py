"""What a knob does to pictures, case by case, from mild to strong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from phonofilm.evaluation.calibration import sources
from phonofilm.evaluation.calibration.audio_cases import STRANGER, Case, Films
from phonofilm.evaluation.calibration.sources import Source
from phonofilm.evaluation.distortions import distort


def blur(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    base = sources.framed(sources.cut(films(False)))
    yield Case("", None, base)
    for level in levels:
        yield Case("", level, distort(base, "blur", level, source.seed), real=True)


def flicker(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    """Every picture a little brighter or darker than it should be."""
    base = sources.framed(sources.cut(films(False)))
    frames = base.picture.frames
    ways = np.random.default_rng(source.seed).normal(size=(len(frames), 1, 1, 1)).astype(np.float32)
    for level in levels:
        yield Case("", level, base.with_(frames=np.clip(np.rint(frames + level * ways), 0, 255).astype(np.uint8)))


def stutter(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    """A share of the pictures, more of the same ones at each level, shows the one before instead."""
    base = sources.framed(sources.cut(films(False)))
    frames = base.picture.frames
    rank = np.random.default_rng(source.seed).random(len(frames))
    for level in levels:
        shown = np.maximum(np.arange(len(rank)) - (rank < level), 0)
        yield Case("", level, base.with_(frames=frames[shown]))


def intruders(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    """A share of the pictures, more of the same ones at each level, is of another film."""
    base = sources.framed(sources.cut(films(False)))
    family = next(name for name in ("bounce", "strike") if name != source.name)
    other = sources.framed(sources.cut(sources.reel(family, source.seed + STRANGER)))
    own, strange = base.picture.frames, other.picture.frames
    rank = np.random.default_rng(source.seed).random(len(own))
    for level in levels:
        yield Case("", level, base.with_(frames=np.where((rank < level)[:, None, None, None], strange, own)))


def grain(source: Source, films: Films, levels: Sequence[float]) -> Iterator[Case]:
    base = sources.framed(sources.cut(films(False)))
    frames = base.picture.frames
    yield Case("", None, base)
    for level in levels:
        grain = np.random.default_rng(source.seed).normal(0, level, frames.shape).astype(np.float32)
        noisy = np.clip(np.rint(frames + grain), 0, 255).astype(np.uint8)
        yield Case("", level, base.with_(frames=noisy), real=True)
