"""Sounds to train on: single stems, whole mixes, and mixes that no scene has, of stems of several scenes."""

from __future__ import annotations

import torch
from torch import Tensor

SINGLE, OWN = 0.45, 0.25
"""Shares of single stems and of whole mixes of one scene; the others are mixes of stems of several scenes."""
AUDIBLE = 1e-3
"""Peak from which a stem is not silence."""


def random_mixes(stems: Tensor, generator: torch.Generator) -> Tensor:
    """A sound for each scene from stems [B, S, 2, N], float32 [B, 2, N] in [-1, 1]; sides are swapped at random."""
    audible = [(b, s) for b, scene in enumerate(stems.abs().amax(dim=(2, 3)) > AUDIBLE) for s in _true(scene)]
    sounds = []
    for row, scene in enumerate(stems):
        choice, swap, level = torch.rand(3, generator=generator).tolist()
        own = [s for b, s in audible if b == row]
        if choice < SINGLE and own:
            sound = scene[own[_draw(len(own), generator)]]
        elif choice < SINGLE + OWN or not audible:
            sound = scene.sum(0)
        else:
            count = 2 + _draw(2, generator)
            parts = [stems[audible[_draw(len(audible), generator)]] for _ in range(count)]
            gains = 10 ** ((18 * torch.rand(count, generator=generator) - 15) / 20)
            sound = sum((gain * part for gain, part in zip(gains, parts, strict=True)), torch.zeros(()))
        sound = sound * 10 ** (-0.6 * level) / max(1.0, float(sound.abs().amax()) / 0.95)
        sounds.append(sound.flip(0) if swap < 0.5 else sound)
    return torch.stack(sounds)


def _true(flags: Tensor) -> list[int]:
    return [int(place) for place in flags.nonzero()]


def _draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
