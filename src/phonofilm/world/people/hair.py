"""Hair and hats, behind and before a face, and beards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from phonofilm.world.common.palette import COLOURS
from phonofilm.world.graphics.rasterizer import HIDDEN, Layer
from phonofilm.world.people.head import Expression, Head, hair_of, skin_of

STYLES = {
    "woman": ("long", "bun", "curly", "bob", "short"),
    "man": ("short", "parted", "curly", "bald", "hat"),
    "girl": ("long", "bob", "pigtails", "curly"),
    "boy": ("short", "parted", "curly", "hat"),
}
BACK, FRONT = 5, 6  # layers of hair behind and before the face, so that all scenes are drawn together


def behind(head: Head, who: Mapping[str, Any]) -> list[Layer]:
    """BACK layers: hair that hangs behind the face."""
    hair, wide = hair_of(who), who["wide"]
    cap = head.disc(0.0, -0.30, 0.86 * wide, depth=0.2, shade=0.2, colour=hair * 0.8)
    drawn = {
        "short": [cap],
        "parted": [cap],
        "bald": [],
        "hat": [head.part(0.0, -0.1, 0.80 * wide, 0.5, 0.3, depth=0.3, colour=hair * 0.8)],
        "long": [cap, head.part(0.0, 0.48, 0.94 * wide, 1.05, 0.55, depth=0.1, shade=0.12, colour=hair * 0.8)],
        "bob": [cap, head.part(0.0, 0.10, 0.97 * wide, 0.78, 0.42, depth=0.1, shade=0.12, colour=hair * 0.8)],
        "bun": [cap, head.disc(0.0, -1.22, 0.34, depth=0.2, shade=0.3, colour=hair * 0.9)],
        "curly": [
            cap,
            head.disc(0.0, -0.62, 0.62, depth=0.2, colour=hair * 0.8),
            head.disc(0.0, -0.55, 0.42, apart=0.62, depth=0.2, colour=hair * 0.78),
            head.disc(0.0, -0.10, 0.36, apart=0.80, depth=0.2, colour=hair * 0.74),
            head.disc(0.0, 0.28, 0.28, apart=0.80, depth=0.2, colour=hair * 0.70),
        ],
        "pigtails": [cap, head.disc(0.0, 0.05, 0.32, apart=1.02, depth=0.1, shade=0.2, colour=hair * 0.85),
                     head.disc(0.0, 0.45, 0.24, apart=1.08, depth=0.1, colour=hair * 0.8)],
    }[who["hair"]]  # fmt: skip
    return drawn + [HIDDEN] * (BACK - len(drawn))


def fringe(head: Head, who: Mapping[str, Any]) -> list[Layer]:
    """FRONT layers: hair or a hat over the forehead."""
    drawn = _fringe(head, who)
    return drawn + [HIDDEN] * (FRONT - len(drawn))


def _fringe(head: Head, who: Mapping[str, Any]) -> list[Layer]:
    hair, wide, style = hair_of(who), who["wide"], who["hair"]
    gloss = {"shade": 0.18, "gloss": 0.18}
    if style == "bald":
        return [head.disc(0.2 * head.light, -0.72, 0.10, soft=0.14, opacity=0.6, depth=0.8)]
    if style == "hat":
        felt = np.array(COLOURS[who["hat"]]) * 0.9
        return [
            head.part(0.0, -0.86, 0.70 * wide, 0.40, 0.30, depth=0.7, colour=felt, **gloss),
            head.part(0.0, -0.62, 0.72 * wide, 0.085, 0.04, depth=0.8, colour=felt * 0.5),
            head.part(0.0, -0.52, 1.04 * wide, 0.085, 0.08, depth=0.9, shade=0.2, colour=felt * 0.85),
        ]
    top = head.part(0.0, -0.78, 0.72 * wide, 0.30, 0.30, depth=0.7, colour=hair, **gloss)
    sides = head.part(0.0, -0.40, 0.10, 0.34, 0.09, apart=0.74 * wide, depth=0.4, colour=hair * 0.9)
    if style == "parted":
        return [
            sides,
            head.part(-0.26, -0.76, 0.58 * wide, 0.23, 0.22, depth=0.8, angle=-0.22, colour=hair, **gloss),
            head.part(0.44, -0.74, 0.40 * wide, 0.20, 0.18, depth=0.8, angle=0.52, colour=hair * 0.94),
        ]
    if style == "curly":
        return [
            head.disc(0.0, -0.72, 0.24, apart=0.52, depth=0.7, shade=0.05, colour=hair),
            head.disc(0.0, -0.80, 0.26, apart=0.22, depth=0.8, shade=0.08, colour=hair * 0.94),
            head.disc(0.0, -0.46, 0.18, apart=0.74, depth=0.6, colour=hair * 0.9),
        ]
    if style in ("long", "bob", "pigtails"):
        locks = head.part(0.0, 0.05, 0.13, 0.75 if style == "long" else 0.55, 0.13, apart=0.80 * wide, depth=0.4,
                          shade=0.1, colour=hair * 0.92)  # fmt: skip
        bangs = head.part(0.0, -0.62, 0.58, 0.15, 0.12, depth=0.9, colour=hair * 0.97)
        halves = [
            head.part(-0.36, -0.66, 0.44, 0.19, 0.18, depth=0.8, angle=-0.42, colour=hair * 0.97),
            head.part(0.36, -0.66, 0.44, 0.19, 0.18, depth=0.8, angle=0.42, colour=hair * 0.97),
        ]
        tail = [] if style == "pigtails" else [locks]
        return [top, sides, *tail, *([bangs] if style == "bob" else halves)]
    if style == "bun":
        return [top, sides, head.disc(0.0, -1.22, 0.24, depth=0.2, soft=0.1, opacity=0.3, colour=hair * 1.3 + 0.05)]
    return [top, sides, head.part(0.16, -0.70, 0.42, 0.14, 0.12, depth=0.9, angle=0.14, colour=hair * 0.94)]


def beard(head: Head, who: Mapping[str, Any], look: Expression) -> list[Layer]:
    """Two layers below the lips; none for most."""
    hair, drop = hair_of(who) * 0.9, 0.11 * look.part("open")
    if who["beard"] != "beard":
        return [HIDDEN, HIDDEN]
    return [
        head.part(0.0, 0.64 + drop / 2, 0.66 * who["wide"], 0.40 + drop / 2, 0.34, depth=0.7, shade=0.14, colour=hair),
        head.part(0.0, 0.33, 0.50, 0.10, 0.10, depth=0.8, soft=0.03, colour=skin_of(who) * 0.97),
    ]
