"""Things blow up, near or far; in long scenes new ones come down on parachutes and blow up in turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from phonofilm.types import Event
from phonofilm.world.audio.synthesis import Hit, Room, Score
from phonofilm.world.common.geometry import SPEED_OF_SOUND, clipped, within
from phonofilm.world.common.palette import COLOURS, MATERIALS
from phonofilm.world.families.blast import (
    PIECES,
    TARGETS,
    camera_of,
    debris_of,
    events_of,
    foot_of,
    piece_layers,
    sounds,
    target_layers,
)
from phonofilm.world.graphics import explosion, lit_landscape
from phonofilm.world.graphics.rasterizer import Layer
from phonofilm.world.scenes.actor import Stack

EVERY = (2.4, 4.0)  # s between blasts
DESCENT = 2.2  # s a parachute takes
LASTING = 6.0  # s after which a blast has left nothing that is seen to move
CHUTE = (0.95, 0.93, 0.88)


@dataclass(frozen=True, eq=False)
class Explosions:
    """Blasts in order of time, all at one distance, and the land."""

    facts: Mapping[str, Any]
    seconds: float
    seed: int

    @property
    def blasts(self) -> list[dict[str, Any]]:
        common = {k: self.facts[k] for k in ("camera", "distance", "delay", "land", "room")}
        return [{**common, **blast} for blast in self.facts["blasts"]]

    @property
    def events(self) -> tuple[Event, ...]:
        events = [event for blast in self.blasts for event in events_of(blast, self.seconds)]
        events += [_touchdown(blast) for blast in self.blasts if blast["comes"] > 0]
        return within(events, self.seconds)

    def layers(self, times: np.ndarray) -> Stack:
        place = self.facts["land"]
        shining = lit_landscape.bright(place)
        result: list[Any] = []
        for blast in self.blasts:
            result += _scorch(blast, times)
        for blast in self.blasts:
            age = times - blast["time"]
            if age[-1] > -DESCENT - 12 and age[0] < 60:
                result += _before(blast, times, shining)
        for blast in self.blasts:
            age = times - blast["time"]
            if age[-1] >= 0 and age[0] < LASTING:
                result += _burning(blast, age, times, shining)
        result += [_flash(self.blasts, times)]
        return result

    def score(self) -> Score:
        parts = [sounds(blast, self.seconds, self.seed + 101 * rank) for rank, blast in enumerate(self.blasts)]
        thuds = tuple(_thud(blast) for blast in self.blasts if blast["comes"] > 0)
        room = Room(self.facts["room"]["room_decay"], 0.14, self.seed)
        hits = tuple(hit for part in parts for hit in part.hits) + thuds
        return Score(hits, tuple(bed for part in parts for bed in part.beds), room)


def sample(rng: np.random.Generator, seed: int, seconds: float, place: Mapping[str, Any]) -> Explosions:
    """One blast in four seconds, sometimes two; then one after another."""
    width, zoom = float(rng.uniform(11, 26)), float(np.exp(rng.uniform(np.log(1.3), np.log(6.5))))
    high, foot = width * float(rng.uniform(0.07, 0.13)), float(rng.uniform(0.80, 0.86))
    facts: dict[str, Any] = {
        "distance": width * zoom,
        "delay": width * zoom / SPEED_OF_SOUND,
        "camera": {"focal": zoom, "height": high, "horizon": foot - high / width},
        "land": dict(place),
        "room": {"room_decay": float(rng.uniform(0.3, 0.6))},
        "blasts": [],
    }
    time = float(rng.uniform(0.12, 0.26) * min(seconds, 4.0))
    lanes = rng.permutation(3)
    latest = seconds - facts["delay"] - 0.3
    count = 0
    while not count or time < latest:
        lane = int(lanes[count % 3])
        comes = 0.0 if count < 2 and time < 5 else float(max(time - DESCENT - rng.uniform(0.3, 0.7), 0.1))
        facts["blasts"].append(_blast(rng, facts, lane, time, comes, seconds))
        count += 1
        time += float(rng.uniform(1.4, 1.9)) if seconds <= 4.5 and rng.random() < 0.3 else float(rng.uniform(*EVERY))
    return Explosions(facts, seconds, seed)


def _blast(
    rng: np.random.Generator, facts: Mapping[str, Any], lane: int, time: float, comes: float, seconds: float
) -> dict[str, Any]:
    target = str(rng.choice(list(TARGETS)))
    blast: dict[str, Any] = {
        "target": target,
        "material": TARGETS[target],
        "colour": str(rng.choice(list(COLOURS))),
        "x": float(0.19 + 0.31 * lane + rng.uniform(-0.04, 0.04)),
        "size": float(rng.uniform(0.105, 0.14)),
        "power": float(rng.uniform(0.75, 1.15)),
        "time": time,
        "comes": comes,  # when it touches down, 0 if it was always there
        "rumble": float(rng.uniform(0.7, 1.4)),
        "echoes": [float(v) for v in rng.uniform((0.25, 0.7), (0.6, 1.5))],
        "wind": float(rng.uniform(-0.06, 0.06)),
        "turns": [float(v) for v in rng.random(7)],
    }
    blast["comes"] = comes + DESCENT if comes else 0.0
    blast["debris"] = debris_of(rng, {**facts, **blast}, seconds)
    for piece in blast["debris"]:
        piece["size"] *= 1.3
    return blast


def _touchdown(blast: Mapping[str, Any]) -> Event:
    x, size, foot = blast["x"], blast["size"], foot_of(blast)
    box = clipped(x - size, foot - 2 * size, x + size, foot)
    level = float(20 * np.log10(0.20))
    return Event(blast["comes"], "landing", box, 2 * x - 1, level, label=blast["material"])


def _thud(blast: Mapping[str, Any]) -> Hit:
    struck = MATERIALS[blast["material"]]
    total = sum(struck.gains) + 0.3
    return Hit(
        blast["comes"],
        0.20,
        2 * blast["x"] - 1,
        tuple(0.5 * struck.pitch * ratio for ratio in struck.ratios),
        struck.decays,
        tuple(1.4 * gain / total for gain in struck.gains),
        struck.click + 0.3,
        struck.click_band * 0.5,
    )


def _scorch(blast: Mapping[str, Any], times: np.ndarray) -> list[Layer]:
    age, size, foot = times - blast["time"], blast["size"], foot_of(blast)
    return [
        Layer(
            blast["x"],
            foot + 0.01,
            size * 1.3,
            0.0,
            0.02,
            soft=0.05,
            opacity=np.where(age >= 0, 0.75, 0.0),
            colour=(0.05, 0.04, 0.04),
        )
    ]


def _before(blast: Mapping[str, Any], times: np.ndarray, shining: float) -> list[Layer]:
    """The thing itself, on its parachute if it comes down."""
    shown = np.where(times < blast["time"], 1.0, 0.0)
    foot = np.full(len(times), foot_of(blast))
    since = times - blast["comes"] + DESCENT
    result: list[Layer] = []
    if blast["comes"]:
        down = np.clip(since / DESCENT, 0, 1)
        foot = foot - (1.15 * (1 - down) ** 1.15)
        shown = shown * (since >= 0)
        sway = 0.02 * np.sin(2.6 * times) * (1 - down)
        furl = np.clip((times - blast["comes"]) / 0.7, 0, 1)
        result += _parachute(blast, foot, shown * (1 - furl), sway, furl, shining)
    layers = target_layers(blast, 0.0, shown, shining, times)
    result += [_lowered(layer, foot) for layer in layers]
    return result


def _lowered(layer: Layer, foot: np.ndarray) -> Layer:
    from dataclasses import replace

    gloss = layer.gloss if np.any(layer.gloss) else 0.12 * np.asarray(layer.shade)
    return replace(layer, y=np.asarray(layer.y) + foot, gloss=gloss)


def _parachute(
    blast: Mapping[str, Any], foot: np.ndarray, shown: np.ndarray, sway: np.ndarray, furl: np.ndarray, shining: float
) -> list[Layer]:
    x, size = blast["x"] + sway, blast["size"]
    top = foot - 4.3 * size + 2.0 * size * furl
    stripe = np.array(COLOURS[blast["colour"]]) * shining
    cords = [
        Layer(
            x + way * size * 0.55,
            (top + foot - 2 * size) / 2 + 0.2 * size,
            0.0,
            size * 1.1,
            0.004,
            angle=way * 0.45,
            opacity=shown * 0.8,
            colour=(0.25, 0.24, 0.24),
        )
        for way in (-1.0, 1.0)
    ]
    dome = [
        Layer(
            x,
            top,
            size * 0.45,
            0.0,
            size * 0.72,
            opacity=shown,
            shade=0.34,
            gloss=0.1,
            colour=np.array(CHUTE) * shining,
        ),
        Layer(x, top, 0.0, 0.0, size * 0.40, opacity=shown, shade=0.3, colour=stripe),
    ]
    return [*cords, *dome]


def _burning(blast: Mapping[str, Any], age: np.ndarray, times: np.ndarray, shining: float) -> list[Layer]:
    """Smoke behind fire behind debris; and its light on the ground."""
    from dataclasses import replace

    x, size, foot, turns = blast["x"], blast["size"], foot_of(blast), np.array(blast["turns"])
    large = 1.9 * size * blast["power"]
    since = np.maximum(age, 0)
    lit = np.where(age >= 0, 1.1 * np.exp(-since / 0.5) + 0.25 * np.exp(-since / 3.0), 0.0)
    result = [
        Layer(
            x,
            foot + 0.05,
            large * 1.2,
            0.0,
            0.05,
            soft=0.22,
            opacity=np.where(lit > 0.02, lit, 0.0) * 0.5,
            emission=1.0,
            colour=(1.1, 0.66, 0.28),
        )
    ]
    gone = np.clip((LASTING - age) / 1.5, 0, 1)
    smoke = explosion.smoke(age, x, foot - 0.7 * size, large, turns, blast["wind"])
    result += [
        replace(
            layer,
            texture="smoke",
            shade=0.30,
            colour=np.asarray(layer.colour) * (0.9 + 0.9 * shining),
            opacity=layer.opacity * gone,
        )
        for layer in smoke
    ]
    result += [replace(layer, opacity=layer.opacity * gone) for layer in _flames(age, times, x, foot, large, turns[:5])]
    result += explosion.ball(age, x, foot - 0.7 * size, large, turns)
    result += explosion.shock(age, x, foot - 0.02, blast["distance"] / camera_of(blast).focal)
    for rank in range(min(PIECES, len(blast["debris"]))):
        result += piece_layers(blast, rank, age, shining)
    return result


def _flames(age: np.ndarray, times: np.ndarray, x: float, y: float, size: float, turns: np.ndarray) -> list[Layer]:
    """Tongues of fire of several sizes that lick and sway."""
    result = []
    for rank, turn in enumerate(turns):
        flicker = 0.72 + 0.28 * np.sin(2 * np.pi * (2.1 + turn) * times + 7 * turn) * np.sin(6.1 * times + 2.3 * rank)
        high = size * (0.10 + 0.24 * turn) * flicker * np.clip(age / 0.4, 0, 1)
        lean = 0.22 * np.sin(2 * np.pi * (0.9 + 0.5 * turn) * times + 5 * rank)
        place = x + (rank - (len(turns) - 1) / 2 + 0.5 * turn - 0.25) * size * 0.21
        for share, cooled, soft in ((1.0, 0.55, 0.20), (0.62, 0.34, 0.12), (0.34, 0.14, 0.08)):
            result.append(
                Layer(
                    place + high * share * 0.8 * lean,
                    y - high * share * 0.85,
                    0.0,
                    high * share * 0.75,
                    size * 0.105 * share * (0.7 + 0.6 * turn),
                    angle=lean,
                    soft=size * soft,
                    opacity=np.where(age > 0.1, 0.85, 0.0),
                    colour=explosion.heat(np.full(len(times), cooled)) * 1.08,
                )
            )
    return result


def _flash(blasts: list[dict[str, Any]], times: np.ndarray) -> Layer:
    """A glare over the whole picture."""
    glare = np.zeros(len(times))
    for blast in blasts:
        age = times - blast["time"]
        glare = np.maximum(glare, np.where(age >= 0, np.exp(-np.maximum(age, 0) / 0.10), 0.0))
    return Layer(0.5, 0.5, 3, 3, opacity=np.where(glare > 0.03, 0.75 * glare, 0.0), colour=(1.15, 1.06, 0.88))
