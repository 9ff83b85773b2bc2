"""Pass: vehicles or birds cross the picture; sound sweeps with them, and Doppler shifts it as geometry says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from phonofilm.types import Event
from phonofilm.world.audio.synthesis import Bed, Room, Score, control_times
from phonofilm.world.audio.vehicle_sounds import MOTORS, call_of, signal, sounds
from phonofilm.world.common import captions
from phonofilm.world.common.geometry import Camera, Course, clipped, seen_and_heard, within
from phonofilm.world.common.palette import COLOURS
from phonofilm.world.common.scene import Truth
from phonofilm.world.graphics import landscape
from phonofilm.world.graphics.rasterizer import Layer
from phonofilm.world.graphics.vehicles import BIRDS, HIDDEN, PARTS, Stage, sprite

MUSIC = 0.15  # share of scenes with a music bed


@dataclass(frozen=True)
class Kind:
    """How long and tall it is in m, how far its body lies behind its foot, and the widths of picture it needs."""

    length: float
    height: float
    behind: float
    width: tuple[float, float]
    calls: tuple[float, ...]  # chances of calling 0, 1, ... times


KINDS = {
    "car": Kind(4.2, 1.5, 0.0, (9.5, 13.0), (0.6, 0.3, 0.1)),
    "truck": Kind(7.9, 3.45, 0.0, (15.5, 20.0), (0.6, 0.3, 0.1)),
    "ambulance": Kind(5.4, 3.0, 0.0, (11.5, 15.0), (1.0,)),
    "motorbike": Kind(2.2, 1.9, 0.0, (5.5, 7.5), (0.7, 0.2, 0.1)),
    "train": Kind(37.0, 3.7, 12.6, (17.0, 22.0), (0.6, 0.4)),
    "bird": Kind(1.1, 0.7, 0.0, (3.0, 4.2), (0.0, 0.2, 0.4, 0.4)),
}
CHANCES = (0.24, 0.15, 0.13, 0.14, 0.12, 0.22)
LANE = 1.35  # depth of the second mover's lane relative to the first's


def sample(rng: np.random.Generator, seed: int, seconds: float) -> Truth:
    """One or two movers on straight courses, one of which crosses the picture's middle in the clip's."""
    first = str(rng.choice(list(KINDS), p=CHANCES))
    width, focal = float(rng.uniform(*KINDS[first].width)), float(rng.uniform(0.5, 0.7))
    high, foot = width * float(rng.uniform(0.09, 0.15)), float(rng.uniform(0.76, 0.84))
    foot += 0.12 if first == "bird" else 0.0  # more sky for birds
    camera = {"focal": focal, "height": high, "horizon": foot - high / width}
    land = landscape.sample(rng)
    facing = float(rng.choice([-1.0, 1.0]))
    movers = [_mover(rng, first, facing, width, focal, high, seconds)]
    if first != "train" and rng.random() < 0.3:
        second = first if first in ("bird", "motorbike") else str(rng.choice(["car", "truck", "ambulance"]))
        movers.insert(0, _mover(rng, second, -facing, width * LANE, focal, high, seconds))
    params = {
        "movers": movers,
        "camera": camera,
        "foot": foot,
        "land": land,
        "dashed": bool(rng.random() < 0.5),
        "wind": float(rng.uniform(0.002, 0.008)),
        "room": {"room_decay": float(rng.uniform(0.15, 0.5))},
    }
    events = within((event for mover in movers for event in events_of(mover, params, seconds)), seconds)
    return Truth("pass", seed, seconds, captions.passing(rng, params), events, params)


def _mover(
    rng: np.random.Generator, kind: str, facing: float, width: float, focal: float, ear: float, seconds: float
) -> dict[str, Any]:
    """Plain facts of a mover; width is that of the picture in m at its depth."""
    depth, speed = width * focal, width * float(0.32 + 0.43 * rng.random() ** 2)
    middle = seconds * float(rng.uniform(0.38, 0.62))
    steepest = min(0.22, 0.3 * depth / (speed * max(middle, seconds - middle)))
    slant = float(rng.uniform(-1, 1)) * steepest
    velocity = np.array((facing * np.cos(slant), 0.0, np.sin(slant))) * speed
    up = ear + width * float(rng.uniform(0.12, 0.42)) if kind == "bird" else 0.0
    ahead = KINDS[kind].behind * facing
    start = np.array((float(rng.uniform(-0.1, 0.1)) * width + ahead, up, depth)) - velocity * middle
    return mover_facts(rng, kind, facing, speed, start, velocity, span_in_view(middle, width, speed, seconds))


def span_in_view(middle: float, width: float, speed: float, seconds: float) -> tuple[float, float]:
    """Seconds between which a mover calls: while it is in the picture, `width` m wide."""
    half = 0.42 * width / speed
    return max(0.2, middle - half), min(seconds - 0.2, middle + half)


def mover_facts(
    rng: np.random.Generator,
    kind: str,
    facing: float,
    speed: float,
    start: np.ndarray,
    velocity: np.ndarray,
    calling: tuple[float, float],
    **more: Any,
) -> dict[str, Any]:
    """Plain facts of a mover whose way is known: its colour, its motor, and when it calls (`calling`: from, to)."""
    colour = str(rng.choice([*BIRDS, *COLOURS])) if kind == "bird" else str(rng.choice(list(COLOURS)))
    call = call_of(kind, colour)
    number = int(rng.choice(len(KINDS[kind].calls), p=KINDS[kind].calls))
    slots = np.arange(calling[0], calling[1] - call.lasting, call.lasting + 0.2)
    calls = np.sort(rng.choice(slots, min(number, len(slots)), replace=False)) if len(slots) else slots
    return {
        "kind": kind,
        "colour": colour,
        "facing": facing,
        **more,
        "speed": speed,
        "start": [float(v) for v in start],
        "velocity": [float(v) for v in velocity],
        "pitch": float(rng.uniform(*MOTORS[kind].pitch)),
        "tune": float(rng.uniform(0.88, 1.14)),
        "loud": float(rng.uniform(0.75, 1.25)),
        "joint": float(rng.uniform(13, 19)),
        "phase": int(rng.integers(0, 4)),
        "call": call.name,
        "calls": [float(t) for t in calls],
    }


def camera_of(params: Mapping[str, Any]) -> Camera:
    return Camera(**params["camera"])


def course_of(mover: Mapping[str, Any], ear: float) -> Course:
    """The way of a mover's foot."""
    return Course(tuple(mover["start"]), tuple(mover["velocity"]), ear)


