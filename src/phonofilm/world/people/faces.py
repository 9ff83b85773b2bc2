"""Faces: who speaks, and how the features move; lengths are in heads, as `head` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from phonofilm.world.common.palette import COLOURS
from phonofilm.world.graphics.rasterizer import HIDDEN, Layer
from phonofilm.world.people.hair import STYLES, beard, behind, fringe
from phonofilm.world.people.head import HAIR_COLOURS, SKINS, Expression, Head, hair_of, skin_of

EYES = ((0.28, 0.17, 0.09), (0.22, 0.42, 0.66), (0.25, 0.48, 0.28), (0.35, 0.38, 0.42))
MOUTH, EYE = 0.50, (0.33, -0.10)  # v of the lips; u and v of the eyes
TEETH, TONGUE, INSIDE = (0.97, 0.96, 0.92), (0.80, 0.33, 0.33), (0.20, 0.04, 0.05)
EXTRA = 5  # layers of moustache, glasses and earrings


def sample(rng: np.random.Generator) -> dict[str, Any]:
    """Who speaks, as plain facts."""
    kind = str(rng.choice(list(STYLES), p=[0.36, 0.36, 0.14, 0.14]))
    grown = kind in ("woman", "man")
    style = str(rng.choice(STYLES[kind]))
    skin = int(rng.integers(len(SKINS)))
    hair = list(HAIR_COLOURS)[: None if grown else 4]
    weight = np.array([1.0, 1.0, 1.0, 1.0, 0.7])[: len(hair)] * ([1, 1, 0.08, 0.12, 1][: len(hair)] if skin > 3 else 1)
    return {
        "kind": kind,
        "skin": skin,
        "hair": style,
        "hair_colour": str(rng.choice(hair, p=weight / weight.sum())),
        "eyes": int(rng.integers(len(EYES))) if skin < 3 else 0,
        "glasses": bool(rng.random() < 0.28),
        "beard": str(rng.choice(["", "beard", "moustache"], p=[0.5, 0.33, 0.17])) if kind == "man" else "",
        "earrings": bool(kind == "woman" and rng.random() < 0.35),
        "shirt": str(rng.choice(list(COLOURS))),
        "hat": str(rng.choice(list(COLOURS))),
        "wide": float(rng.uniform(0.93, 1.07)),
        "smile": float(rng.uniform(0.0, 1.0)),
    }


def body(head: Head, who: Mapping[str, Any]) -> list[Layer]:
    """Shoulders and neck, which follow the head only a little."""
    skin, shirt = skin_of(who), np.array(COLOURS[who["shirt"]])
    broad = {"man": 1.42, "woman": 1.22, "girl": 1.02, "boy": 1.05}[who["kind"]]
    still = Head(head.x * 0.25 + np.mean(head.x) * 0.75, head.y * 0.2 + np.mean(head.y) * 0.8, head.scale,
                 head.tilt * 0.1, head.turn * 0.0, head.light)  # fmt: skip
    return [
        still.part(0.0, 2.2, broad, 0.95, 0.48, shade=0.22, colour=shirt * 0.85),
        still.part(0.0, 1.22, 0.42, 0.22, 0.20, colour=shirt * 0.6),
        still.part(0.0, 1.02, 0.34, 0.38, 0.16, colour=skin * 0.80),
        still.part(0.0, 0.92, 0.36, 0.16, 0.14, soft=0.12, opacity=0.5, colour=skin * 0.45),
        still.part(0.0, 1.26, 0.26, 0.20, 0.18, colour=skin * 0.80),
    ]


def skull(head: Head, who: Mapping[str, Any], look: Expression) -> list[Layer]:
    """Ears, head and jaw, which drops when the mouth opens."""
    skin, wide, drop = skin_of(who), who["wide"], 0.11 * look.part("open")
    child = who["kind"] in ("girl", "boy")
    chin = (0.50 if child else 0.60 if who["kind"] == "man" else 0.53) * wide
    dark = head.light * -1.0
    return [
        head.disc(0.0, 0.02, 0.17, apart=0.80 * wide, depth=0.3, colour=skin * 0.86),
        head.disc(0.0, 0.03, 0.09, apart=0.81 * wide, depth=0.3, colour=skin * 0.68),
        head.part(0.0, -0.16, 0.79 * wide, 0.80, 0.68, depth=0.5, shade=0.10, colour=skin),
        head.part(0.0, 0.36 + drop / 2, chin + 0.12, 0.60 + drop / 2, 0.58, depth=0.6, colour=skin * 0.97),
        head.part(0.52 * dark, 0.10, 0.08, 0.50, 0.08, depth=0.7, soft=0.34, opacity=0.35, colour=skin * 0.55),
        head.disc(0.0, 0.24, 0.13, apart=0.44, soft=0.18, opacity=0.28, colour=(0.95, 0.36, 0.32)),
        head.disc(-0.18 * dark, -0.42, 0.20, depth=0.9, soft=0.4, opacity=0.35, colour=skin * 0.4 + 0.6),
        head.part(0.0, 0.93 + drop, 0.20, 0.05, 0.05, soft=0.10, opacity=0.25, colour=skin * 0.5),
    ]


def features(head: Head, who: Mapping[str, Any], look: Expression) -> list[Layer]:
    """Eyes with their lids, brows and the nose."""
    skin, (u, v) = skin_of(who), EYE
    size = 1.18 if who["kind"] in ("girl", "boy") else 1.05 if who["kind"] == "woman" else 0.96
    iris, brow = np.array(EYES[who["eyes"]]), hair_of(who) * 0.75 + skin * 0.1
    high = np.maximum(0.130 * size * look.lids, 0.014)
    across, apart = 0.160 * size, u
    eye = v + 0.5 * (0.130 * size - high)  # the upper lid moves more than the lower one
    ball = np.minimum(0.100 * size, high * 0.96)
    pupil, open_, g = np.minimum(0.052 * size, ball), np.where(look.lids > 0.05, 1.0, 0.0), 0.045 * look.gaze
    lift = -0.385 - 0.08 * look.brows
    thick = 0.042 if who["kind"] in ("woman", "girl") else 0.058
    lash = 0.030 if who["kind"] in ("woman", "girl") else 0.018
    corner = np.minimum(high, across)
    return [
        head.part(0.0, v - 0.02, across + 0.05, 0.17, 0.15, apart=apart, soft=0.08, opacity=0.35, colour=skin * 0.6),
        head.part(0.0, eye - lash, across + 0.012, high + 0.004, corner, apart=apart, colour=(0.10, 0.06, 0.06)),
        head.part(0.0, eye, across, high * (look.lids > 0.05), corner, apart=apart, colour=(0.98, 0.98, 0.98)),
        head.part(g, eye, 0.100 * size, ball, ball, apart=apart, depth=1.1, opacity=open_, colour=iris),
        head.part(g, eye, pupil, pupil, pupil, apart=apart, depth=1.1, opacity=open_, colour=(0.03, 0.03, 0.04)),
        head.disc(g + 0.035 * head.light, eye - 0.04, 0.026 * size, apart=apart, depth=1.1, opacity=look.lids > 0.5),
        head.part(-u, lift, 0.17, thick, thick, angle=-0.06 - 0.14 * look.brows, colour=brow),
        head.part(u, lift, 0.17, thick, thick, angle=0.06 + 0.14 * look.brows, colour=brow),
        head.part(-0.05 * head.light, 0.10, 0.045, 0.17, 0.045, depth=1.3, soft=0.06, opacity=0.4, colour=skin * 0.66),
        head.disc(0.0, 0.22, 0.105, depth=1.5, shade=0.12, colour=skin * 0.95),
        head.disc(0.02 * head.light, 0.19, 0.035, depth=1.5, soft=0.05, opacity=0.5, colour=skin * 0.4 + 0.6),
        head.part(0.0, 0.285, 0.03, 0.018, 0.018, apart=0.055, depth=1.4, opacity=0.75, colour=skin * 0.45),
    ]  # fmt: skip


def lips(head: Head, who: Mapping[str, Any], look: Expression) -> list[Layer]:
    """Lips, and between them teeth and tongue."""
    skin = skin_of(who)
    painted = who["kind"] == "woman"
    lip = skin * (0.62, 0.36, 0.36) + np.array((0.24, 0.02, 0.05) if painted else (0.12, 0.04, 0.04))
    opened, press, tuck = look.part("open"), look.part("press"), look.part("tuck")
    half = 0.25 + 0.20 * look.part("wide") + 0.03 * look.smile - 0.04 * opened
    gap = 0.23 * opened  # half of the height between the lips
    thick = (0.062 if painted else 0.050) * (1 - 0.35 * press) + 0.012 * (1 - look.part("wide"))
    middle = MOUTH + 0.85 * gap
    low = thick * (1 - 0.7 * tuck)
    round_out, round_in = np.minimum(half, gap + thick), np.minimum(half - 0.05, gap)
    shown = np.where(opened > 0.05, 1.0, 0.0)
    rows = np.clip(0.55 * gap, 0.0, 0.06) * np.clip(look.part("teeth") * 1.4, 0, 1)
    tongue = look.part("tongue")
    lift = 0.55 * gap * (1 - 0.8 * tongue)
    rest, bend = 1.0 - shown, 0.05 + 0.13 * look.smile
    rise = half * 0.5 * np.sin(bend)
    closed = [  # each half of the lips bends up towards its corner
        head.part(
            way * half * 0.5, MOUTH - rise + shift, half * 0.54, high, high, angle=-way * bend, opacity=rest, colour=hue
        )
        for shift, high, hue in ((0.012, thick, lip), (0.006, 0.015 + 0.008 * press, lip * 0.42))
        for way in (-1.0, 1.0)
    ]
    return [
        head.part(0.0, middle + gap + 0.13, half * 0.6, 0.03, 0.03, soft=0.07, opacity=0.4, colour=skin * 0.55),
        *closed,
        head.part(0.0, middle + (low - thick) / 2, half, gap + (thick + low) / 2, round_out, opacity=shown, shade=0.16,
                  colour=lip),
        head.part(0.0, middle, half - 0.05, gap, round_in, opacity=shown, colour=INSIDE),
        head.part(0.0, middle + lift + 0.3 * gap, (half - 0.10) * 0.72, 0.42 * gap, np.minimum(0.42 * gap, 0.2),
                  opacity=shown, colour=TONGUE),
        head.part(0.0, middle - gap + rows + 0.006, (half - 0.05) * (0.92 - 0.25 * opened), rows,
                  np.minimum(rows, 0.03), opacity=shown * (rows > 0.008), colour=TEETH),
        head.part(0.0, middle + gap - 0.012, (half - 0.05) * 0.6, 0.02, 0.02,
                  opacity=shown * np.clip(look.part("teeth") * 2 - 1.2, 0, 1), colour=np.array(TEETH) * 0.9),
        head.part(0.0, middle + gap + 0.45 * low, half * 0.42, 0.014, 0.014, soft=0.02, opacity=0.35 * (1 - tuck),
                  colour=lip * 0.4 + 0.6),
    ]  # fmt: skip


def extras(head: Head, who: Mapping[str, Any], look: Expression) -> list[Layer]:
    """EXTRA layers: moustache, glasses, earrings."""
    extra = []
    if who["beard"]:
        hair = hair_of(who) * 0.85
        lift = 0.02 * look.part("open")
        extra += [
            head.part(-0.15, 0.385 - lift, 0.19, 0.055, 0.05, angle=-0.16, depth=1.2, colour=hair),
            head.part(0.15, 0.385 - lift, 0.19, 0.055, 0.05, angle=0.16, depth=1.2, colour=hair),
        ]
    if who["glasses"]:
        frame, (u, v) = (0.10, 0.10, 0.13), EYE
        extra += [
            head.disc(0.0, v + 0.01, 0.225, ring=0.026, apart=u, depth=1.15, colour=frame),
            head.disc(0.0, v + 0.01, 0.20, apart=u, depth=1.15, opacity=0.10, colour=(0.85, 0.95, 1.0)),
            head.part(0.0, v, 0.11, 0.024, 0.02, depth=1.2, colour=frame),
        ]
    elif who["earrings"]:
        extra.append(
            head.disc(0.0, 0.26, 0.055, apart=0.84 * who["wide"], depth=0.3, gloss=0.8, colour=(0.98, 0.8, 0.3))
        )
    return extra + [HIDDEN] * (EXTRA - len(extra))


def layers(head: Head, who: Mapping[str, Any], look: Expression) -> list[Layer]:
    """A head with its shoulders, from back to front."""
    return [
        *behind(head, who),
        *body(head, who),
        *skull(head, who, look),
        *beard(head, who, look),
        *features(head, who, look),
        *lips(head, who, look),
        *fringe(head, who),
        *extras(head, who, look),
    ]
