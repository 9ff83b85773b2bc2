"""Foley World: procedural film whose truth is exact.

`sample` draws a scene's truth (physics, events, parameters) from a seed; `render` draws and sounds a
batch of scenes at any size and rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.types import Clip, nearest, rational
from phonofilm.world.truth import Truth

if TYPE_CHECKING:
    from torch import Tensor

FAMILIES = ("bounce", "strike")
__all__ = ["FAMILIES", "Rendered", "Truth", "clips", "render", "sample"]


@dataclass(frozen=True, eq=False)
class Rendered:
    """A batch of scenes: frames uint8 [B, T, H, W, 3]; stems and their sum, float32 [B, 2, N]."""

    frames: Tensor
    stems: dict[str, Tensor]
    waveform: Tensor


def family(name: str) -> ModuleType:
    """The module that samples, draws and sounds a family of scenes."""
    if name not in FAMILIES:
        raise PhonofilmError(f"there is no scene family {name!r}; choose from {', '.join(FAMILIES)}")
    from importlib import import_module

    try:
        return import_module(f"phonofilm.world.{name}")
    except ModuleNotFoundError as error:
        if error.name != "pymunk":
            raise
        raise PhonofilmError("Foley World needs pymunk: pip install 'phonofilm[world]'") from error


def sample(name: str, seed: int, seconds: float = 4.0) -> Truth:
    """The truth of one scene: a pure function of its arguments."""
    rng = np.random.default_rng([FAMILIES.index(name) if name in FAMILIES else 0, seed])
    return family(name).sample(rng, seed, seconds)


def render(
    truths: Sequence[Truth],
    size: int | tuple[int, int] = 64,
    fps: float | Fraction = 12,
    sample_rate: int = 16_000,
    device: str = "cpu",
) -> Rendered:
    """Draw and sound scenes of equal duration; size is one side or (width, height) in pixels."""
    import torch

    from phonofilm.world.synthesis import mix, synthesise

    rate = rational(fps)
    frames = max(1, nearest(Fraction(str(truths[0].seconds)) * rate))
    samples = nearest(frames / rate * sample_rate)
    scores = [family(truth.family).score(truth) for truth in truths]
    stems = synthesise(scores, samples, sample_rate, device)
    pictures = torch.stack(_draw(truths, size, rate, frames, device))
    return Rendered(pictures, stems, mix(stems))


def _draw(
    truths: Sequence[Truth], size: int | tuple[int, int], rate: Fraction, frames: int, device: str
) -> list[Tensor]:
    """Scenes with equally many layers are drawn together, the others apart."""
    from phonofilm.world.drawing import draw

    width, height = (size, size) if isinstance(size, int) else size
    times = np.arange(frames) / float(rate)
    stacks = [family(truth.family).layers(truth, times) for truth in truths]
    groups: dict[tuple[str, int], list[int]] = {}
    for index, (truth, stack) in enumerate(zip(truths, stacks, strict=True)):
        groups.setdefault((truth.family, len(stack)), []).append(index)
    pictures: dict[int, Tensor] = {}
    for (name, _), members in groups.items():
        backdrops = np.stack([family(name).backdrop(truths[i]) for i in members])
        drawn = draw(backdrops, [stacks[i] for i in members], frames, width, height, device)
        pictures.update(zip(members, drawn, strict=True))
    return [pictures[index] for index in range(len(truths))]


def clips(
    truths: Sequence[Truth], size: int | tuple[int, int] = 64, fps: float | Fraction = 12, sample_rate: int = 16_000
) -> list[Clip]:
    """Scenes as clips, with caption, events and stems."""
    made = render(truths, size, fps, sample_rate)
    return [
        Clip(
            frames=made.frames[i].numpy(),
            fps=rational(fps),
            waveform=made.waveform[i].numpy(),
            sample_rate=sample_rate,
            prompt=truth.caption,
            events=truth.events,
            stems={name: stem[i].numpy() for name, stem in made.stems.items()},
        )
        for i, truth in enumerate(truths)
    ]
