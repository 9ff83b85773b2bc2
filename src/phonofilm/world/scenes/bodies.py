"""Balls and blocks of several colours and materials that fall, bounce, roll, collide, and hop when they lie still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from phonofilm.types import Event
from phonofilm.world.audio.synthesis import Score
from phonofilm.world.common.palette import COLOURS, MATERIALS
from phonofilm.world.common.physics import Body, Contact, simulate
from phonofilm.world.common.scene import TRACK_RATE, at_times, since_last, track_times
from phonofilm.world.families.bounce import audible, sounds
from phonofilm.world.graphics import lit_rooms
from phonofilm.world.graphics.lit_renderer import Mirror
from phonofilm.world.graphics.rasterizer import Layer
from phonofilm.world.scenes.actor import Stack

APART = 0.17  # s: impacts closer than this are hard to tell apart
LENGTH = 4.0  # s simulated at a time
REST = 0.30  # s a body lies still before it hops
TRIES = 40
WALL = 0.03  # from the edge of the picture
SIZES = {1: (0.125, 0.165), 2: (0.105, 0.135), 3: (0.088, 0.108)}  # radii or half sides, by how many there are
CROUCH = 0.14  # s a body squats before it hops


@dataclass(frozen=True, eq=False)
class Bodies:
    """Facts, states [S, bodies, 5] at TRACK_RATE, impacts, and hops as (time, body)."""

    facts: Mapping[str, Any]
    seconds: float
    seed: int
    path: np.ndarray
    impacts: tuple[Contact, ...]
    hops: tuple[tuple[float, int], ...]
    events: tuple[Event, ...] = field(default=())

    def at(self, times: np.ndarray) -> np.ndarray:
        """States [T, bodies, 5] at times [T]."""
        return at_times(self.path, times)

    def layers(self, times: np.ndarray) -> Stack:
        things, floor = self.facts["objects"], self.facts["floor"]
        side = self.facts["room"]["light"]
        states = self.at(times)
        result: list[Any] = lit_rooms.posts(self.facts["room"], floor, WALL)
        for index, thing in enumerate(things):
            result += _shadows(states[:, index], thing["size"], floor, side)
        for index, thing in enumerate(things):
            mine = [c for c in self.impacts if index in c.bodies]
            hops = np.array([time for time, body in self.hops if body == index])
            result += _thread(states[:, index], thing, times)
            result += _body(states[:, index], thing, mine, hops, times)
            result += _dust([c for c in mine if c.bodies[0] == index], thing["size"], times)
        result.append(
            Mirror(floor + 0.004, {"planks": 0.16, "tiles": 0.22, "smooth": 0.20}[self.facts["room"]["surface"]])
        )
        return result

    def score(self) -> Score:
        return sounds(
            self.facts["objects"], self.facts["floor"], self.path, self.impacts, self.facts["room"], self.seed
        )


def sample(
    rng: np.random.Generator, seed: int, seconds: float, place: Mapping[str, Any], span: tuple[float, float]
) -> Bodies:
    """One to three bodies between two places of the picture; they hop, so that something happens to the end."""
    count = int(rng.choice([1, 2, 3], p=[0.42, 0.36, 0.22]))
    if span[1] - span[0] < 0.7:
        count = min(count, 2)
    # a few scenes of several bodies never come out clear; those are drawn again with fewer
    for attempt in range(count * TRIES):
        apart = APART * (1 - attempt % TRIES / TRIES)  # three bodies knock against one another often
        floor = float(rng.uniform(0.82, 0.87))
        gravity = float(rng.uniform(1.3, 1.9))
        things, bodies = _things(rng, count - attempt // TRIES, floor, span)
        made = _scene(rng, bodies, things, gravity, floor, span, seconds, apart)
        if made is not None:
            break
    else:
        raise RuntimeError(f"no clear scene of bodies was found for seed {seed}")
    path, impacts, hops = made
    facts = {
        "objects": things,
        "floor": floor,
        "gravity": gravity,
        "room": dict(place),
        "hops": [list(h) for h in hops],
    }
    return Bodies(facts, seconds, seed, path, tuple(impacts), tuple(hops), _events(things, path, impacts, hops))


def _things(
    rng: np.random.Generator, count: int, floor: float, span: tuple[float, float]
) -> tuple[list[dict], list[Body]]:
    small = min(1.0, (span[1] - span[0]) / 0.94 + 0.15)
    # sometimes all are of one colour and kind, so that they must be counted
    alike = count > 1 and rng.random() < 0.25
    colours = rng.choice(list(COLOURS), count, replace=False)
    material, shape = str(rng.choice(list(MATERIALS))), _shape(rng)
    lanes = (rng.permutation(count) + 0.5) / count
    # they fall at once, or hang on threads that are cut one after another
    turns = (
        rng.permutation(count) * float(rng.uniform(0.45, 0.7)) if count > 1 and rng.random() < 0.5 else np.zeros(count)
    )
    first = float(rng.uniform(0.15, 0.45)) if turns.any() else 0.0
    things, bodies = [], []
    for colour, lane, turn in zip(colours, lanes, turns, strict=True):
        if not alike:
            material, shape = str(rng.choice(list(MATERIALS))), _shape(rng)
        size = float(rng.uniform(*SIZES[count])) * small * (1 if shape == "ball" else 0.84)
        low, high = span[0] + size + 0.01, span[1] - size - 0.01
        x = float(np.clip(low + (high - low) * lane + rng.uniform(-0.08, 0.08), low, high))
        speed = float(rng.uniform(0.05, 0.45) * rng.choice([-1, 1]))
        colour = str(colours[0] if alike else colour)
        things.append({"shape": shape, "size": size, "colour": colour, "material": material, "start": x})
        things[-1]["release"] = first + float(turn)
        keeps = MATERIALS[material].restitution * (1 if shape == "ball" else 0.88)
        highest = size + 0.03 if turns.any() else size - 0.05
        height = float(rng.uniform(highest, max(floor - 2 * size - 0.22, highest)))
        bodies.append(Body(shape, size, x, height, speed, 0.0, keeps))
    return things, bodies


def _shape(rng: np.random.Generator) -> str:
    return "ball" if rng.random() < 0.68 else "box"


def _scene(
    rng: np.random.Generator,
    bodies: list[Body],
    things: list[dict],
    gravity: float,
    floor: float,
    span: tuple[float, float],
    seconds: float,
    apart: float,
) -> tuple[np.ndarray, list[Contact], list[tuple[float, int]]] | None:
    """Piece by piece, each drawn again until its impacts can be told apart; None if the first piece has none."""
    paths, impacts, hops = [], [], []
    start = 0.0
    while start < seconds:
        length = min(LENGTH, seconds - start)
        best: tuple[float, np.ndarray, list[Contact], list] | None = None
        for _ in range(8):
            hopping = _Hopping(rng, gravity, floor, [b.size for b in bodies], span)
            if not start:
                hopping.held = {
                    i: (t["release"], b.speed_x) for i, (t, b) in enumerate(zip(things, bodies, strict=True))
                }
            path, touches = simulate(bodies, gravity, floor, span, length, hopping)
            heard = audible(touches)
            times = [c.time for c in heard]
            gap = min(np.diff(times), default=9.0) if len(times) > 1 or start else 0.0
            if best is None or gap > best[0]:
                best = gap, path, heard, hopping.hops
            if gap >= apart or not start:
                break
        assert best is not None
        if not start and (best[0] < apart or best[2][-1].time > seconds - 0.1):
            return None
        _, path, heard, hopped = best
        paths.append(path if start + length >= seconds else path[:-1])
        impacts += [Contact(c.time + start, c.bodies, c.speed, c.x, c.y, c.normal) for c in heard]
        hops += [(time + start, index) for time, index in hopped]
        spin = (path[-1, :, 2] - path[-2, :, 2]) * TRACK_RATE
        bodies = [
            Body(b.shape, b.size, *_motion(path[-1, i]), b.restitution, float(path[-1, i, 2]), float(spin[i]))
            for i, b in enumerate(bodies)
        ]
        start += length
    whole = np.concatenate(paths)
    return whole[: len(track_times(seconds))], impacts, hops


def _motion(state: np.ndarray) -> tuple[float, float, float, float]:
    """Place and speed of a state [5]."""
    return float(state[0]), float(state[1]), float(state[3]), float(state[4])


class _Hopping:
    """Pushes a body up when it has lain still for a while; one at a time."""

    def __init__(
        self, rng: np.random.Generator, gravity: float, floor: float, sizes: Sequence[float], span: tuple[float, float]
    ) -> None:
        self.rng, self.gravity, self.floor, self.sizes, self.span = rng, gravity, floor, sizes, span
        self.since = np.zeros(len(sizes))
        self.waits = rng.uniform(REST, 3 * REST, len(sizes))
        self.last = -1.0
        self.hops: list[tuple[float, int]] = []
        self.held: dict[int, tuple[float, float]] = {}  # until when, and with which speed it then leaves

    def __call__(self, time: float, state: np.ndarray) -> list[tuple[int, float, float]]:
        hanging = [i for i, (until, _) in self.held.items() if time < until]
        if hanging:
            return [(i, 0.0, 0.0) for i in hanging] + self._let_go(time)
        if leaving := self._let_go(time):
            return leaving
        lies = np.abs(state[:, 4]) < 0.06
        self.since = np.where(lies, self.since + 1 / TRACK_RATE, 0.0)
        ready = np.flatnonzero(self.since > self.waits)
        if not len(ready) or time - self.last < 0.45:
            return []
        index = int(ready[0])
        height = float(self.rng.uniform(0.16, 0.40)) * min(1.0, self.floor - 2 * self.sizes[index])
        middle = (self.span[0] + self.span[1]) / 2
        away = float(self.rng.uniform(0.08, 0.42)) * (1 if state[index, 0] < middle else -1)
        self.waits[index] = self.rng.uniform(REST, 3 * REST)
        self.since[index], self.last = 0.0, time
        self.hops.append((time, index))
        return [(index, away, -float(np.sqrt(2 * self.gravity * height)))]

    def _let_go(self, time: float) -> list[tuple[int, float, float]]:
        free = [(i, speed) for i, (until, speed) in self.held.items() if time >= until]
        for i, _ in free:
            del self.held[i]
        return [(i, speed, 0.0) for i, speed in free]


def _events(
    things: list[dict], path: np.ndarray, impacts: list[Contact], hops: list[tuple[float, int]]
) -> tuple[Event, ...]:
    events = []

    def box(time: float, index: int) -> tuple[float, float, float, float]:
        x, y = path[min(round(time * TRACK_RATE), len(path) - 1), index, :2]
        size = things[index]["size"]
        x0, y0, x1, y1 = (float(np.clip(v, 0, 1)) for v in (x - size, y - size, x + size, y + size))
        return x0, y0, x1, y1

    for contact in impacts:
        lead = contact.bodies[0]
        level = float(20 * np.log10(0.16 + 0.4 * min(contact.speed / 1.4, 1.0)))
        pan = float(np.clip(2 * contact.x - 1, -1, 1))
        events.append(
            Event(contact.time, "impact", box(contact.time, lead), pan, level, label=things[lead]["material"])
        )
    events += [Event(time, "hop", box(time, index), label=things[index]["material"]) for time, index in hops]
    return tuple(sorted(events, key=lambda event: event.time))


def _shadows(state: np.ndarray, size: float, floor: float, side: float) -> list[Layer]:
    """A soft shadow away from the light, and a dark one where body and floor touch."""
    height = np.clip((floor - state[:, 1] - size) / 0.6, 0, 1)
    return [
        Layer(
            state[:, 0] - side * (0.35 * size + 0.35 * height),
            floor + 0.022 + 0.03 * height,
            size * 0.70,
            0.0,
            size * 0.16,
            opacity=0.46 * (1 - 0.72 * height),
            soft=size * (0.25 + 1.0 * height),
            colour=(0.03, 0.02, 0.03),
        ),
        Layer(
            state[:, 0] - side * 0.1 * size,
            floor + 0.006,
            size * 0.40,
            0.0,
            size * 0.06,
            opacity=0.75 * np.clip(1 - height * 5, 0, 1),
            soft=size * 0.22,
            colour=(0.02, 0.015, 0.02),
        ),
    ]


def _thread(state: np.ndarray, thing: Mapping[str, Any], times: np.ndarray) -> list[Layer]:
    """What holds a body that has not yet been let go."""
    held = np.where(times < thing["release"], 1.0, 0.0)
    if not held.any():
        return []
    half = np.maximum(state[:, 1] - thing["size"], 0) / 2 + 0.02
    return [Layer(state[:, 0], half - 0.04, 0.0, half, 0.0045, opacity=held, shade=0.2, colour=(0.30, 0.27, 0.25))]


def _squash(
    state: np.ndarray, thing: Mapping[str, Any], mine: Sequence[Contact], hops: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How flat the body is, whether along the vertical, and where it shifts: after an impact, and before a hop."""
    material, size = MATERIALS[thing["material"]], thing["size"]
    index, age = since_last(times, np.array([c.time for c in mine]))
    squash, upright, push = np.zeros(len(times)), np.ones(len(times)), np.zeros((len(times), 2))
    if mine:
        speed = np.array([c.speed for c in mine])[index]
        squash = np.where(index >= 0, 0.26 * material.give * np.minimum(speed, 1.2) * np.exp(-age / 0.08), 0.0)
        normals = np.array([c.normal for c in mine])[index]
        upright = (np.abs(normals[:, 1]) >= np.abs(normals[:, 0])).astype(float)
        contact = np.array([(c.x, c.y) for c in mine])[index]
        push = np.sign(contact - state[:, :2]) * (squash * size)[:, None]
    for hop in hops:
        before = (times - hop + CROUCH) / CROUCH
        crouch = np.where((before >= 0) & (before < 1), 0.20 * np.sin(np.pi * np.clip(before, 0, 1)) ** 2, 0.0)
        upright = np.where(crouch > squash, 1.0, upright)
        squash = np.maximum(squash, crouch)
        push[:, 1] = np.where(crouch > 0, crouch * size, push[:, 1])
    return squash, upright, push