def box_of(mover: Mapping[str, Any], camera: Camera, time: float) -> tuple[float, float, float, float]:
    """What a mover covers of the picture."""
    kind = KINDS[mover["kind"]]
    place = course_of(mover, camera.height).at(np.array([time]))[0]
    x, y = camera.project(place)
    scale = float(camera.scale(place[2]))
    middle, half = x - mover["facing"] * kind.behind * scale, kind.length / 2 * scale
    below = kind.height / 2 if mover["kind"] == "bird" else 0.0
    return clipped(middle - half, y - (kind.height - below) * scale, middle + half, y + below * scale)


def events_of(mover: Mapping[str, Any], params: Mapping[str, Any], seconds: float) -> list[Event]:
    camera = camera_of(params)
    course = course_of(mover, camera.height)
    middle = course.shifted(KINDS[mover["kind"]].behind)
    nearest = float(np.clip(middle.nearest(), 0.0, seconds))
    in_view = np.abs(camera.project(middle.at(control_times(seconds)))[:, 0] - 0.5) < 0.5
    last = float(control_times(seconds)[np.flatnonzero(in_view)[-1]]) if in_view.any() else nearest

    def pan(time: float) -> float:
        return float(np.clip(2 * camera.project(middle.at(np.array([time])))[0, 0] - 1, -1, 1))

    motor, call = MOTORS[mover["kind"]], call_of(mover["kind"], mover["colour"])
    running = 20 * np.log10(mover["loud"] * (motor.level * motor.partials**0.5 + motor.hiss))
    box = box_of(mover, camera, nearest)
    events = [
        Event(nearest, "pass", box, pan(nearest), float(running), min(max(last, nearest), seconds), mover["kind"])
    ]
    for time in mover["calls"]:
        far = float(course.distance(np.array([time]))[0])
        level = float(20 * np.log10(mover["loud"] * call.level))
        events += seen_and_heard(time, call.name, box_of(mover, camera, time), pan(time), level, far, mover["kind"])
    return events


def backdrop(truth: Truth) -> np.ndarray:
    """[2, 3]: the sky."""
    return landscape.backdrop(truth.params["land"])


def layers(truth: Truth, times: np.ndarray) -> list[Layer]:
    """The land, the road or the rails, then the movers from far to near."""
    params, land = truth.params, truth.params["land"]
    camera = camera_of(params)
    movers = params["movers"]
    result = landscape.sky(land) + landscape.hills(land, camera.horizon)
    result += landscape.trees(land, camera.horizon + 0.25 * (params["foot"] - camera.horizon))
    result += _way(params, camera, movers)
    for mover in movers:
        result += _drawn(mover, camera, land, times)
    # a train fills the picture: with fewer layers than others it is drawn apart from them, in larger windows
    alone = len(movers) == 1 and movers[0]["kind"] != "train"
    return result + [HIDDEN] * PARTS if alone else result


