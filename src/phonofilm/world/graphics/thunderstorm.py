"""Thunderstorms: clouds, lightning, and thunder that comes later and duller the farther it struck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phonofilm.types import Event
from phonofilm.world.audio.synthesis import Bed, Hit, Score, control_times
from phonofilm.world.common.geometry import SPEED_OF_SOUND, clipped
from phonofilm.world.graphics import landscape
from phonofilm.world.graphics.rasterizer import Layer

STRIKES, JOINTS = 2, 7  # lightnings of a scene at most; corners of a bolt
TOP = 0.04  # height at which bolts leave the clouds
CRACK = ((47.0, 71.0, 103.0), (0.9, 0.6, 0.4), (0.6, 0.4, 0.3))


def sample(rng: np.random.Generator, seconds: float) -> list[dict[str, Any]]:
    """Lightnings in order of time; most are near enough for their thunder to come within the scene."""
    count = int(rng.choice([0, 1, 2], p=[0.35, 0.45, 0.20]))
    earliest, latest = ((), (0.10,), (0.08, 0.45))[count], ((), (0.6,), (0.3, 0.65))[count]
    strikes = []
    for time in rng.uniform(earliest, latest) * seconds:
        farthest = float(np.clip((seconds - 0.6 - time) * SPEED_OF_SOUND, 150, 1100))
        strikes.append(
            {
                "time": float(time),
                "distance": float(rng.uniform(90, farthest)),
                "x": float(rng.uniform(0.12, 0.88)),
                "bends": [float(v) for v in rng.uniform(-0.055, 0.055, JOINTS)],
                "lasting": float(rng.uniform(0.5, 1.0)),
            }
        )
    return strikes


def delay(strike: Mapping[str, Any]) -> float:
    """Seconds from lightning to thunder."""
    return strike["distance"] / SPEED_OF_SOUND


def level_of(strike: Mapping[str, Any]) -> float:
    return float(0.55 / (1 + strike["distance"] / 500))


def events(strikes: Sequence[Mapping[str, Any]], horizon: float) -> tuple[Event, ...]:
    """Lightning is silent, thunder unseen."""
    result = []
    for strike in strikes:
        x, heard = strike["x"], strike["time"] + delay(strike)
        label = f"{strike['distance']:.0f} m"
        result.append(Event(strike["time"], "lightning", clipped(x - 0.08, TOP, x + 0.08, horizon), label=label))
        level, end = float(20 * np.log10(level_of(strike))), heard + 2.5 * strike["lasting"]
        result.append(Event(heard, "thunder", None, 2 * x - 1, level, end, label))
    return tuple(result)


def clouds(land: Mapping[str, Any]) -> list[Layer]:
    """A heavy sky."""
    tint = np.array(landscape.HOURS[land["hour"]].cloud) * 0.42 * land["tint"]
    places = [(cx + dx, cy * 0.7 + 0.03 * rank) for cx, cy, _ in land["clouds"] for rank, dx in enumerate((-0.22, 0.2))]
    return [Layer(x, y, 0.16, 0.02, 0.07, opacity=0.7, soft=0.09, shade=0.2, colour=tint) for x, y in places]


def flicker(age: np.ndarray) -> np.ndarray:
    """Brightness of a lightning: two strokes."""
    since = np.maximum(age, 0)
    second = np.where(since > 0.17, 0.6 * np.exp(-(since - 0.17) / 0.10), 0.0)
    return np.where(age >= 0, np.exp(-since / 0.09) + second, 0.0)


def layers(strikes: Sequence[Mapping[str, Any]], horizon: float, times: np.ndarray) -> list[Layer]:
    """Bolts: the halo and the core of each straight piece; far ones are thinner."""
    result = []
    for strike in strikes:
        shown = flicker(times - strike["time"])
        shown = np.where(shown > 0.08, np.minimum(shown * 1.4, 1.0), 0.0)
        thick = 0.011 / (1 + strike["distance"] / 600)
        xs = strike["x"] + np.concatenate([[0.0], np.cumsum(strike["bends"])])
        ys = np.linspace(TOP, horizon - 0.03, JOINTS + 1)
        for x0, x1, y0, y1 in zip(xs, xs[1:], ys, ys[1:], strict=False):
            way, length = np.arctan2(y1 - y0, x1 - x0), np.hypot(x1 - x0, y1 - y0)
            for radius, soft, opacity, colour in (
                (thick * 2, 0.05, 0.45, (0.75, 0.80, 1.2)),
                (thick, 0.0, 1.0, (1.15, 1.15, 1.2)),
            ):
                result.append(
                    Layer(
                        (x0 + x1) / 2,
                        (y0 + y1) / 2,
                        length / 2,
                        0.0,
                        radius,
                        angle=way,
                        soft=soft,
                        opacity=shown * opacity,
                        colour=colour,
                    )
                )
    return result + [Layer(0.5, 0.5, opacity=0.0)] * (2 * JOINTS * (STRIKES - len(strikes)))


def glare(strikes: Sequence[Mapping[str, Any]], times: np.ndarray) -> Layer:
    """All that lightning lights up."""
    lit = np.zeros(len(times))
    for strike in strikes:
        lit = np.maximum(lit, flicker(times - strike["time"]) * 0.6 / (1 + strike["distance"] / 900))
    return Layer(0.5, 0.5, 3, 3, opacity=np.where(lit > 0.02, lit, 0.0), colour=(0.86, 0.90, 1.1))


def score(strikes: Sequence[Mapping[str, Any]], seconds: float, seed: int) -> Score:
    """Crack and long uneven rumble of each thunder."""
    hits, beds = [], []
    for rank, strike in enumerate(strikes):
        heard, near, level = strike["time"] + delay(strike), 1 / (1 + strike["distance"] / 250), level_of(strike)
        age = control_times(seconds) - heard
        since, pan = np.maximum(age, 0), 2 * strike["x"] - 1
        rolls = np.random.default_rng([seed, rank]).random(int(seconds * 8) + 3)
        uneven = 0.4 + 1.2 * np.interp(since, np.arange(len(rolls)) / 8, rolls)
        swell = np.minimum(0.25 + since / (0.03 + 0.25 * (1 - near)), 1) * np.exp(-since / strike["lasting"])
        rumble = np.where(age >= 0, swell * uneven, 0.0)
        beds.append(Bed(0.55 * level * rumble, 0.6 * pan, 32, 110 + 420 * near, seed + 4 * rank, width=0.5))
        tear = np.where(age >= 0, np.exp(-since / (0.06 + 0.08 * near)) * uneven, 0.0)
        beds.append(Bed(0.8 * level * near * tear, pan, 250, 900 + 4500 * near, seed + 4 * rank + 2))
        hits.append(Hit(heard, 0.8 * level, pan, *CRACK, 0.15 + 1.3 * near, 400 + 2200 * near))
    return Score(tuple(hits), tuple(beds))