def _body(
    state: np.ndarray, thing: Mapping[str, Any], mine: Sequence[Contact], hops: np.ndarray, times: np.ndarray
) -> list[Layer]:
    size = thing["size"]
    squash, upright, push = _squash(state, thing, mine, hops, times)
    flat, tall = 1 + 0.7 * squash, 1 - squash
    wide, high = np.where(upright > 0, flat, tall), np.where(upright > 0, tall, flat)
    ball = thing["shape"] == "ball"
    rounding = size * np.minimum(wide, high) if ball else np.full(len(times), size * 0.22)
    # a squashed ball keeps its axes; it is seen to turn only while it is round
    turning = np.where(squash > 0.03, 0.0, state[:, 2]) if ball else np.zeros(len(times))
    look = LOOKS[thing["material"]]
    colour = np.array(COLOURS[thing["colour"]])
    x, y = state[:, 0] + push[:, 0] * (1 - upright), state[:, 1] + push[:, 1] * upright
    body = Layer(
        x,
        y,
        size * wide - rounding,
        size * high - rounding,
        rounding,
        turning,
        colour=colour * look["tint"],
        **look["look"],
    )
    if thing["material"] != "glass":
        return [body]
    inner = Layer(x, y, size * wide - rounding, size * high - rounding, rounding, opacity=0.16, colour=colour)
    return [inner, body]


