"""Where people are seen who speak indoors: a few sets, out of focus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonofilm.world.graphics import interiors
from phonofilm.world.graphics.lit_renderer import Defocus, Light, Paint
from phonofilm.world.graphics.rasterizer import Layer
from phonofilm.world.graphics.textures import noise

BLUR = 0.017


def sample(rng: np.random.Generator) -> dict[str, Any]:
    """A set as plain facts."""
    facts = interiors.sample(rng)
    return {**facts, "set": facts["kind"], "kind": "set", "grain": float(rng.uniform(0, 40))}


def light(place: Mapping[str, Any]) -> Light:
    return Light(place["light"], ground=(0.86, 0.76, 0.70))


def paint(place: Mapping[str, Any]) -> Paint:
    """A wall that is lighter towards the lamp."""
    top, low = (torch.tensor(c, dtype=torch.float32) for c in interiors.backdrop(_flat(place)))

    def painted(x: Tensor, y: Tensor) -> Tensor:
        pool = torch.exp(-(((x - 0.5 + 0.4 * place["light"]) / 0.8) ** 2) - ((y - 0.25) / 0.8) ** 2)
        tone = 0.84 + 0.24 * pool + 0.08 * (noise(x * 3 + place["grain"], y * 3, 2) - 0.5)
        return torch.lerp(top.to(x.device), low.to(x.device), y.clamp(0, 1)[..., None]) * tone[..., None]

    return painted


def layers(place: Mapping[str, Any]) -> list[Layer | Defocus]:
    """What stands in the set, out of focus."""
    return [*(layer for layer in interiors.layers(_flat(place)) if np.max(layer.opacity) > 0), Defocus(BLUR)]


def _flat(place: Mapping[str, Any]) -> dict[str, Any]:
    return {**place, "kind": place["set"]}
