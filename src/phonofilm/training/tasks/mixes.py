"""Sounds to train on: single stems, whole mixes, and mixes that no scene has, of stems of several scenes."""

from __future__ import annotations

import torch
from torch import Tensor

from phonofilm.data.clips import STEMS

SINGLE, OWN = 0.45, 0.25
"""Shares of single stems and of whole mixes of one scene; the others are mixes of stems of several scenes."""
AUDIBLE = 1e-3
"""Peak from which a stem is not silence."""
SPEECH = STEMS.index("speech")
Place = tuple[int, int]
"""A scene, and one of its stems."""


def random_mixes(stems: Tensor, generator: torch.Generator, speech: float = 0.0) -> tuple[Tensor, Tensor]:
    """A sound for each scene from stems [B, S, 2, N], and the speech in it.

    Args:
        speech: share of the sounds that are speech of some scene of the batch, alone or with another stem.

    Returns:
        both float32 [B, 2, N] in [-1, 1]; sides are swapped at random.
    """
    audible = [(b, s) for b, scene in enumerate(stems.abs().amax(dim=(2, 3)) > AUDIBLE) for s in _true(scene)]
    spoken = [place for place in audible if place[1] == SPEECH]
    sounds: list[Tensor] = []
    voices: list[Tensor] = []
    for row in range(len(stems)):
        choice, swap, level = torch.rand(3, generator=generator).tolist()
        own = [place for place in audible if place[0] == row]
        if speech and spoken and float(torch.rand((), generator=generator)) < speech:
            other = [audible[_draw(len(audible), generator)]] if choice < 0.5 else []
            parts = _scaled([spoken[_draw(len(spoken), generator)], *other], generator)
        elif choice < SINGLE and own:
            parts = [(own[_draw(len(own), generator)], 1.0)]
        elif choice < SINGLE + OWN or not audible:
            parts = [((row, stem), 1.0) for stem in range(stems.shape[1])]
        else:
            count = 2 + _draw(2, generator)
            parts = _scaled([audible[_draw(len(audible), generator)] for _ in range(count)], generator)
        sound = _sum(stems, parts)
        gain = 10 ** (-0.6 * level) / max(1.0, float(sound.abs().amax()) / 0.95)
        voice = _sum(stems, [part for part in parts if part[0][1] == SPEECH])
        for made, one in ((sounds, sound), (voices, voice)):
            made.append((one.flip(0) if swap < 0.5 else one) * gain)
    return torch.stack(sounds), torch.stack(voices)


def _scaled(places: list[Place], generator: torch.Generator) -> list[tuple[Place, float]]:
    """Each with a gain from -15 to 3 dB."""
    gains = 10 ** ((18 * torch.rand(len(places), generator=generator) - 15) / 20)
    return list(zip(places, gains.tolist(), strict=True))


def _sum(stems: Tensor, parts: list[tuple[Place, float]]) -> Tensor:
    """[2, N]; silence where there are no parts."""
    return sum((gain * stems[place] for place, gain in parts), torch.zeros_like(stems[0, 0]))


def _true(flags: Tensor) -> list[int]:
    return [int(place) for place in flags.nonzero()]


def _draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
