"""The open air: sky, hills and trees at an hour of the day, for scenes that need a place to happen in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from phonofilm.world.graphics.rasterizer import Layer

WIDE = 3.0  # half width of what spans the picture, whatever its shape
STARS, CLOUDS, HILLS, TREES = 9, 3, 3, 4


@dataclass(frozen=True)
class Hour:
    """Colours of an hour: top and bottom of the sky, the ground, the sun or moon, and how bright things are."""

    top: tuple[float, float, float]
    bottom: tuple[float, float, float]
    ground: tuple[float, float, float]
    disc: tuple[float, float, float]
    cloud: tuple[float, float, float]
    bright: float


HOURS: dict[str, Hour] = {
    "day": Hour(
        (0.24, 0.52, 0.90),
        (0.80, 0.91, 0.98),
        (0.42, 0.62, 0.26),
        (1.15, 1.08, 0.80),
        (1.0, 1.0, 1.0),
        1.0,
    ),
    "dusk": Hour(
        (0.22, 0.16, 0.40),
        (1.02, 0.58, 0.30),
        (0.34, 0.27, 0.22),
        (1.15, 0.80, 0.42),
        (0.92, 0.52, 0.48),
        0.78,
    ),
    "night": Hour(
        (0.02, 0.03, 0.09),
        (0.13, 0.17, 0.34),
        (0.09, 0.13, 0.14),
        (0.92, 0.93, 0.85),
        (0.16, 0.19, 0.30),
        0.55,
    ),
    "overcast": Hour(
        (0.50, 0.55, 0.60),
        (0.80, 0.82, 0.82),
        (0.40, 0.48, 0.30),
        (0.88, 0.89, 0.88),
        (0.66, 0.69, 0.72),
        0.85,
    ),
}


def sample(rng: np.random.Generator, hours: tuple[str, ...] = tuple(HOURS)) -> dict[str, Any]:
    """A landscape as plain numbers: hour, tint, light, sun, stars, clouds, hills and trees."""
    return {
        "hour": str(rng.choice(list(hours))),
        "tint": [float(v) for v in rng.uniform(0.94, 1.06, 3)],
        "light": float(rng.choice([-1.0, 1.0])),
        "sun": [float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.1, 0.36)), float(rng.uniform(0.03, 0.055))],
        "stars": [[float(v) for v in rng.uniform((0, 0.02, 0.4), (1, 0.5, 1))] for _ in range(STARS)],
        "clouds": [[float(v) for v in rng.uniform((-0.1, 0.06, 0.7), (1.1, 0.32, 1.3))] for _ in range(CLOUDS)],
        "hills": [[float(v) for v in rng.uniform((-0.2, 0.35, 0.05), (1.2, 0.75, 0.17))] for _ in range(HILLS)],
        "trees": [[float(v) for v in rng.uniform((0, 0.07, 0.85), (1, 0.16, 1.15))] for _ in range(TREES)],
    }


def backdrop(land: Mapping[str, Any]) -> np.ndarray:
    """[2, 3]: the sky's top and bottom."""
    hour = HOURS[land["hour"]]
    return np.array([hour.top, hour.bottom]) * land["tint"]


def bright(land: Mapping[str, Any]) -> float:
    """How much light things receive."""
    return HOURS[land["hour"]].bright


def ground_colour(land: Mapping[str, Any]) -> np.ndarray:
    return np.array(HOURS[land["hour"]].ground) * land["tint"]


def sky(land: Mapping[str, Any]) -> list[Layer]:
    """Stars, the sun or the moon with its halo, and clouds."""
    hour = HOURS[land["hour"]]
    dark = 1.0 if land["hour"] == "night" else 0.0
    x, y, size = land["sun"]
    shown = 0.25 if land["hour"] == "overcast" else 1.0
    result = [Layer(sx, sy, radius=0.005, opacity=dark * glint) for sx, sy, glint in land["stars"]]
    result.append(Layer(x, y, radius=size, soft=size * 4, opacity=0.4 * shown, colour=hour.disc))
    result.append(Layer(x, y, radius=size, opacity=shown, colour=hour.disc))
    for cx, cy, grown in land["clouds"]:
        for dx, dy, half, thick in ((0.0, 0.0, 0.10, 0.028), (-0.03, -0.022, 0.03, 0.03), (0.04, -0.015, 0.035, 0.024)):
            result.append(
                Layer(
                    cx + dx * grown,
                    cy + dy * grown,
                    half * grown,
                    0.0,
                    thick * grown,
                    opacity=0.75,
                    soft=0.02,
                    shade=0.08,
                    colour=np.array(hour.cloud) * land["tint"],
                )
            )
    return result


def hills(land: Mapping[str, Any], horizon: float) -> list[Layer]:
    """Far hills, paler the farther, behind a plain that begins at the horizon."""
    hour, ground = HOURS[land["hour"]], ground_colour(land)
    result = []
    for rank, (x, radius, rise) in enumerate(land["hills"]):
        haze = 0.62 - 0.2 * rank
        colour = ground * 0.75 * (1 - haze) + np.array(hour.bottom) * 0.82 * haze
        lift = rise * (1 - 0.22 * rank)
        result.append(Layer(x, horizon + radius - lift, radius=radius, shade=0.10, light=land["light"], colour=colour))
    result.append(Layer(0.5, horizon + WIDE, WIDE, WIDE, shade=-0.12, colour=ground))
    result.append(Layer(0.5, horizon + 0.006, WIDE, 0.006, colour=ground * 1.12))
    return result


def trees(land: Mapping[str, Any], foot: float) -> list[Layer]:
    """A few round trees whose trunks stand at height `foot` in the picture."""
    leaf = ground_colour(land) * (0.62, 0.80, 0.62)
    trunk = np.array((0.30, 0.20, 0.13)) * bright(land)
    result = []
    for x, size, tone in land["trees"]:
        result.append(Layer(x, foot - size * 0.35, size * 0.07, size * 0.4, colour=trunk * tone))
        for dx, dy, grown in ((0.0, 1.05, 0.52), (-0.30, 0.78, 0.38), (0.30, 0.82, 0.36)):
            result.append(
                Layer(
                    x + dx * size,
                    foot - dy * size,
                    radius=grown * size,
                    shade=0.28,
                    light=land["light"],
                    colour=leaf * tone,
                )
            )
    return result
