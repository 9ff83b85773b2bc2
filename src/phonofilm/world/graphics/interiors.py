"""Where a face is seen: a few still backgrounds, slightly out of focus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from phonofilm.world.common.palette import COLOURS
from phonofilm.world.graphics.rasterizer import HIDDEN, Layer

DEPTH = 14  # layers of every set, so that all scenes are drawn together
BLUR = 0.02
SETS = ("wall", "window", "park", "studio", "books")


def sample(rng: np.random.Generator) -> dict[str, Any]:
    """A set as plain numbers."""
    return {
        "kind": str(rng.choice(list(SETS))),
        "tint": [float(v) for v in rng.uniform(0.42, 0.70, 1) + rng.uniform(-0.09, 0.09, 3)],
        "light": float(rng.choice([-1.0, 1.0])),
        "accent": str(rng.choice(list(COLOURS))),
        "turns": [float(v) for v in rng.random(12)],
        "room_decay": float(rng.uniform(0.12, 0.35)),
    }


def backdrop(place: Mapping[str, Any]) -> np.ndarray:
    """[2, 3]: colours of the top and the bottom."""
    wall = np.array(place["tint"])
    if place["kind"] == "park":
        return np.array([(0.42, 0.66, 0.92), (0.86, 0.93, 0.95)])
    if place["kind"] == "studio":
        return np.stack([wall * 0.35, wall * 0.6])
    return np.stack([wall * 0.95, wall * 1.12])


def layers(place: Mapping[str, Any]) -> list[Layer]:
    """DEPTH layers behind the face."""
    drawn = DRAWN[place["kind"]](place)
    return drawn + [HIDDEN] * (DEPTH - len(drawn))


def _wall(place: Mapping[str, Any]) -> list[Layer]:
    """A picture and the glow of a lamp."""
    side, accent, wall = place["light"], np.array(COLOURS[place["accent"]]), np.array(place["tint"])
    x = 0.5 - side * (0.34 + 0.06 * place["turns"][0])
    return [
        Layer(0.5 + side * 0.42, 0.10, radius=0.30, soft=0.5, opacity=0.5, colour=wall * 0.4 + 0.62),
        Layer(x + 0.01, 0.275, 0.15, 0.19, soft=0.04, opacity=0.4, colour=wall * 0.3),
        Layer(x, 0.26, 0.15, 0.19, soft=BLUR, colour=(0.36, 0.26, 0.18)),
        Layer(x, 0.26, 0.125, 0.165, soft=BLUR, colour=(0.93, 0.91, 0.86)),
        Layer(x - 0.03, 0.31, radius=0.09, soft=BLUR, colour=accent * 0.7 + 0.15),
        Layer(x + 0.05, 0.21, radius=0.05, soft=BLUR, colour=accent[::-1] * 0.6 + 0.25),
        Layer(0.5, 0.97, 4, 0.16, soft=BLUR, colour=wall * 0.72),
        Layer(0.5, 0.805, 4, 0.01, soft=0.01, colour=wall * 1.25),
    ]


def _window(place: Mapping[str, Any]) -> list[Layer]:
    """Sky, a hill and a curtain."""
    side, accent, wall = place["light"], np.array(COLOURS[place["accent"]]), np.array(place["tint"])
    x = 0.5 + side * 0.27
    return [
        Layer(x, 0.32, 0.33, 0.36, soft=BLUR, colour=(0.94, 0.93, 0.90)),
        Layer(x, 0.32, 0.30, 0.33, soft=BLUR, colour=(0.62, 0.82, 0.97)),
        Layer(x + 0.10, 0.24, 0.06, 0.0, 0.03, soft=0.03, opacity=0.9, colour=(0.97, 0.98, 1.0)),
        Layer(x - 0.12, 0.15, 0.05, 0.0, 0.025, soft=0.03, opacity=0.9, colour=(0.97, 0.98, 1.0)),
        Layer(x, 0.59, 0.30, 0.06, soft=BLUR, colour=(0.45, 0.66, 0.36)),
        Layer(x, 0.32, 0.014, 0.33, soft=BLUR, colour=(0.94, 0.93, 0.90)),
        Layer(x, 0.32, 0.30, 0.012, soft=BLUR, colour=(0.94, 0.93, 0.90)),
        Layer(x, 0.70, 0.37, 0.03, 0.01, soft=BLUR, colour=(0.86, 0.84, 0.80)),
        Layer(x + side * 0.36, 0.40, 0.10, 0.55, soft=BLUR, shade=0.2, light=-side, colour=accent * 0.55 + 0.25),
        Layer(x + side * 0.33, 0.40, 0.015, 0.55, soft=0.03, opacity=0.4, colour=accent * 0.25),
        Layer(0.5, 0.97, 4, 0.13, soft=BLUR, colour=wall * 0.7),
    ]


def _park(place: Mapping[str, Any]) -> list[Layer]:
    """Meadow, bushes and trees in the sun."""
    green, turns = np.array((0.36, 0.62, 0.28)), place["turns"]
    trees = []
    for rank, x in enumerate((0.06 + 0.1 * turns[0], 0.94 - 0.1 * turns[1])):
        tall = 0.10 + 0.08 * turns[2 + rank]
        trees += [
            Layer(x, 0.62, 0.022, 0.16, soft=BLUR, colour=(0.36, 0.25, 0.16)),
            Layer(x, 0.42 - tall, radius=0.20, soft=0.04, shade=0.3, light=place["light"], colour=green * 0.8),
            Layer(x + 0.08, 0.50 - tall, radius=0.13, soft=0.04, colour=green * 0.95),
        ]
    return [
        Layer(0.5 + 0.3 * place["light"], 0.14, radius=0.07, soft=0.10, colour=(1.1, 1.05, 0.85)),
        Layer(0.2, 0.16, 0.08, 0.0, 0.035, soft=0.04, opacity=0.85, colour=(0.98, 0.99, 1.0)),
        Layer(0.62, 0.9, radius=0.42, soft=BLUR, colour=green * 0.75 + 0.12),
        *trees,
        Layer(0.5, 1.2, 4, 0.48, soft=BLUR, shade=-0.1, colour=green),
        Layer(0.5, 0.76, 4, 0.03, soft=0.05, opacity=0.5, colour=green * 1.25),
    ]


def _studio(place: Mapping[str, Any]) -> list[Layer]:
    """A spot of coloured light on a dark wall."""
    accent, side = np.array(COLOURS[place["accent"]]), place["light"]
    return [
        Layer(0.5, 0.42, radius=0.34, soft=0.75, opacity=0.85, colour=accent * 0.55 + 0.12),
        Layer(0.5 + side * 0.5, 0.2, radius=0.12, soft=0.5, opacity=0.6, colour=accent * 0.7 + 0.3),
        *(
            Layer(0.08 + 0.84 * place["turns"][i], 0.08 + 0.5 * place["turns"][i + 4], radius=0.022, soft=0.02,
                  opacity=0.35, colour=accent * 0.5 + 0.5)
            for i in range(4)
        ),
    ]  # fmt: skip


def _books(place: Mapping[str, Any]) -> list[Layer]:
    """Two shelves of books."""
    wood, turns = np.array((0.40, 0.27, 0.17)), place["turns"]
    spines = list(COLOURS.values())
    rows = []
    for i in range(10):
        row, slot = divmod(i, 5)
        width, tall = 0.045 + 0.02 * turns[i], 0.11 + 0.05 * turns[(i + 5) % 12]
        x = (0.06 + 0.088 * slot) if slot < 3 else (0.72 + 0.10 * (slot - 3))
        colour = np.array(spines[int(turns[i] * 8)]) * 0.6 + 0.08
        rows.append(Layer(x + 0.01, 0.30 + 0.42 * row - tall, width, tall, soft=BLUR, colour=colour))
    return [
        Layer(0.5, 0.5, 4, 4, shade=0.02, colour=wood * 0.55),
        *rows,
        *(Layer(0.5, 0.325 + 0.42 * row, 4, 0.026, soft=BLUR, colour=wood * 1.3) for row in range(2)),
    ]


DRAWN = {"wall": _wall, "window": _window, "park": _park, "studio": _studio, "books": _books}
