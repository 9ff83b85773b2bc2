"""How vehicles and birds look from the side: parts in metres about the point on the ground below their middle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phonofilm.world.common.palette import COLOURS
from phonofilm.world.graphics.rasterizer import HIDDEN, Layer

PARTS = 18  # layers of every sprite, so that all scenes are drawn together
TYRE, STEEL, PANE = (0.07, 0.07, 0.08), (0.62, 0.64, 0.68), (0.30, 0.42, 0.50)


@dataclass(frozen=True, eq=False)
class Stage:
    """Where a sprite stands in each frame [T].

    Attributes:
        x, y: its foot in the picture. scale: world units per metre. facing: 1 to the right, -1 to the left.
        travelled: metres since the start, which turn wheels and beat wings.
        signal: 0 to 1, lamps, beacon or beak of a sprite that calls. bright: light on it. dark: lamps are lit.
    """

    x: np.ndarray
    y: np.ndarray
    scale: np.ndarray
    facing: float
    travelled: np.ndarray
    signal: np.ndarray
    bright: float
    light: float
    dark: bool

    def part(
        self,
        u: np.ndarray | float,
        w: np.ndarray | float,
        half_u: float,
        half_w: float,
        radius: float = 0.0,
        angle: np.ndarray | float = 0.0,
        apart: float = 0.0,
        lit: bool = False,
        colour: Any = (1.0, 1.0, 1.0),
        **look: Any,
    ) -> Layer:
        """A rounded box centred u m ahead and w m above the foot, half_u by half_w m with corners of `radius`."""
        scale = self.scale
        look = {name: value * scale if name in ("soft", "ring", "band") else value for name, value in look.items()}
        return Layer(
            self.x + self.facing * scale * u,
            self.y - scale * w,
            scale * max(half_u - radius, 0.0),
            scale * max(half_w - radius, 0.0),
            scale * radius,
            self.facing * np.asarray(angle),
            apart=scale * apart,
            light=self.light,
            colour=np.array(colour) * (1.0 if lit else self.bright),
            **look,
        )

    def disc(self, u: np.ndarray | float, w: np.ndarray | float, radius: float, **look: Any) -> Layer:
        return self.part(u, w, radius, radius, radius, **look)

    def shadow(self, half: float) -> Layer:
        return self.part(0.0, 0.0, half, 0.06, 0.06, soft=0.35, opacity=0.5, colour=(0.02, 0.02, 0.03))

    def wheel(self, u: float, radius: float) -> Layer:
        """A hub whose bar shows that it rolls."""
        turn = self.travelled / radius
        return self.disc(u, radius, radius * 0.58, band=radius * 0.16, angle=turn, colour=STEEL)

    def lamp(self, u: float, w: float, size: float, colour: tuple[float, float, float]) -> list[Layer]:
        """A lamp and its glow: faint by night, bright while the sprite signals."""
        glow = np.maximum(0.45 * self.dark, self.signal)
        return [
            self.disc(u, w, size, lit=True, colour=colour),
            self.disc(u, w, size * 1.5, soft=size * 5, opacity=glow * 0.8, lit=True, colour=colour),
        ]


def sprite(kind: str, colour: str, stage: Stage) -> list[Layer]:
    """PARTS layers of a vehicle or bird."""
    paint = np.array(COLOURS.get(colour, BIRDS.get(colour, (0.95, 0.95, 0.95))))
    layers = DRAWN[kind](stage, paint)
    return layers + [HIDDEN] * (PARTS - len(layers))


def _car(stage: Stage, paint: np.ndarray) -> list[Layer]:
    return [
        stage.shadow(2.0),
        stage.part(-0.25, 1.05, 1.2, 0.42, 0.30, shade=0.25, colour=paint * 0.9),
        stage.part(-0.25, 1.10, 0.46, 0.24, 0.09, apart=0.52, gloss=0.5, colour=PANE),
        stage.part(0.0, 0.62, 2.1, 0.34, 0.20, shade=0.30, colour=paint),
        stage.part(0.0, 0.62, 2.06, 0.03, colour=paint * 0.6),
        stage.part(0.0, 0.30, 1.9, 0.10, 0.05, colour=TYRE),
        stage.disc(0.0, 0.36, 0.36, apart=1.28, colour=TYRE),
        stage.wheel(1.28, 0.36),
        stage.wheel(-1.28, 0.36),
        stage.disc(-2.02, 0.70, 0.10, lit=True, colour=(0.95, 0.10, 0.08)),
        *stage.lamp(2.0, 0.68, 0.12, (1.1, 1.0, 0.7)),
    ]


def _truck(stage: Stage, paint: np.ndarray) -> list[Layer]:
    return [
        stage.shadow(3.9),
        stage.part(0.0, 0.72, 3.9, 0.16, 0.04, colour=(0.16, 0.16, 0.18)),
        stage.part(-1.05, 2.15, 2.95, 1.30, 0.10, shade=0.16, colour=paint),
        stage.part(-1.05, 2.15, 2.93, 0.16, colour=paint * 0.55 + 0.42),
        stage.part(3.0, 1.55, 0.98, 1.05, 0.22, shade=0.2, colour=paint * 0.35 + 0.55),
        stage.part(3.3, 1.98, 0.52, 0.40, 0.10, gloss=0.5, colour=PANE),
        stage.disc(2.9, 0.52, 0.52, colour=TYRE),
        stage.disc(-2.3, 0.52, 0.52, apart=0.62, colour=TYRE),
        stage.wheel(2.9, 0.52),
        stage.wheel(-1.68, 0.52),
        stage.wheel(-2.92, 0.52),
        stage.disc(-3.95, 0.9, 0.12, lit=True, colour=(0.95, 0.10, 0.08)),
        *stage.lamp(3.9, 0.95, 0.15, (1.1, 1.0, 0.7)),
    ]


def _ambulance(stage: Stage, paint: np.ndarray) -> list[Layer]:
    """Its two beacons take turns with the two tones of its siren."""
    return [
        stage.shadow(2.7),
        stage.part(-0.45, 1.55, 2.35, 1.10, 0.20, shade=0.16, colour=(0.95, 0.95, 0.95)),
        stage.part(1.6, 0.95, 1.2, 0.55, 0.28, shade=0.16, colour=(0.93, 0.93, 0.93)),
        stage.part(-0.1, 1.02, 2.72, 0.17, colour=paint),
        stage.part(1.30, 1.85, 0.46, 0.38, 0.10, gloss=0.5, colour=PANE),
        stage.part(-1.2, 1.85, 0.34, 0.09, colour=(0.85, 0.1, 0.1)),
        stage.part(-1.2, 1.85, 0.09, 0.34, colour=(0.85, 0.1, 0.1)),
        stage.part(0.0, 0.42, 2.6, 0.10, 0.05, colour=TYRE),
        stage.disc(0.0, 0.40, 0.40, apart=1.65, colour=TYRE),
        stage.wheel(1.65, 0.40),
        stage.wheel(-1.65, 0.40),
        stage.part(-0.4, 2.74, 0.75, 0.14, 0.10, colour=(0.25, 0.25, 0.3)),
        stage.disc(0.2, 2.85, 0.24, soft=0.15, opacity=stage.signal, lit=True, colour=(0.3, 0.55, 1.3)),
        stage.disc(0.2, 2.85, 0.6, soft=1.6, opacity=stage.signal * 0.6, lit=True, colour=(0.3, 0.55, 1.3)),
        stage.disc(-1.0, 2.85, 0.24, soft=0.15, opacity=1 - stage.signal, lit=True, colour=(1.3, 0.2, 0.2)),
        stage.disc(-1.0, 2.85, 0.6, soft=1.6, opacity=(1 - stage.signal) * 0.6, lit=True, colour=(1.3, 0.2, 0.2)),
    ]


def _motorbike(stage: Stage, paint: np.ndarray) -> list[Layer]:
    return [
        stage.shadow(1.0),
        stage.disc(0.0, 0.34, 0.27, ring=0.07, apart=0.74, colour=TYRE),
        stage.part(0.74, 0.34, 0.20, 0.03, angle=stage.travelled / 0.34, colour=STEEL),
        stage.part(-0.74, 0.34, 0.20, 0.03, angle=stage.travelled / 0.34, colour=STEEL),
        stage.part(0.60, 0.70, 0.06, 0.42, 0.05, angle=-0.42, colour=STEEL),
        stage.part(-0.05, 0.50, 0.42, 0.20, 0.12, shade=0.2, colour=(0.25, 0.25, 0.28)),
        stage.part(-0.55, 0.28, 0.50, 0.06, 0.05, colour=STEEL),
        stage.part(0.15, 0.80, 0.48, 0.17, 0.16, angle=-0.10, shade=0.3, gloss=0.5, colour=paint),
        stage.part(-0.62, 0.82, 0.34, 0.10, 0.08, angle=0.16, colour=paint * 0.8),
        stage.part(-0.05, 0.66, 0.10, 0.34, 0.10, angle=-0.55, colour=(0.14, 0.16, 0.26)),
        stage.part(-0.12, 1.20, 0.17, 0.40, 0.16, angle=0.50, shade=0.2, colour=(0.18, 0.20, 0.32)),
        stage.part(0.30, 1.18, 0.32, 0.07, 0.07, angle=0.42, colour=(0.22, 0.24, 0.38)),
        stage.disc(0.16, 1.66, 0.20, shade=0.3, gloss=0.6, colour=paint),
        stage.part(0.26, 1.64, 0.11, 0.06, 0.05, colour=(0.10, 0.12, 0.16)),
        *stage.lamp(0.82, 0.86, 0.09, (1.1, 1.0, 0.7)),
    ]


def _train(stage: Stage, paint: np.ndarray) -> list[Layer]:
    """An engine and two coaches of 12 m each; the foot is under the engine."""
    pale = paint * 0.25 + 0.68
    pane = np.array((1.0, 0.86, 0.5)) if stage.dark else np.array(PANE)
    coach = (-12.6, -25.2)
    return [
        stage.part(-12.6, 0.0, 18.6, 0.1, 0.1, soft=0.5, opacity=0.5, colour=(0.02, 0.02, 0.03)),
        stage.part(-12.6, 0.75, 18.4, 0.28, 0.1, colour=(0.15, 0.15, 0.17)),
        *(stage.disc(u, 0.46, 0.46, apart=4.0, colour=TYRE) for u in (0.0, *coach)),
        *(stage.disc(u, 0.46, 0.46, apart=2.7, colour=TYRE) for u in (0.0, *coach)),
        *(stage.part(u, 2.2, 6.05, 1.45, 0.25, shade=0.14, colour=pale) for u in coach),
        stage.part(-18.9, 1.45, 12.3, 0.28, colour=paint),
        *(stage.part(u, 2.6, 0.85, 0.48, 0.12, apart=1.4, lit=stage.dark, colour=pane) for u in coach),
        *(stage.part(u, 2.6, 0.85, 0.48, 0.12, apart=4.3, lit=stage.dark, colour=pane) for u in coach),
        stage.part(0.0, 2.1, 6.1, 1.55, 0.6, shade=0.2, colour=paint),
        stage.part(4.6, 2.65, 0.85, 0.55, 0.2, gloss=0.5, colour=PANE),
        *stage.lamp(5.9, 1.5, 0.25, (1.1, 1.0, 0.7)),
    ]


BIRDS = {"black": (0.10, 0.10, 0.12), "white": (0.96, 0.96, 0.95)}


def _bird(stage: Stage, paint: np.ndarray) -> list[Layer]:
    """One metre from beak to tail; its beak opens while it calls, its wings beat as it travels."""
    beat = np.sin(stage.travelled * 2 * np.pi)
    lift = 0.30 + 0.75 * beat  # angle of the wings above level
    body = 0.05 * -beat
    beak, gape = (0.98, 0.72, 0.15), 0.34 * stage.signal

    def wing(shift: float, tint: float) -> list[Layer]:
        inner, outer = lift + shift, lift * 0.5 + shift - 0.25
        u, w = -0.02 - 0.10 * np.cos(inner), body + 0.12 + 0.22 * np.sin(inner)
        tip_u, tip_w = u - 0.12 - 0.08 * np.cos(outer), w + 0.20 * np.sin(inner) + 0.18 * np.sin(outer)
        return [
            stage.part(u, w, 0.11, 0.27, 0.10, angle=(np.pi / 2 - inner) * -0.5, colour=paint * tint),
            stage.part(tip_u, tip_w, 0.07, 0.25, 0.07, angle=(np.pi / 2 - outer) * -0.6, colour=paint * tint * 0.9),
        ]

    return [
        *wing(0.12, 0.62),
        stage.part(-0.42, body + 0.02, 0.20, 0.055, 0.05, angle=-0.12, colour=paint * 0.75),
        stage.part(0.0, body, 0.34, 0.135, 0.13, angle=-0.14, shade=0.35, colour=paint),
        stage.part(0.02, body - 0.06, 0.22, 0.06, 0.06, angle=-0.14, soft=0.05, colour=paint * 0.4 + 0.55),
        stage.disc(0.34, body + 0.13, 0.125, shade=0.3, colour=paint),
        stage.part(0.49, body + 0.14, 0.09, 0.028, 0.02, angle=-gape, colour=beak),
        stage.part(0.49, body + 0.11, 0.08, 0.024, 0.02, angle=gape, colour=beak),
        stage.disc(0.38, body + 0.16, 0.03, lit=True, colour=(0.02, 0.02, 0.02)),
        stage.disc(0.39, body + 0.17, 0.011, lit=True),
        *wing(0.0, 0.85),
    ]


DRAWN = {
    "car": _car,
    "truck": _truck,
    "ambulance": _ambulance,
    "motorbike": _motorbike,
    "train": _train,
    "bird": _bird,
}
