"""Rain: a shower that falls on any open place, with thunder; and drops from a gutter that ring on what they hit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phonofilm.types import Event
from phonofilm.world.audio.synthesis import Bed, Room, Score, control_times
from phonofilm.world.common.geometry import SPEED_OF_SOUND, clipped, within
from phonofilm.world.common.palette import COLOURS
from phonofilm.world.families.rain import (
    LEVEL,
    SPLASHES,
    STREAKS,
    TARGETS,
    TURNS,
    WATER,
    drop_layers,
    eaves,
    gusts,
    material_of,
    plink,
    reed_of,
    reeds,
    splashes,
)
from phonofilm.world.graphics import lit_landscape, thunderstorm
from phonofilm.world.graphics.lit_renderer import Mirror
from phonofilm.world.graphics.rasterizer import Layer
from phonofilm.world.scenes.actor import Stack

LARGE = 1.6  # of things that drops fall on, relative to the flat world's
REEDS = 5
GLARE = 0.5


@dataclass(frozen=True, eq=False)
class Shower:
    """Falling rain, wind and thunderstorm: it belongs to the air, and to no one thing."""

    facts: Mapping[str, Any]
    seconds: float
    seed: int

    @property
    def events(self) -> tuple[Event, ...]:
        return within(thunderstorm.events(self.facts["lightning"], self.facts["horizon"]), self.seconds)

    def behind(self, times: np.ndarray) -> Stack:
        """Bolts of lightning, beyond everything."""
        near = [s for s in self.facts["lightning"] if s["time"] < times[-1] + 0.1 and s["time"] > times[0] - 1.2]
        layers = [
            layer for layer in thunderstorm.layers(near, self.facts["horizon"], times) if np.max(layer.opacity) > 0
        ]
        return [replace(layer, emission=1.0) if np.any(layer.soft) else layer for layer in layers]

    def layers(self, times: np.ndarray) -> Stack:
        """Streaks, splashes on the ground, and the glare of lightning over all."""
        result: list[Any] = [*_streaks(self.facts, times), *splashes(self.facts, times)]
        glare = np.zeros(len(times))
        for strike in self.facts["lightning"]:
            glare = np.maximum(
                glare, thunderstorm.flicker(times - strike["time"]) * GLARE / (1 + strike["distance"] / 900)
            )
        shown = np.where(glare > 0.02, glare, 0.0)
        result.append(Layer(0.5, 0.5, 3, 3, opacity=shown, emission=1.0, colour=(0.62, 0.66, 0.80)))
        return result

    def score(self) -> Score:
        times, noise = control_times(self.seconds), self.seed * 17
        wind = gusts(self.facts, times)
        beds = (
            Bed(np.full(len(times), 0.010 + 0.030 * self.facts["heavy"]), 0.0, 1800, 9000, noise, width=0.9),
            Bed(0.055 * np.maximum(wind, 0.0) ** 1.5, -0.4 * self.facts["blows"], 180, 620, noise + 2, width=0.5),
        )
        thunder = thunderstorm.score(self.facts["lightning"], self.seconds, noise + 4)
        return Score(thunder.hits, beds + thunder.beds, Room(0.3, 0.10, self.seed))


def shower(rng: np.random.Generator, seed: int, seconds: float, horizon: float, floor: float) -> Shower:
    """How hard it rains and blows, and where lightning strikes."""
    facts = {
        "heavy": float(rng.uniform(0.25, 1.0)),
        "wind": float(rng.uniform(0.1, 1.0)),
        "gust": [float(v) for v in rng.uniform((0.2, 0.0), (0.5, 6.0))],
        "blows": float(rng.choice([-1.0, 1.0])),
        "horizon": horizon,
        "floor": floor,
        "streaks": [
            [float(v) for v in rng.uniform((-0.4, 0, 1.5, 0.04), (1.4, 1, 2.3, 0.075))] for _ in range(STREAKS)
        ],
        "splashes": [[float(v) for v in rng.uniform((0, 0.2, 0.5, 0), (1, 0.9, 0.9, 1))] for _ in range(SPLASHES)],
        "lightning": _lightning(rng, seconds),
    }
    return Shower(facts, seconds, seed)


def _lightning(rng: np.random.Generator, seconds: float) -> list[dict[str, Any]]:
    """None, or a storm that goes on; most are near enough for their thunder to come within the scene."""
    if rng.random() < 0.35:
        return []
    strikes: list[dict[str, Any]] = []
    time = float(rng.uniform(0.08, 0.5)) * min(seconds, 4.0)
    while not strikes or time < seconds - 0.7:
        farthest = float(np.clip((seconds - 0.6 - time) * SPEED_OF_SOUND, 150, 1100))
        strikes.append(
            {
                "time": time,
                "distance": float(rng.uniform(90, farthest)),
                "x": float(rng.uniform(0.12, 0.88)),
                "bends": [float(v) for v in rng.uniform(-0.055, 0.055, thunderstorm.JOINTS)],
                "lasting": float(rng.uniform(0.5, 1.0)),
            }
        )
        time += float(rng.uniform(1.4, 2.2)) if rng.random() < 0.4 else float(rng.uniform(3.0, 9.0))
    return strikes


def _streaks(facts: Mapping[str, Any], times: np.ndarray) -> list[Layer]:
    """Faint light in falling water; a streak is as long as it falls while the shutter is open."""
    slant = facts["blows"] * 0.28 * facts["wind"]
    result = []
    for rank, (x, phase, speed, half) in enumerate(facts["streaks"]):
        if rank >= STREAKS * facts["heavy"]:
            continue
        far = 0.6 + 0.4 * (rank % 3) / 2
        part = phase + speed * times / 1.4
        y = (part % 1.0) * 1.4 - 0.15
        place = (x + 0.4 + 0.37 * np.floor(part)) % 1.8 - 0.4
        result.append(
            Layer(
                place + slant * (y - 0.5),
                y,
                0.0,
                half * far,
                0.0042 * far,
                angle=-np.arctan(slant),
                opacity=0.30 * far,
                soft=0.004,
                emission=1.0,
                colour=np.array(WATER) * 0.72,
            )
        )
    return result


@dataclass(frozen=True, eq=False)
class Drips:
    """A gutter, things below it, and the drops that fall on them."""

    facts: Mapping[str, Any]
    seconds: float
    seed: int

    @property
    def events(self) -> tuple[Event, ...]:
        events = []
        for drop in self.facts["drops"]:
            x, y, size, material = drop["x"], drop["y"], drop["size"], material_of(self.facts, drop)
            box = clipped(x - size, y - size, x + size, y + size)
            level = float(20 * np.log10(LEVEL[material]))
            events.append(Event(drop["time"], "drop", box, 2 * x - 1, level, label=material))
        return within(events, self.seconds)

    def layers(self, times: np.ndarray) -> Stack:
        place, floor = self.facts["land"], self.facts["floor"]
        shining = lit_landscape.bright(place)
        result: list[Any] = []
        for target in self.facts["targets"]:
            result += _thing(target, floor, shining, place["light"])
        result.append(Mirror(floor + 0.012, 0.30, 0.15))
        result += [replace(layer, gloss=0.25 * np.asarray(layer.shade)) for layer in eaves(shining)]
        result += reeds(self.facts, times, shining)
        for turn in range(TURNS):
            for layer in drop_layers(self.facts, self.facts["drops"][turn::TURNS], times):
                if np.max(layer.opacity) > 0:
                    result.append(replace(layer, texture="glass") if np.any(layer.gloss) else layer)
        return result

    def score(self) -> Score:
        hits = tuple(plink(drop, material_of(self.facts, drop)) for drop in self.facts["drops"])
        return Score(hits, (), Room(self.facts["land"]["room_decay"], 0.10, self.seed))


def _thing(target: Mapping[str, Any], floor: float, shining: float, side: float) -> list[Layer]:
    """A puddle, bucket, crate or jar that stands on the floor."""
    kind, x = target["kind"], target["x"]
    half, high = size_of(kind)
    paint, y = np.array(COLOURS[target["colour"]]) * shining, floor - high / 2

    def box(dx: float, dy: float, wide: float, tall: float, radius: float = 0.0, **look: Any) -> Layer:
        return Layer(x + dx * half, y + dy * high, wide * half - radius, tall * high - radius, radius, **look)

    if kind == "puddle":
        water = np.array((0.46, 0.58, 0.70)) * shining
        return [
            Layer(x, floor + 0.030, half * 0.80, 0.0, 0.046, soft=0.05, opacity=0.85, colour=water * 0.45),
            Layer(x, floor + 0.030, half * 0.78, 0.0, 0.036, soft=0.035, opacity=0.9, colour=water),
            Layer(x - 0.2 * half, floor + 0.020, half * 0.35, 0.0, 0.010, soft=0.02, opacity=0.6, colour=water * 1.7),
        ]
    shadow = Layer(
        x - 0.03 * side, floor + 0.012, half * 1.0, 0.0, 0.022, soft=0.05, opacity=0.6, colour=(0.01, 0.01, 0.02)
    )
    if kind == "bucket":
        steel = paint * 0.62 + 0.26 * shining
        parts = [
            box(0, 0.02, 0.90, 0.48, 0.05, shade=0.30, gloss=0.8, texture="metal", colour=steel),
            *(box(0, dy, 0.94, 0.025, 0.006, shade=0.3, colour=steel * 0.66) for dy in (-0.14, 0.24)),
            box(0, -0.46, 1.04, 0.06, 0.011, shade=0.3, gloss=0.6, colour=steel * 1.15),
        ]
    elif kind == "crate":
        wood = paint * 0.66 + np.array((0.30, 0.21, 0.12)) * shining
        parts = [
            box(0, 0, 1.0, 0.5, 0.012, shade=0.2, texture="wood", colour=wood),
            *(box(0, dy, 1.0, 0.012, colour=wood * 0.5) for dy in (-0.17, 0.17)),
            *(box(dx, 0, 0.11, 0.5, 0.01, shade=0.3, texture="wood", colour=wood * 0.84) for dx in (-0.90, 0.90)),
            box(0, -0.46, 1.05, 0.065, 0.011, shade=0.3, texture="wood", colour=wood * 1.15),
        ]
    else:
        glass = np.array((0.78, 0.94, 0.96)) * shining
        parts = [
            box(0, 0.20, 0.86, 0.27, 0.03, opacity=0.9, shade=0.3, colour=paint * 0.9),
            box(0, 0.03, 1.0, 0.46, 0.045, opacity=0.75, shade=0.2, gloss=1.0, texture="glass", colour=glass),
            box(-0.55, 0.0, 0.06, 0.30, 0.006, opacity=0.55, soft=0.012, colour=glass * 1.2),
            box(0, -0.46, 0.92, 0.08, 0.012, shade=0.3, gloss=0.5, colour=paint),
        ]
    return [shadow, *parts]


def size_of(kind: str) -> tuple[float, float]:
    """Half width and height of what drops fall on."""
    return TARGETS[kind][1] * LARGE, TARGETS[kind][2] * LARGE


def drips(
    rng: np.random.Generator, seed: int, seconds: float, place: Mapping[str, Any], air: Mapping[str, Any]
) -> Drips:
    """Two or three things below a gutter, and drops to the end of the scene."""
    lanes = int(rng.choice([2, 3], p=[0.6, 0.4]))
    names = ["puddle", *rng.choice([name for name in TARGETS if name != "puddle"], lanes - 1, replace=False)]
    places = (np.arange(lanes) + 0.5) / lanes + rng.uniform(-0.04, 0.04, lanes)
    order = rng.permutation(lanes)
    facts: dict[str, Any] = {
        **{name: air[name] for name in ("wind", "gust", "blows", "horizon", "floor")},
        "targets": [
            {"kind": str(names[i]), "x": float(places[slot]), "colour": str(rng.choice(list(COLOURS)))}
            for slot, i in enumerate(order)
        ],
        "gravity": float(rng.uniform(2.0, 3.0)),
        "reeds": [reed_of(rng, lanes) for _ in range(REEDS)],
        "land": dict(place),
    }
    facts["drops"] = _drops(rng, facts, seconds)
    return Drips(facts, seconds, seed)


def _drops(rng: np.random.Generator, facts: Mapping[str, Any], seconds: float) -> list[dict[str, Any]]:
    """Drops by the time they land, far enough apart to be told apart."""
    longest = 0.28 + float(rng.uniform(0.2, 0.9))
    time, drops = float(rng.uniform(0.15, 0.7)), []
    while time < seconds - 0.15:
        lane = int(rng.integers(len(facts["targets"])))
        kind, x = facts["targets"][lane]["kind"], facts["targets"][lane]["x"]
        half, high = size_of(kind)
        spread = 0.5 if kind == "puddle" else 0.25
        low = float(rng.uniform(0.015, 0.035)) if kind == "puddle" else 0.0
        drops.append(
            {
                "time": time,
                "target": lane,
                "x": x + float(rng.uniform(-spread, spread)) * half,
                "y": facts["floor"] - high + low,
                "size": float(rng.uniform(0.030, 0.042)),
            }
        )
        time += float(rng.uniform(0.28, longest))
    return drops
