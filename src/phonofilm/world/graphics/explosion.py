"""Fire and what it leaves: flash, fireball, shock, smoke and dust, as layers over time."""

from __future__ import annotations

import numpy as np

from phonofilm.world.common.geometry import SPEED_OF_SOUND
from phonofilm.world.graphics.rasterizer import Layer

# a body that cools: white, yellow, orange, red, soot
HEAT = np.array(((1.15, 1.12, 0.95), (1.12, 0.86, 0.28), (1.02, 0.48, 0.08), (0.62, 0.16, 0.05), (0.10, 0.09, 0.09)))


def heat(cooled: np.ndarray) -> np.ndarray:
    """Colours [T, 3] of fire that has cooled by 0 (white) to 1 (soot)."""
    place = np.clip(cooled, 0, 1) * (len(HEAT) - 1)
    low = np.minimum(place.astype(int), len(HEAT) - 2)
    part = (place - low)[:, None]
    return HEAT[low] * (1 - part) + HEAT[low + 1] * part


def flash(age: np.ndarray) -> Layer:
    """A glare over the whole picture."""
    glare = np.where(age >= 0, 0.85 * np.exp(-np.maximum(age, 0) / 0.09), 0.0)
    return Layer(0.5, 0.5, 3, 3, opacity=np.where(glare > 0.03, glare, 0.0), colour=(1.1, 1.05, 0.9))


def shock(age: np.ndarray, x: float, y: float, width: float) -> list[Layer]:
    """The front of the shock, which runs at the speed of sound, and the dust it raises; width of picture in m."""
    run = np.maximum(age, 0) * SPEED_OF_SOUND / width
    seen = np.where((age >= 0) & (run < 1.6), 0.5, 0.0)
    swept = 0.5 * (1 - np.exp(-np.maximum(age, 0) / 0.4))
    dusty = np.where(age >= 0, 0.5 * np.exp(-np.maximum(age, 0) / 0.7), 0.0)
    return [
        Layer(x, y, radius=run, ring=0.008, soft=0.02, opacity=seen, colour=(1.0, 1.0, 1.0)),
        Layer(
            x,
            y,
            0.03,
            0.0,
            0.016 + 0.03 * swept,
            apart=swept,
            soft=0.04,
            opacity=np.where(dusty > 0.02, dusty, 0.0),
            colour=(0.62, 0.55, 0.46),
        ),
    ]


def ball(age: np.ndarray, x: float, y: float, size: float, turns: np.ndarray) -> list[Layer]:
    """A fireball of overlapping lobes, one for each of `turns` [P] (0 to 1), that swells, rises and cools."""
    result, since = [], np.maximum(age, 0)
    for rank, turn in enumerate(turns):
        way = np.pi * (rank + turn) / len(turns)
        grown = 1 - np.exp(-since / (0.10 + 0.06 * turn))
        out, cool = size * (0.55 + 0.35 * turn) * grown, since / (0.75 + 0.5 * turn)
        rise = 0.12 * size / 0.2 * since
        for share, hotter in ((1.0, 0.0), (0.6, 0.22)):  # a lobe is hotter inside
            result.append(
                Layer(
                    x + out * np.cos(way),
                    y - out * 0.8 * np.sin(way) - rise,
                    radius=size * (0.25 + 0.45 * grown) * share,
                    soft=size * 0.4 * share,
                    opacity=np.where(age >= 0, np.clip(2.2 - 2.2 * cool, 0, 0.95), 0.0) * (1 - hotter),
                    colour=heat(0.12 + 0.85 * cool + 0.12 * turn - hotter),
                )
            )
    heart = np.where(age >= 0, np.exp(-since / 0.22), 0.0)
    result.append(
        Layer(
            x,
            y - 0.3 * size,
            radius=size * 0.7,
            soft=size,
            opacity=np.where(heart > 0.03, heart, 0.0),
            colour=(1.2, 1.15, 0.9),
        )
    )
    return result


def smoke(age: np.ndarray, x: float, y: float, size: float, turns: np.ndarray, wind: float) -> list[Layer]:
    """A column of puffs that leave one after the other, climb, drift with the wind and thin out."""
    result = []
    for rank, turn in enumerate(turns):
        mine = age - 0.10 - 0.22 * rank
        since = np.maximum(mine, 0)
        climb = (1.9 - 0.10 * rank) * size * (1 - np.exp(-since / 0.9))
        thick = np.where(mine >= 0, 0.85 * np.minimum(since / 0.3, 1) * np.exp(-since / 3.0), 0.0)
        grey = 0.16 + 0.10 * turn + 0.05 * np.minimum(since, 2)
        result.append(
            Layer(
                x + (turn - 0.5) * size * 0.8 + wind * since * (0.4 + since * 0.2),
                y - climb,
                radius=size * (0.30 + 0.45 * (1 - np.exp(-since / 0.8))),
                soft=size * 0.35,
                opacity=thick,
                shade=0.25,
                colour=np.stack([grey, grey * 0.97, grey * 0.95], -1),
            )
        )
    return result


def flames(age: np.ndarray, times: np.ndarray, x: float, y: float, size: float, turns: np.ndarray) -> list[Layer]:
    """Small fires that flicker on the ground after the blast."""
    result = []
    for rank, turn in enumerate(turns):
        flicker = 0.75 + 0.25 * np.sin(2 * np.pi * (5.3 + turn) * times + 7 * turn) * np.sin(17.0 * times + rank)
        high = size * (0.16 + 0.14 * turn) * flicker * np.clip(age / 0.4, 0, 1)
        for share, cooled in ((1.0, 0.52), (0.55, 0.24)):
            result.append(
                Layer(
                    x + (rank - (len(turns) - 1) / 2) * size * 0.19,
                    y - high * share * 0.8,
                    0.0,
                    high * share * 0.6,
                    size * 0.12 * share,
                    soft=size * 0.12 * share,
                    opacity=np.where(age > 0.1, 0.95, 0.0),
                    colour=heat(np.full(len(times), cooled)),
                )
            )
    return result