LOOKS: dict[str, dict[str, Any]] = {
    "rubber": {"tint": 0.94, "look": {"shade": 0.34, "gloss": 0.12, "texture": "rubber"}},
    "wood": {"tint": 0.86, "look": {"shade": 0.30, "gloss": 0.10, "texture": "wood"}},
    "metal": {"tint": 0.98, "look": {"shade": 0.30, "gloss": 0.95, "texture": "metal"}},
    "glass": {"tint": 1.0, "look": {"shade": 0.12, "gloss": 1.0, "texture": "glass"}},
}


def _dust(mine: Sequence[Contact], size: float, times: np.ndarray) -> list[Layer]:
    """Two puffs that fly apart along the surface that was hit."""
    if not mine:
        return []
    index, age = since_last(times, np.array([c.time for c in mine]))
    speed = np.minimum(np.array([c.speed for c in mine])[index], 1.4)
    contact = np.array([(c.x, c.y, *c.normal) for c in mine])[index]
    grown = 1 - np.exp(-age / 0.12)
    visible = np.where(index >= 0, (0.40 + 0.45 * speed / 1.4) * np.exp(-age / 0.16), 0.0)
    upright = np.abs(contact[:, 3]) >= np.abs(contact[:, 2])
    return [
        Layer(
            contact[:, 0],
            contact[:, 1] - np.where(upright & (contact[:, 3] != 0), 0.02, 0.0) - 0.02 * grown,
            radius=0.030 + 0.030 * grown,
            angle=np.arctan2(contact[:, 2], -contact[:, 3]),
            opacity=np.where(visible > 0.04, np.minimum(visible, 0.8), 0.0),
            soft=0.035,
            apart=size * 0.85 + (0.05 + 0.06 * speed) * grown,
            colour=(0.97, 0.94, 0.88),
        )
    ]
