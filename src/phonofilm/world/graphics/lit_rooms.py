"""Indoor places: a wall with window light on it, a floor in perspective, a table; painted once for all frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonofilm.world.graphics.lit_renderer import Light, Paint
from phonofilm.world.graphics.rasterizer import Layer
from phonofilm.world.graphics.textures import noise

# colours of wall and floor that go well together
PALETTES = {
    "sand": ((0.86, 0.79, 0.68), (0.60, 0.42, 0.27)),
    "sage": ((0.60, 0.69, 0.58), (0.58, 0.45, 0.32)),
    "dusk": ((0.42, 0.54, 0.66), (0.72, 0.60, 0.46)),
    "terracotta": ((0.80, 0.56, 0.45), (0.46, 0.36, 0.31)),
    "slate": ((0.30, 0.33, 0.39), (0.52, 0.49, 0.47)),
    "cream": ((0.93, 0.88, 0.78), (0.47, 0.53, 0.57)),
    "teal": ((0.24, 0.47, 0.49), (0.80, 0.71, 0.58)),
    "lilac": ((0.71, 0.65, 0.79), (0.55, 0.49, 0.57)),
}
FLOORS = ("planks", "tiles", "smooth")


def sample(rng: np.random.Generator) -> dict[str, Any]:
    """A room as plain facts."""
    return {
        "kind": "room",
        "palette": str(rng.choice(list(PALETTES))),
        "surface": str(rng.choice(FLOORS)),
        "light": float(rng.choice([-1.0, 1.0])),
        "window": float(rng.uniform(0.35, 0.65)),
        "grain": float(rng.uniform(0, 40)),
        "room_decay": float(rng.uniform(0.15, 0.45)),
    }


def light(place: Mapping[str, Any]) -> Light:
    """The key light comes through the window; the floor throws its own colour back."""
    floor = np.array(PALETTES[place["palette"]][1])
    bounce = 0.55 + 0.6 * floor / floor.mean() * 0.5
    return Light(place["light"], ground=(float(bounce[0]), float(bounce[1]), float(bounce[2])))


def paint(place: Mapping[str, Any], horizon: float) -> Paint:
    """Wall and floor; they meet at height `horizon`."""
    wall, floor = (torch.tensor(c) for c in PALETTES[place["palette"]])
    side, grain = place["light"], place["grain"]

    def painted(x: Tensor, y: Tensor) -> Tensor:
        wall_, floor_ = wall.to(x.device), floor.to(x.device)
        plaster = 1 + 0.05 * (noise(x * 5 + grain, y * 5, 2) - 0.5)
        pool = torch.exp(-(((x - 0.5 + 0.15 * side) / 0.55) ** 2) - ((y - 0.30) / 0.5) ** 2)
        shining = 0.78 + 0.22 * pool + 0.20 * _window(x, y, place)
        meets = 1 - 0.30 * torch.exp(-(horizon - y).clamp(min=0) / 0.05)
        high = (wall_ * (plaster * shining * meets)[..., None]).clamp(max=1)
        board = ((y > horizon - 0.035) & (y < horizon)).float()[..., None]
        trim = wall_ * 0.45 + 0.5
        high = torch.lerp(high, (trim * (0.86 + 0.14 * pool)[..., None]).clamp(max=1), board.expand_as(high))
        low = floor_ * (_floor(x, y, horizon, place) * (0.74 + 0.30 * pool))[..., None]
        return torch.where((y < horizon)[..., None], high, low.clamp(max=1))

    return painted


def table(place: Mapping[str, Any], edge: float) -> Paint:
    """A table top seen from above, below a wall out of focus; they meet at height `edge`."""
    wall, floor = (torch.tensor(c) for c in PALETTES[place["palette"]])
    side, grain = place["light"], place["grain"]

    def painted(x: Tensor, y: Tensor) -> Tensor:
        wall_, wood = wall.to(x.device), floor.to(x.device) * 0.75 + 0.10
        pool = torch.exp(-(((x - 0.5 + 0.25 * side) / 0.6) ** 2) - ((y - 0.45) / 0.55) ** 2)
        soft = 0.62 + 0.25 * pool + 0.22 * noise(x * 2.2 + grain, y * 2.2 + grain, 2)
        near = (y - edge).clamp(min=0) + 0.5
        u, v = (x - 0.5) / near + 20, 1.1 / near + grain
        rings = torch.sin((v * 2.2 + 0.9 * noise(u * 1.2, v * 2.4)) * (2 * torch.pi))
        top = (0.84 + 0.035 * rings + 0.07 * noise(u * 2.5, v * 16)) * (0.72 + 0.36 * pool)
        blend = ((y - edge) / 0.035 + 0.5).clamp(0, 1)[..., None]
        shining = torch.exp(-(((y - edge - 0.02) / 0.05) ** 2))[..., None] * 0.10
        return torch.lerp(
            (wall_ * soft[..., None] * 0.85), wood * top[..., None] + shining, blend.expand(-1, x.shape[1], 3)
        )

    return painted


def _window(x: Tensor, y: Tensor, place: Mapping[str, Any]) -> Tensor:
    """Light that falls through a window with a cross onto the wall, softly."""
    side = place["light"]
    u = (x - place["window"] - 0.22 * side * (y - 0.3)) / 0.17
    v = (y - 0.27) / 0.20

    def pane(middle: float, at: Tensor) -> Tensor:
        return ((0.44 - (at - middle).abs()) / 0.10 + 0.5).clamp(0, 1)

    return (pane(-0.5, u) + pane(0.5, u)).clamp(max=1) * (pane(-0.5, v) + pane(0.5, v)).clamp(max=1)


def _floor(x: Tensor, y: Tensor, horizon: float, place: Mapping[str, Any]) -> Tensor:
    """Tone of the floor, seen in perspective."""
    near = (y - horizon).clamp(min=0) + 0.16
    u, v = (x - 0.5) / near * 0.55 + 20, 0.5 / near + place["grain"]
    tone = 0.80 + 0.55 * (y - horizon).clamp(min=0)
    if place["surface"] == "smooth":
        return tone + 0.03 * noise(u * 3, v * 3)
    if place["surface"] == "tiles":
        seam = torch.minimum(_seam(u * 3.0, 0.05), _seam(v * 3.0, 0.05))
        return (
            tone * (0.86 + 0.14 * seam) * (1 + 0.07 * (noise(torch.floor(u * 3) * 7.5, torch.floor(v * 3) * 3.5) - 0.5))
        )
    plank = torch.floor(u * 3.4)
    shade = noise(plank * 9.5, plank * 4.5 + torch.floor(v * 0.9 + plank * 0.37) * 6.5)
    grain = noise(u * 14, v * 2.2 + plank * 3.3)
    return tone * (0.88 + 0.12 * _seam(u * 3.4, 0.06)) * (0.90 + 0.16 * shade + 0.06 * grain)


def _seam(at: Tensor, width: float) -> Tensor:
    """0 on the line between two tiles, 1 away from it."""
    part = at - torch.floor(at)
    return (torch.minimum(part, 1 - part) / width).clamp(0, 1)


def posts(place: Mapping[str, Any], floor: float, reach: float) -> list[Layer]:
    """What things knock against at either side: padded posts whose inner edges lie at `reach` and 1 - `reach`."""
    tint = np.array(PALETTES[place["palette"]][0]) * 0.42 + np.array(PALETTES[place["palette"]][1]) * 0.18
    half = 0.045
    result = []
    for x, way in ((reach - half, 1.0), (1 - reach + half, -1.0)):
        result.append(Layer(x + way * 0.03, floor + 0.012, half, 0.0, 0.012, soft=0.05, opacity=0.5, colour=(0, 0, 0)))
        result.append(Layer(x, floor - 0.6 + 0.02, 0.0, 0.6, half, shade=0.3, colour=tint))
    return result
