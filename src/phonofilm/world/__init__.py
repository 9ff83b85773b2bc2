"""Foley World: procedural film whose truth is exact.

`sample` draws a scene's truth (physics, events, parameters) from a seed; `render` draws and sounds a
batch of scenes at any size and rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from phonofilm.errors import PhonofilmError
from phonofilm.extras import lacking
from phonofilm.types import Clip, nearest, rational
from phonofilm.world.common.scene import Truth

if TYPE_CHECKING:
    from torch import Tensor

    from phonofilm.world.audio.synthesis import Score

# each family and its module in `families`; seeds depend on the order, so new ones come last (docs/extending.md)
FILES = {"bounce": "bounce", "strike": "strike", "pass": "passing", "blast": "blast", "rain": "rain", "talk": "talk"}
FAMILIES = tuple(FILES)
EDITIONS = (1, 2)
STEMS = ("speech", "effects", "music")  # those of every clip of the second edition, silent or not
CHUNK = 96  # frames of a lit scene that are drawn together
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
        return import_module(f"phonofilm.world.families.{FILES[name]}")
    except ModuleNotFoundError as error:
        if error.name != "pymunk":
            raise
        raise lacking("pymunk", "Foley World") from error


def sample(name: str, seed: int, seconds: float = 4.0, music: float | None = None, edition: int = 1) -> Truth:
    """The truth of one scene: a pure function of its arguments.

    Args:
        music: how likely the scene has a music bed, 0 to 1; None leaves it to the family.
        edition: 1, flat scenes of one family each, which `nano-64` learnt; 2, lit scenes that combine and go on.
    """
    made, number = family(name), FAMILIES.index(name)
    if edition == 2:
        from phonofilm.world.scenes import scene

        if name not in scene.MADE:
            raise PhonofilmError(f"{name} has no scenes of edition 2; choose edition 1, or {', '.join(scene.MADE)}")
        return scene.sample(name, number, seed, seconds, music)
    if edition not in EDITIONS:
        raise PhonofilmError(f"there is no edition {edition} of Foley World; choose from 1 and 2")
    truth: Truth = made.sample(np.random.default_rng([number, seed]), seed, seconds)
    # drawn apart, so that the scene is the same with and without music
    rng = np.random.default_rng([number, seed, 1])
    share = getattr(made, "MUSIC", 0.0) if music is None else music
    return _accompanied(truth, rng) if rng.random() < share else truth


def _accompanied(truth: Truth, rng: np.random.Generator) -> Truth:
    from phonofilm.world.audio import music
    from phonofilm.world.common import captions

    piece = music.sample(rng)
    return replace(
        truth,
        caption=captions.with_music(rng, truth.caption, music.said(piece)),
        events=(music.event(piece, truth.seconds), *truth.events),
        params={**truth.params, "music": piece},
    )


def _score(truth: Truth) -> Score:
    """All sounds of a scene, with its music bed if it has one."""
    if truth.edition == 2:
        from phonofilm.world.scenes import scene

        return scene.score(truth.details["scene"])
    effects: Score = family(truth.family).score(truth)
    if "music" not in truth.params:
        return effects
    from phonofilm.world.audio import music

    bed = music.score(truth.params["music"], truth.seconds)
    return replace(effects, hits=effects.hits + bed.hits, tones=effects.tones + bed.tones)


def render(
    truths: Sequence[Truth],
    size: int | tuple[int, int] = 64,
    fps: float | Fraction = 12,
    sample_rate: int = 16_000,
    device: str = "cpu",
) -> Rendered:
    """Draw and sound scenes of equal duration; size is one side or (width, height) in pixels.

    Each scene is drawn and sounded by itself, and on a processor by one thread: vectorised functions and sums round
    differently with the length and the alignment of their arrays, so that only this gives the same bytes whatever
    else is drawn, and in however many processes and threads.
    """
    import torch

    from phonofilm.world.audio.synthesis import mix, synthesise

    rate = rational(fps)
    frames = max(1, nearest(Fraction(str(truths[0].seconds)) * rate))
    samples = nearest(frames / rate * sample_rate)
    with _one_thread():
        pictures = torch.stack([_draw(truth, size, rate, frames, device) for truth in truths])
        stems = synthesise([_score(truth) for truth in truths], samples, sample_rate, device)
        if any(truth.edition == 2 for truth in truths):
            stems |= {name: torch.zeros(len(truths), 2, samples, device=device) for name in STEMS if name not in stems}
        return Rendered(pictures, stems, mix(stems))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch computes with one thread inside."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _draw(truth: Truth, size: int | tuple[int, int], rate: Fraction, frames: int, device: str) -> Tensor:
    """uint8 [T, H, W, 3]."""
    width, height = (size, size) if isinstance(size, int) else size
    if truth.edition == 2:
        return _draw_lit(truth, width, height, rate, frames, device)
    from phonofilm.world.graphics.rasterizer import draw

    made = family(truth.family)
    stack = made.layers(truth, np.arange(frames) / float(rate))
    return draw(made.backdrop(truth)[None], [stack], frames, width, height, device)[0]


def _draw_lit(truth: Truth, width: int, height: int, rate: Fraction, frames: int, device: str) -> Tensor:
    import torch

    from phonofilm.world.graphics.lit_renderer import draw, shutter_times
    from phonofilm.world.scenes.scene import picture

    scene, times = truth.details["scene"], shutter_times(frames, float(rate)).reshape(frames, 3)
    parts = []
    for first in range(0, frames, CHUNK):
        part = times[first : first + CHUNK]
        parts.append(draw(picture(scene, part.reshape(-1)), len(part), width, height, device))
    return torch.cat(parts)


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
