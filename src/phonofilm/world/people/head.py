"""Where a head is and what its face does: what faces and their hair are drawn on.

Lengths are in heads: 1 from the middle of the face to its chin; u runs right and v runs down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from phonofilm.world.graphics.rasterizer import Layer
from phonofilm.world.people.visemes import PARTS

SKINS = (
    (0.98, 0.82, 0.70),
    (0.95, 0.74, 0.58),
    (0.87, 0.64, 0.46),
    (0.74, 0.51, 0.35),
    (0.56, 0.37, 0.25),
    (0.42, 0.27, 0.19),
)
HAIR_COLOURS = {
    "black": (0.08, 0.07, 0.08),
    "brown": (0.33, 0.20, 0.11),
    "blond": (0.90, 0.72, 0.36),
    "red": (0.68, 0.26, 0.09),
    "grey": (0.62, 0.62, 0.64),
}


@dataclass(frozen=True, eq=False)
class Head:
    """Where a head is in each frame [T].

    Attributes:
        x, y: its middle in the picture. scale: world units per head. tilt: in radians. turn: of the face, -1 to 1.
        light: where the light comes from, -1 or 1.
    """

    x: np.ndarray
    y: np.ndarray
    scale: float
    tilt: np.ndarray
    turn: np.ndarray
    light: float

    def part(
        self,
        u: np.ndarray | float,
        v: np.ndarray | float,
        half_u: np.ndarray | float,
        half_v: np.ndarray | float,
        radius: np.ndarray | float = 0.0,
        depth: float = 1.0,
        angle: np.ndarray | float = 0.0,
        colour: Any = (1.0, 1.0, 1.0),
        **look: Any,
    ) -> Layer:
        """A rounded box about (u, v); what lies deeper than the face (depth below 1) moves less when it turns."""
        u = np.asarray(u) + 0.09 * self.turn * depth
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        lengths = {n: w * self.scale if n in ("soft", "ring", "band", "apart") else w for n, w in look.items()}
        return Layer(
            self.x + self.scale * (u * cos - v * sin),
            self.y + self.scale * (u * sin + v * cos),
            self.scale * np.maximum(np.asarray(half_u) - radius, 0.0),
            self.scale * np.maximum(np.asarray(half_v) - radius, 0.0),
            self.scale * np.asarray(radius),
            self.tilt + angle,
            light=self.light,
            colour=colour,
            **lengths,
        )

    def disc(self, u: np.ndarray | float, v: np.ndarray | float, radius: np.ndarray | float, **look: Any) -> Layer:
        return self.part(u, v, radius, radius, radius, **look)


@dataclass(frozen=True, eq=False)
class Expression:
    """What a face does in each frame: mouth [T, 6] as PARTS say, lids 1 open to 0 shut, gaze, brows 0 to 1, smile."""

    mouth: np.ndarray
    lids: np.ndarray
    gaze: np.ndarray
    brows: np.ndarray
    smile: float

    def part(self, name: str) -> np.ndarray:
        return self.mouth[:, PARTS.index(name)]


def skin_of(who: Mapping[str, Any]) -> np.ndarray:
    return np.array(SKINS[who["skin"]])


def hair_of(who: Mapping[str, Any]) -> np.ndarray:
    return np.array(HAIR_COLOURS[who["hair_colour"]])
