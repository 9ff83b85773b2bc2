"""Bounce: balls and boxes of several colours and materials fall, roll and collide in a room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phonofilm.types import Event
from phonofilm.world.audio.synthesis import Bed, Hit, Room, Score, control_times
from phonofilm.world.common import captions
from phonofilm.world.common.palette import COLOURS, MATERIALS
from phonofilm.world.common.physics import Body, Contact, simulate
from phonofilm.world.common.scene import TRACK_RATE, Truth, at_times, since_last
from phonofilm.world.graphics.rasterizer import Layer

AUDIBLE = 0.24  # units/s: slower touches are neither seen nor heard
APART = 0.2  # s: impacts closer than this cannot be told apart at 12 frames a second


def sample(rng: np.random.Generator, seed: int, seconds: float) -> Truth:
    """A scene whose impacts can all be told apart; redrawn until it has at least two."""
    for _ in range(200):
        room: dict[str, Any] = {
            "floor": float(rng.uniform(0.82, 0.9)),
            "gravity": float(rng.uniform(1.2, 1.9)),
            "wall_tint": [float(v) for v in rng.uniform(0.24, 0.46, 1) + rng.uniform(-0.05, 0.05, 3)],
            "floor_tint": [float(v) for v in rng.uniform(0.30, 0.52, 1) + rng.uniform(-0.06, 0.06, 3)],
            "light": float(rng.choice([-1.0, 1.0])),
            "room_decay": float(rng.uniform(0.15, 0.45)),
        }
        things, bodies = _things(rng, room["floor"])
        path, touches = simulate(bodies, room["gravity"], room["floor"], (0.04, 0.96), seconds)
        impacts = audible(touches)
        times = [c.time for c in impacts]
        if len(times) >= 2 and min(np.diff(times)) >= APART and times[-1] < seconds - 0.1:
            return _truth(rng, seed, seconds, room, things, path, impacts)
    raise RuntimeError(f"no clear bounce scene was found for seed {seed}")


def _things(rng: np.random.Generator, floor: float) -> tuple[list[dict], list[Body]]:
    count = int(rng.choice([1, 2, 3], p=[0.55, 0.37, 0.08]))
    colours = rng.choice(list(COLOURS), count, replace=False)
    lanes = (rng.permutation(count) + 0.5) / count
    things, bodies = [], []
    for colour, lane in zip(colours, lanes, strict=True):
        material = str(rng.choice(list(MATERIALS)))
        shape = "ball" if rng.random() < 0.68 else "box"
        size = float(rng.uniform(0.085, 0.125) * (1 if shape == "ball" else 0.85) * (1 if count < 3 else 0.85))
        x = float(np.clip(0.16 + 0.68 * lane + rng.uniform(-0.12, 0.12), 0.06 + size, 0.94 - size))
        speed = float(rng.uniform(0.05, 0.5) * rng.choice([-1, 1]))
        things.append({"shape": shape, "size": size, "colour": str(colour), "material": material, "start": x})
        keeps = MATERIALS[material].restitution * (1 if shape == "ball" else 0.88)
        height = float(rng.uniform(size + 0.02, floor - 0.32))
        bodies.append(Body(shape, size, x, height, speed, 0.0, keeps))
    return things, bodies


def audible(touches: Sequence[Contact]) -> list[Contact]:
    """Audible touches; a body that chatters on the spot is heard once."""
    last: dict[tuple[int, ...], float] = {}
    kept = []
    for touch in touches:
        loud = touch.speed > AUDIBLE and touch.time > 0.08
        if loud and touch.time - last.get(touch.bodies, -1.0) > 0.09:
            kept.append(touch)
        last[touch.bodies] = touch.time
    return kept


def _truth(
    rng: np.random.Generator,
    seed: int,
    seconds: float,
    room: dict,
    things: list[dict],
    path: np.ndarray,
    impacts: list[Contact],
) -> Truth:
    events = []
    for contact in impacts:
        lead = contact.bodies[0]
        x, y = path[min(round(contact.time * TRACK_RATE), len(path) - 1), lead, :2]
        size = things[lead]["size"]
        box = tuple(float(np.clip(v, 0, 1)) for v in (x - size, y - size, x + size, y + size))
        level = float(20 * np.log10(_gain(contact.speed)))
        pan = float(np.clip(2 * contact.x - 1, -1, 1))
        events.append(Event(contact.time, "impact", box, pan, level, label=things[lead]["material"]))  # type: ignore[arg-type]
    return Truth(
        "bounce",
        seed,
        seconds,
        captions.bounce(rng, things, path),
        tuple(events),
        {"objects": things, "room": room},
        {"path": path},
        {"impacts": impacts},
    )


def _gain(speed: float) -> float:
    return float(0.16 + 0.4 * min(speed / 1.4, 1.0))


def backdrop(truth: Truth) -> np.ndarray:
    """[2, 3]: the wall, a little lighter towards the floor."""
    wall = np.array(truth.params["room"]["wall_tint"])
    return np.stack([wall * 0.8, wall * 1.15])


def layers(truth: Truth, times: np.ndarray) -> list[Layer]:
    """The room, then for each thing its shadow, its body and the dust of its impacts."""
    room, things = truth.params["room"], truth.params["objects"]
    floor, light = room["floor"], room["light"]
    tint = np.array(room["floor_tint"])
    result = [
        Layer(0.5, floor + 0.5, 3, 0.5, colour=tint),
        Layer(0.5, floor + 0.008, 3, 0.008, colour=tint * 1.3),
        Layer(-0.48, 0.5, 0.52, 2, colour=tint * 0.55),
        Layer(1.48, 0.5, 0.52, 2, colour=tint * 0.55),
    ]
    path = truth.at("path", times)
    for index, thing in enumerate(things):
        result.append(_shadow(path[:, index], thing["size"], floor))
    for index, thing in enumerate(things):
        mine = [c for c in truth.details["impacts"] if index in c.bodies]
        result.append(_body(path[:, index], thing, mine, times, light))
        result.append(_dust([c for c in mine if c.bodies[0] == index], thing["size"], times))
    return result


def _shadow(path: np.ndarray, size: float, floor: float) -> Layer:
    height = np.clip((floor - path[:, 1] - size) / 0.6, 0, 1)
    return Layer(
        path[:, 0],
        floor + 0.012,
        size * 0.75,
        0.002,
        0.012,
        opacity=0.55 * (1 - 0.75 * height),
        soft=0.02 + 0.05 * height,
        colour=(0.02, 0.02, 0.03),
    )


def _body(path: np.ndarray, thing: dict, mine: list[Contact], times: np.ndarray, light: float) -> Layer:
    """Squashed along the normal of the last impact for a tenth of a second, as animators draw it."""
    material, size = MATERIALS[thing["material"]], thing["size"]
    onsets = np.array([c.time for c in mine])
    index, age = since_last(times, onsets)
    squash = np.zeros(len(times))
    upright = np.ones(len(times))
    push = np.zeros((len(times), 2))
    if mine:
        speed = np.array([c.speed for c in mine])[index]
        squash = np.where(index >= 0, 0.24 * material.give * np.minimum(speed, 1.2) * np.exp(-age / 0.08), 0.0)
        normals = np.array([c.normal for c in mine])[index]
        upright = (np.abs(normals[:, 1]) >= np.abs(normals[:, 0])).astype(float)
        contact = np.array([(c.x, c.y) for c in mine])[index]
        push = np.sign(contact - path[:, :2]) * (squash * size)[:, None]
    flat, tall = 1 + 0.7 * squash, 1 - squash
    wide, high = np.where(upright > 0, flat, tall), np.where(upright > 0, tall, flat)
    ball = thing["shape"] == "ball"
    rounding = size * 0.16 if not ball else size * np.minimum(wide, high)
    turning = path[:, 2] if ball else np.zeros(len(times))
    # a squashed ball keeps its axes; its band turns only while it is round
    turning = np.where(squash > 0.03, 0.0, turning)
    return Layer(
        path[:, 0] + push[:, 0] * (1 - upright),
        path[:, 1] + push[:, 1] * upright,
        size * wide - rounding,
        size * high - rounding,
        rounding,
        turning,
        opacity=material.opacity,
        shade=0.32,
        gloss=material.gloss * 0.7,
        band=size * 0.3 if thing["material"] in ("wood", "rubber") else 0.0,
        light=light,
        colour=COLOURS[thing["colour"]],
    )


def _dust(mine: list[Contact], size: float, times: np.ndarray) -> Layer:
    """Two puffs that fly apart along the surface that was hit."""
    if not mine:
        return Layer(0.5, 0.5, opacity=np.zeros(len(times)))
    index, age = since_last(times, np.array([c.time for c in mine]))
    speed = np.minimum(np.array([c.speed for c in mine])[index], 1.4)
    contact = np.array([(c.x, c.y, *c.normal) for c in mine])[index]
    grown = 1 - np.exp(-age / 0.1)
    visible = np.where(index >= 0, (0.85 + 0.45 * speed / 1.4) * np.exp(-age / 0.14), 0.0)
    upright = np.abs(contact[:, 3]) >= np.abs(contact[:, 2])
    return Layer(
        contact[:, 0],
        contact[:, 1] - np.where(upright & (contact[:, 3] != 0), 0.02, 0.0),
        radius=0.036 + 0.028 * grown,
        angle=np.arctan2(contact[:, 2], -contact[:, 3]),
        opacity=np.where(visible > 0.05, np.minimum(visible, 1), 0.0),
        soft=0.01,
        apart=size * 0.95 + (0.05 + 0.06 * speed) * grown,
        colour=(1.0, 0.97, 0.86),
    )


def score(truth: Truth) -> Score:
    """Every impact sounds each body that takes part; what rolls on the floor rumbles softly."""
    things, room = truth.params["objects"], truth.params["room"]
    return sounds(things, room["floor"], truth.tracks["path"], truth.details["impacts"], room, truth.seed)


def sounds(
    things: Sequence[Mapping[str, Any]],
    floor: float,
    path: np.ndarray,
    impacts: Sequence[Contact],
    room: Mapping[str, Any],
    seed: int,
) -> Score:
    """What bodies that move along path [S, bodies, 5] are heard to do."""
    hits = []
    for contact in impacts:
        for index in contact.bodies:
            material, size = MATERIALS[things[index]["material"]], things[index]["size"]
            pitch = material.pitch * (0.1 / size)
            bright = min(contact.speed / 1.2, 1.0)
            gains = tuple(g * (0.45 + 0.55 * bright) ** m for m, g in enumerate(material.gains))
            total = sum(gains) + 0.3
            hits.append(
                Hit(
                    contact.time,
                    _gain(contact.speed) / len(contact.bodies) ** 0.5,
                    float(np.clip(2 * contact.x - 1, -1, 1)),
                    tuple(pitch * r for r in material.ratios),
                    material.decays,
                    tuple(1.6 * g / total for g in gains),
                    material.click * (0.5 + 0.5 * bright),
                    material.click_band,
                )
            )
    balls = [index for index, thing in enumerate(things) if thing["shape"] == "ball"]
    beds = tuple(_rolling(path[:, index], things[index]["size"], floor, seed * 7 + index) for index in balls)
    return Score(tuple(hits), beds, Room(room["room_decay"], 0.10, seed))


def _rolling(path: np.ndarray, size: float, floor: float, seed: int) -> Bed:
    seconds = (len(path) - 1) / TRACK_RATE
    path = at_times(path, control_times(seconds))
    touching = np.abs(floor - path[:, 1] - size) < 0.004
    slow = np.abs(path[:, 4]) < 0.05
    level = np.where(touching & slow, 0.02 * np.minimum(np.abs(path[:, 3]) / 0.3, 1.0), 0.0)
    level = np.convolve(level, np.ones(7) / 7, mode="same")
    return Bed(level, np.clip(2 * path[:, 0] - 1, -1, 1), 120, 900, seed)
