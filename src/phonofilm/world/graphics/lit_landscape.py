"""The open air, painted once for all frames: sky with clouds, hills in haze, woods, and the ground things stand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phonofilm.world.graphics.lit_renderer import Defocus, Light, Paint
from phonofilm.world.graphics.rasterizer import Layer
from phonofilm.world.graphics.textures import noise

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Hour:
    """Colours of an hour: top and bottom of the sky, ground, sun or moon, cloud, light, and how bright things are."""

    top: RGB
    bottom: RGB
    ground: RGB
    disc: RGB
    cloud: RGB
    key: RGB
    bright: float


HOURS: dict[str, Hour] = {
    "day": Hour(
        (0.22, 0.50, 0.86),
        (0.78, 0.90, 0.97),
        (0.44, 0.60, 0.27),
        (1.5, 1.4, 1.1),
        (1.0, 1.0, 1.0),
        (1.12, 1.04, 0.90),
        1.0,
    ),
    "dusk": Hour(
        (0.27, 0.24, 0.48),
        (1.0, 0.64, 0.38),
        (0.42, 0.36, 0.25),
        (1.7, 1.1, 0.6),
        (0.98, 0.62, 0.52),
        (1.25, 0.92, 0.66),
        0.84,
    ),
    "night": Hour(
        (0.03, 0.05, 0.14),
        (0.20, 0.26, 0.44),
        (0.16, 0.22, 0.22),
        (1.2, 1.2, 1.1),
        (0.22, 0.26, 0.38),
        (0.82, 0.95, 1.25),
        0.58,
    ),
    "overcast": Hour(
        (0.52, 0.58, 0.64),
        (0.84, 0.86, 0.87),
        (0.42, 0.50, 0.33),
        (1.0, 1.0, 1.0),
        (0.74, 0.77, 0.80),
        (1.0, 1.0, 1.0),
        0.88,
    ),
}
GROUNDS = ("meadow", "road", "rails", "wet")


def sample(rng: np.random.Generator, hours: tuple[str, ...] = tuple(HOURS), wet: bool = False) -> dict[str, Any]:
    """A landscape as plain facts; where it is wet, clouds hide the sun."""
    light = float(rng.choice([-1.0, 1.0]))
    return {
        "kind": "land",
        "hour": str(rng.choice(list(hours))),
        "tint": [float(v) for v in rng.uniform(0.95, 1.05, 3)],
        "light": light,
        "sun": [
            0.5 + light * float(rng.uniform(0.12, 0.4)),
            float(rng.uniform(0.12, 0.30)),
            float(rng.uniform(0.04, 0.06)),
        ],
        "stars": [[float(v) for v in rng.uniform((0, 0.02, 0.4), (1, 0.5, 1))] for _ in range(22)],
        "wet": wet,
        "clouded": float(rng.uniform(0.66, 0.82) if wet else rng.uniform(0.38, 0.62)),
        "grain": float(rng.uniform(0, 40)),
        "trees": [
            [float(v) for v in rng.uniform((0, 0.13, 0.85), (1, 0.22, 1.1))] for _ in range(int(rng.integers(1, 4)))
        ],
        "room_decay": float(rng.uniform(0.15, 0.5)),
    }


def bright(land: Mapping[str, Any]) -> float:
    """How much light things receive."""
    return 0.42 + 0.58 * HOURS[land["hour"]].bright


def light(land: Mapping[str, Any]) -> Light:
    hour = HOURS[land["hour"]]
    even = land["hour"] in ("overcast", "night")
    ground = tuple(float(0.5 + 0.6 * v) for v in hour.ground)
    return Light(land["light"], key=hour.key, ground=ground, share=0.48 if even else 0.68)  # type: ignore[arg-type]


def paint(
    land: Mapping[str, Any],
    horizon: float,
    ground: str = "meadow",
    band: tuple[float, float] = (0.8, 0.9),
    slope: float = 0.0,
) -> Paint:
    """Sky and land; a road or rails run between two heights, band, at an angle `slope`."""
    hour = HOURS[land["hour"]]

    def painted(x: Tensor, y: Tensor) -> Tensor:
        def colour(rgb: RGB) -> Tensor:
            return torch.tensor(rgb, device=x.device) * torch.tensor(land["tint"], device=x.device)

        picture = _sky(x, y, horizon, land, colour)
        picture = _hills(x, y, horizon, land, picture, colour)
        low = _meadow(x, y, horizon, land, colour(hour.ground))
        if ground == "wet":
            low = _wet(x, y, horizon, land, colour)
        blend = ((y - horizon) / 0.006 + 0.5).clamp(0, 1)[..., None]
        picture = torch.lerp(picture, low, blend.expand_as(low))
        if ground in ("road", "rails"):
            lane = y - np.tan(slope) * (x - 0.5)
            picture = _way(x, lane, picture, ground, band, bright(land), land["grain"])
        return picture

    return painted


def _sky(x: Tensor, y: Tensor, horizon: float, land: Mapping[str, Any], colour: Any) -> Tensor:
    hour = HOURS[land["hour"]]
    down = (y / horizon).clamp(0, 1)[..., None]
    picture = torch.lerp(colour(hour.top), colour(hour.bottom), down**1.4).expand(-1, x.shape[1], 3)
    sx, sy, size = land["sun"]
    away = torch.hypot(x - sx, y - sy)
    shown = 0.05 if land["wet"] else 0.15 if land["hour"] == "overcast" else 1.0
    glow = 0.42 * torch.exp(-away / 0.16) + 0.22 * torch.exp(-away / 0.45)
    picture = picture + shown * glow[..., None] * colour(hour.disc) * (0.35 if land["hour"] == "night" else 0.6)
    disc = shown * ((size - away) / 0.008 + 0.5).clamp(0, 1)
    picture = torch.lerp(picture, colour(hour.disc).expand_as(picture), disc[..., None])
    grain = land["grain"]
    part = noise(x * 2.3 + grain, y * 6.5 + grain, 4)
    over = noise(x * 2.3 + grain + 0.07 * land["light"], y * 6.5 + grain - 0.16, 4)
    dense = ((part - (1 - land["clouded"]) * 0.92) / 0.20).clamp(0, 1) * (1 - 0.55 * down[..., 0])
    lit = (0.94 + 0.9 * (part - over)).clamp(0.7, 1.12)[..., None]
    return torch.lerp(picture, colour(hour.cloud) * lit, (0.88 * dense)[..., None].expand_as(picture))


def _hills(x: Tensor, y: Tensor, horizon: float, land: Mapping[str, Any], picture: Tensor, colour: Any) -> Tensor:
    """Ridges one behind the other, paler the farther; the nearest is wooded."""
    hour, grain = HOURS[land["hour"]], land["grain"]
    far, near = colour(hour.bottom) * 0.80, colour(hour.ground)
    for rank, (rise, detail, haze) in enumerate(((0.20, 1.7, 0.80), (0.13, 2.6, 0.55), (0.075, 5.0, 0.26))):
        level = horizon - rise * (
            0.25 + noise(x * detail + grain + 9 * rank, x * 0 + 3.5 * rank + grain, 3 if rank < 2 else 4)
        )
        cover = ((y - level) / 0.010 + 0.5).clamp(0, 1)
        tone = 1 + 0.18 * (noise(x * 14 + grain, y * 20 + rank, 2) - 0.5) + 0.8 * (y - level).clamp(0, 0.12)
        wood = near * torch.tensor((0.62, 0.80, 0.66), device=x.device) * (0.86 if rank == 2 else 1.0)
        ridge = torch.lerp(wood, far, haze) * tone[..., None]
        picture = torch.lerp(picture, ridge, cover[..., None].expand_as(ridge))
    return picture


def _meadow(x: Tensor, y: Tensor, horizon: float, land: Mapping[str, Any], colour: Tensor) -> Tensor:
    near = (y - horizon).clamp(min=0) + 0.05
    grain = land["grain"]
    patches = noise(x / near * 0.32 + grain, 0.5 / near + grain, 2)
    blades = noise(x * 16 + grain, y * 34, 2)
    tone = 0.84 + 0.30 * patches + 0.10 * (blades - 0.5) - 0.35 * (y - horizon).clamp(min=0)
    warm = 1 + 0.12 * (patches - 0.5)[..., None] * torch.tensor((1.0, 0.3, -0.6), device=x.device)
    return colour * tone[..., None] * warm


def _wet(x: Tensor, y: Tensor, horizon: float, land: Mapping[str, Any], colour: Any) -> Tensor:
    """Stone slabs that shine with water."""
    hour, grain = HOURS[land["hour"]], land["grain"]
    near = (y - horizon).clamp(min=0) + 0.12
    u, v = (x - 0.5) / near * 0.5 + 20, 0.55 / near + grain
    cell = noise(torch.floor(u * 3) * 7.5, torch.floor(v * 3) * 3.5)
    part = torch.minimum(u * 3 - torch.floor(u * 3), v * 3 - torch.floor(v * 3))
    seam = (part / 0.08).clamp(0, 1)
    shining = noise(u * 1.6, v * 2.4, 3)[..., None]
    stone = (
        torch.tensor((0.40, 0.42, 0.45), device=x.device)
        * bright(land)
        * (0.80 + 0.20 * seam + 0.14 * (cell - 0.5))[..., None]
    )
    return torch.lerp(stone, colour(hour.bottom) * 0.72, (0.42 * ((shining - 0.40) / 0.25).clamp(0, 1)))


def _way(
    x: Tensor, y: Tensor, picture: Tensor, kind: str, band: tuple[float, float], shining: float, grain: float
) -> Tensor:
    """A road with a kerb and a dashed line, or a bed of gravel with sleepers and two rails."""
    top, low = band

    def mix(cover: Tensor, rgb: Tensor, under: Tensor) -> Tensor:
        return torch.lerp(under, rgb.expand_as(under), cover[..., None].expand_as(under))

    def strip(middle: float, half: float) -> Tensor:
        return ((half - (y - middle).abs()) / 0.008 + 0.5).clamp(0, 1)

    down = ((y - top) / (low - top)).clamp(0, 1)
    cover = strip((top + low) / 2, (low - top) / 2)
    white = torch.tensor((0.88, 0.87, 0.82), device=x.device) * shining
    if kind == "rails":
        stones = torch.tensor((0.47, 0.43, 0.39), device=x.device) * shining
        picture = mix(cover, stones * (0.78 + 0.44 * noise(x * 42 + grain, y * 60, 2))[..., None], picture)
        slot = x * 7 - torch.floor(x * 7)
        sleeper = ((0.22 - (slot - 0.5).abs()) / 0.06 + 0.5).clamp(0, 1) * strip((top + low) / 2, (low - top) * 0.36)
        picture = mix(sleeper * 0.85, torch.tensor((0.33, 0.25, 0.19), device=x.device) * shining, picture)
        steel = torch.tensor((0.74, 0.71, 0.68), device=x.device) * shining
        for place in (top + 0.30 * (low - top), top + 0.72 * (low - top)):
            picture = mix(strip(place + 0.012, 0.006), steel * 0.35, picture)
            picture = mix(strip(place, 0.008), steel, picture)
        return picture
    asphalt = torch.tensor((0.34, 0.34, 0.36), device=x.device) * shining
    rough = 0.90 + 0.14 * noise(x * 40 + grain, y * 80, 2) + 0.10 * noise(x * 3 + grain, y * 24) + 0.06 * down
    picture = mix(cover, asphalt * rough[..., None], picture)
    slot = x * 3.1 + 0.3 - torch.floor(x * 3.1 + 0.3)
    dash = ((0.28 - (slot - 0.5).abs()) / 0.02 + 0.5).clamp(0, 1)
    picture = mix(strip(top + 0.42 * (low - top), 0.006) * dash * 0.85, white, picture)
    for place, half in ((top, 0.007), (low, 0.011)):
        picture = mix(strip(place, half), white * 0.80, picture)
    return picture


def stars(land: Mapping[str, Any]) -> list[Layer]:
    if land["hour"] != "night" or land["wet"]:
        return []
    return [
        Layer(x, y * 0.9, radius=0.0035, opacity=0.9 * glint, soft=0.006, emission=1.0, colour=(0.8, 0.85, 1.0))
        for x, y, glint in land["stars"]
    ]


def trees(land: Mapping[str, Any], foot: float) -> list[Layer | Defocus]:
    """A few round trees whose trunks stand at height `foot`, a little out of focus."""
    hour = HOURS[land["hour"]]
    leaf = np.array(hour.ground) * (0.62, 0.84, 0.60) * 1.05
    trunk = np.array((0.34, 0.24, 0.16)) * bright(land)
    result: list[Layer | Defocus] = []
    for x, size, tone in land["trees"]:
        result.append(
            Layer(
                x - 0.3 * land["light"] * size,
                foot + 0.004,
                size * 0.5,
                0.0,
                size * 0.05,
                opacity=0.4,
                soft=size * 0.2,
                colour=(0.02, 0.03, 0.03),
            )
        )
        result.append(Layer(x, foot - size * 0.35, 0.0, size * 0.36, size * 0.06, shade=0.3, colour=trunk * tone))
        for dx, dy, grown in ((0.0, 1.12, 0.46), (-0.34, 0.86, 0.36), (0.34, 0.90, 0.35), (0.05, 0.74, 0.40)):
            result.append(
                Layer(
                    x + dx * size,
                    foot - dy * size,
                    radius=grown * size,
                    shade=0.34,
                    texture="leaves",
                    colour=leaf * tone,
                )
            )
    result.append(Defocus(0.0055))
    return result