def _way(params: Mapping[str, Any], camera: Camera, movers: list) -> list[Layer]:
    """What they move on: asphalt with a line, rails on gravel, or nothing below birds; six layers."""
    kind, bright = movers[-1]["kind"], landscape.bright(params["land"])
    if kind == "bird":
        return [HIDDEN] * 8
    far, near = (course_of(mover, 0.0) for mover in (movers[0], movers[-1]))
    ends = np.array((-40.0, 40.0)) / near.velocity[0]
    around = near.nearest()
    left, right = camera.project(near.at(around + ends * 0.2))
    slope = float(np.arctan2(right[1] - left[1], right[0] - left[0]))
    slope = slope if abs(slope) < np.pi / 2 else slope - np.sign(slope) * np.pi
    foot = float(camera.project(near.at(np.array([around])))[0, 1])
    unit = float(camera.scale(near.at(np.array([around]))[0, 2]))
    top = float(camera.project(far.at(np.array([far.nearest()])))[0, 1]) if len(movers) > 1 else foot
    asphalt = np.array((0.27, 0.27, 0.29)) * bright
    if kind == "train":
        gravel, rail = np.array((0.42, 0.38, 0.34)) * bright, np.array((0.66, 0.62, 0.60)) * bright
        sleepers = [Layer(x, foot + 0.018, 0.018, 0.012, colour=gravel * 0.55) for x in np.arange(-0.1, 1.2, 0.2)[:6]]
        return [
            Layer(0.5, foot + 0.03, landscape.WIDE, 0.045, angle=slope, colour=gravel),
            *sleepers,
            Layer(0.5, foot + 0.006, landscape.WIDE, 0.006, angle=slope, colour=rail),
        ]
    upper, lower = top - 0.30 * unit, foot + 0.55 * unit
    half, middle = (lower - upper) / 2, (upper + lower) / 2
    line = 0.9 * bright * np.ones(3)
    shown = 1.0 if params["dashed"] else 0.0
    low = lower - 0.16 * half if top == foot else (top + foot) / 2 + 0.1 * unit
    return [
        Layer(0.5, middle, landscape.WIDE, half, angle=slope, colour=asphalt),
        Layer(0.5, upper, landscape.WIDE, 0.006, angle=slope, colour=line * 0.8),
        *(
            Layer(x, low + np.tan(slope) * (x - 0.5), 0.07, 0.006, angle=slope, opacity=shown, colour=line)
            for x in (-0.15, 0.11, 0.37, 0.63, 0.89)
        ),
        Layer(0.5, lower, landscape.WIDE, 0.008, angle=slope, colour=line * 0.8),
    ]


def _drawn(mover: Mapping[str, Any], camera: Camera, land: Mapping[str, Any], times: np.ndarray) -> list[Layer]:
    course = course_of(mover, camera.height)
    place = course.at(times)
    x, y = camera.project(place).T
    scale = np.asarray(camera.scale(place[:, 2]))
    rough = 0.0 if mover["kind"] == "train" else 0.012 * np.sin(2 * np.pi * 3.1 * times + mover["phase"])
    stage = Stage(
        x,
        y - scale * rough,
        scale,
        mover["facing"],
        mover["speed"] * times,
        signal(mover, times),
        0.45 + 0.55 * landscape.bright(land),
        land["light"],
        land["hour"] in ("night", "dusk"),
    )
    return sprite(mover["kind"], mover["colour"], stage)


def score(truth: Truth) -> Score:
    """All that the movers make, and a little wind."""
    params = truth.params
    camera = camera_of(params)
    parts = [
        sounds(mover, camera, course_of(mover, camera.height), truth.seconds, truth.seed * 11 + 2 * index)
        for index, mover in enumerate(params["movers"])
    ]
    times = control_times(truth.seconds)
    gusts = params["wind"] * (1 + 0.5 * np.sin(2 * np.pi * 0.31 * times + truth.seed))
    wind = Bed(gusts, 0.0, 150, 700, truth.seed * 11 + 9, width=0.8)
    return Score(
        tuple(hit for part in parts for hit in part.hits),
        (wind, *(bed for part in parts for bed in part.beds)),
        Room(params["room"]["room_decay"], 0.05, truth.seed),
        tuple(tone for part in parts for tone in part.tones),
    )
