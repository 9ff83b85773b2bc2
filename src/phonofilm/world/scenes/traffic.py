"""Vehicles and birds cross the picture one after the other, each heard from where it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from phonofilm.types import Event
from phonofilm.world.audio.synthesis import Bed, Room, Score, control_times
from phonofilm.world.audio.vehicle_sounds import signal, sounds
from phonofilm.world.common.geometry import within
from phonofilm.world.families.passing import (
    CHANCES,
    KINDS,
    camera_of,
    course_of,
    events_of,
    mover_facts,
    span_in_view,
)
from phonofilm.world.graphics import lit_landscape
from phonofilm.world.graphics.rasterizer import Layer
from phonofilm.world.graphics.vehicles import Stage, sprite
from phonofilm.world.scenes.actor import Stack

NEARER = 0.62  # share of the width of picture that a vehicle of the flat world needs: things are larger here
FAR_LANE = 1.22  # depth of the far lane relative to the near one's
EVERY = (2.2, 4.2)  # s between one that crosses the middle and the next, in long scenes


@dataclass(frozen=True, eq=False)
class Traffic:
    """Movers from far to near, a camera, and the land."""

    facts: Mapping[str, Any]
    seconds: float
    seed: int

    @property
    def events(self) -> tuple[Event, ...]:
        movers = self.facts["movers"]
        return within((e for mover in movers for e in events_of(mover, self.facts, self.seconds)), self.seconds)

    def layers(self, times: np.ndarray) -> Stack:
        camera = camera_of(self.facts)
        result: list[Any] = []
        for mover in self.facts["movers"]:
            result += _drawn(mover, camera, self.facts["land"], times)
        return result

    def score(self) -> Score:
        """All that the movers make, and a little wind."""
        camera = camera_of(self.facts)
        parts = [
            sounds(mover, camera, course_of(mover, camera.height), self.seconds, self.seed * 11 + 2 * index)
            for index, mover in enumerate(self.facts["movers"])
        ]
        times = control_times(self.seconds)
        gusts = self.facts["wind"] * (1 + 0.5 * np.sin(2 * np.pi * 0.31 * times + self.seed))
        wind = Bed(gusts, 0.0, 150, 700, self.seed * 11 + 9, width=0.8)
        return Score(
            tuple(hit for part in parts for hit in part.hits),
            (wind, *(bed for part in parts for bed in part.beds)),
            Room(self.facts["land"]["room_decay"], 0.05, self.seed),
            tuple(tone for part in parts for tone in part.tones),
        )

    def ground(self) -> tuple[str, tuple[float, float], float]:
        """What they move on, its band in the picture and its slope."""
        movers, camera = self.facts["movers"], camera_of(self.facts)
        kind = self.facts["kind"]
        if kind == "bird":
            return "meadow", (0.8, 0.9), 0.0
        depths = self.facts["depths"]
        foot = [camera.horizon + camera.focal * camera.height / depth for depth in depths]
        unit = float(camera.scale(depths[0]))
        slope = float(np.arctan2(-movers[-1]["velocity"][2] * 0.12, movers[-1]["velocity"][0]))
        if kind == "train":
            return "rails", (foot[0] - 0.05, foot[0] + 0.06), slope
        return "road", (foot[-1] - 0.35 * unit, foot[0] + 0.62 * unit), slope


def sample(rng: np.random.Generator, seed: int, seconds: float, place: Mapping[str, Any]) -> Traffic:
    """One or two movers cross in four seconds; in longer scenes they keep coming."""
    kind = str(rng.choice(list(KINDS), p=CHANCES))
    width = float(rng.uniform(*KINDS[kind].width)) * (0.8 if kind == "train" else NEARER)
    focal = float(rng.uniform(0.5, 0.7))
    high = width * float(rng.uniform(0.10, 0.16))
    foot = float(rng.uniform(0.80, 0.86)) + (0.10 if kind == "bird" else 0.0)  # more sky for birds
    slant = 0.0 if kind == "train" else float(rng.uniform(-0.08, 0.08))
    depth = width * focal
    camera = {"focal": focal, "height": high, "horizon": foot - high / width}
    facts: dict[str, Any] = {
        "kind": kind,
        "camera": camera,
        "foot": foot,
        "depths": [depth] if kind == "train" else [depth, depth * FAR_LANE],
        "land": dict(place),
        "wind": float(rng.uniform(0.002, 0.008)),
        "movers": [],
    }
    ways = dict(enumerate(rng.permutation([-1.0, 1.0])))
    paces = rng.uniform(0.34, 0.62, 2)
    middle = float(rng.uniform(0.36, 0.60)) * min(seconds, 4.0)
    lane = 0
    movers: list[dict[str, Any]] = []
    while not movers or middle < seconds - 0.5:
        here = (
            kind
            if not movers or kind in ("train", "bird", "motorbike")
            else str(rng.choice(["car", "truck", "ambulance", "motorbike"]))
        )
        movers.append(_mover(rng, here, ways[lane], facts, lane, middle, paces[lane], slant, seconds))
        close = len(movers) == 1 and kind != "train" and rng.random() < 0.35  # two meet
        middle += (
            float(rng.uniform(0.3, 0.8)) if close else float(rng.uniform(*EVERY)) * (1.6 if kind == "train" else 1.0)
        )
        lane = 0 if kind == "train" else 1 - lane if close else int(rng.integers(2))
    facts["movers"] = sorted(movers, key=lambda mover: (-mover["start"][2], mover["middle"]))
    return Traffic(facts, seconds, seed)


def _mover(
    rng: np.random.Generator,
    kind: str,
    facing: float,
    facts: Mapping[str, Any],
    lane: int,
    middle: float,
    pace: float,
    slant: float,
    seconds: float,
) -> dict[str, Any]:
    """Plain facts of a mover that is in the picture's middle at time `middle`."""
    depth, camera = facts["depths"][min(lane, len(facts["depths"]) - 1)], facts["camera"]
    width = depth / camera["focal"]
    speed = width * pace * float(rng.uniform(0.92, 1.08))
    steepest = 0.3 * depth / (speed * max(middle, seconds - middle))
    slant = float(np.clip(slant, -steepest, steepest))
    velocity = facing * np.array((np.cos(slant), 0.0, np.sin(slant))) * speed
    up = camera["height"] + width * float(rng.uniform(0.14, 0.40)) if kind == "bird" else 0.0
    ahead = KINDS[kind].behind * facing
    start = np.array((float(rng.uniform(-0.08, 0.08)) * width + ahead, up, depth)) - velocity * middle
    calling = span_in_view(middle, width, speed, seconds)
    return mover_facts(rng, kind, facing, speed, start, velocity, calling, lane=lane, middle=middle)


def _drawn(mover: Mapping[str, Any], camera: Any, place: Mapping[str, Any], times: np.ndarray) -> list[Layer]:
    positions = course_of(mover, camera.height).at(times)
    x, y = camera.project(positions).T
    scale = np.asarray(camera.scale(positions[:, 2]))
    rough = 0.0 if mover["kind"] in ("train", "bird") else 0.012 * np.sin(2 * np.pi * 3.1 * times + mover["phase"])
    stage = Stage(
        x,
        y - scale * rough,
        scale,
        mover["facing"],
        mover["speed"] * times,
        signal(mover, times),
        0.30 + 0.70 * lit_landscape.bright(place),
        place["light"],
        place["hour"] in ("night", "dusk"),
    )
    return [layer for layer in sprite(mover["kind"], mover["colour"], stage) if np.max(layer.opacity) > 0]
