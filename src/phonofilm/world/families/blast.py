"""Blast: a flash, a fireball, and after the sound's long way a crack, a rumble and debris that falls and clatters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from phonofilm.types import Event
from phonofilm.world.audio.synthesis import Bed, Hit, Room, Score, control_times
from phonofilm.world.common import captions
from phonofilm.world.common.geometry import SPEED_OF_SOUND, Camera, clipped, seen_and_heard, within
from phonofilm.world.common.palette import COLOURS, MATERIALS
from phonofilm.world.common.scene import Truth
from phonofilm.world.graphics import explosion, landscape
from phonofilm.world.graphics.rasterizer import Layer

MUSIC = 0.15  # share of scenes with a music bed
GRAVITY = 9.81  # m/s²
TARGETS = {"crate": "wood", "barrel": "metal", "glasshouse": "glass"}
PIECES = 7
THUMP = ((41.0, 58.0, 87.0, 131.0), (1.1, 0.8, 0.5, 0.3), (0.45, 0.36, 0.27, 0.18))
LOUD = {"wood": 0.30, "metal": 0.26, "glass": 0.30}  # of a piece of debris, by its material


def sample(rng: np.random.Generator, seed: int, seconds: float) -> Truth:
    """A thing that blows up, near or far; the farther, the later and duller it is heard."""
    width, zoom = float(rng.uniform(14, 34)), float(np.exp(rng.uniform(np.log(1.3), np.log(5.5))))
    high, foot = width * float(rng.uniform(0.07, 0.15)), float(rng.uniform(0.78, 0.86))
    start = float(rng.uniform(0.12, 0.30) * seconds)
    target = str(rng.choice(list(TARGETS)))
    power = float(rng.uniform(0.7, 1.2))
    params = {
        "target": target,
        "material": TARGETS[target],
        "colour": str(rng.choice(list(COLOURS))),
        "x": float(rng.uniform(0.25, 0.75)),
        "size": float(rng.uniform(0.075, 0.11)),
        "power": power,
        "time": start,
        "distance": width * zoom,
        "delay": width * zoom / SPEED_OF_SOUND,
        "rumble": float(rng.uniform(0.7, 1.5)),
        "echoes": [float(v) for v in rng.uniform((0.25, 0.7), (0.6, 1.5))],
        "wind": float(rng.uniform(-0.06, 0.06)),
        "turns": [float(v) for v in rng.random(7)],
        "camera": {"focal": zoom, "height": high, "horizon": foot - high / width},
        "land": landscape.sample(rng),
        "room": {"room_decay": float(rng.uniform(0.3, 0.6))},
    }
    params["debris"] = debris_of(rng, params, seconds)
    return Truth("blast", seed, seconds, captions.blast(rng, params), events_of(params, seconds), params)


def debris_of(rng: np.random.Generator, params: Mapping[str, Any], seconds: float) -> list[dict[str, float]]:
    """Pieces thrown so that they land one after the other: place and speed in m, time of flight in s."""
    camera, distance = camera_of(params), params["distance"]
    width = distance / camera.focal
    count = int(rng.integers(3, PIECES + 1))
    flights = float(rng.uniform(0.6, 0.9)) + np.cumsum(rng.uniform(0.2, 0.34, count))
    flights = flights[params["time"] + flights + params["delay"] < seconds - 0.1]
    pieces = []
    for flight in rng.permutation(flights):
        side = -1.0 if rng.random() < params["x"] else 1.0
        room = params["x"] if side < 0 else 1 - params["x"]
        land = (params["x"] + side * float(rng.uniform(0.25, 0.9)) * room - 0.5) * width
        leave = (params["x"] - 0.5) * width
        rise = params["size"] * width
        pieces.append(
            {
                "x": leave,
                "y": rise,
                "z": distance * float(rng.uniform(0.93, 1.0)),
                "speed_x": (land - leave) / float(flight),
                "speed_y": GRAVITY * float(flight) / 2 - rise / float(flight),
                "flight": float(flight),
                "size": float(rng.uniform(0.016, 0.032)),
                "spin": float(rng.uniform(-14, 14)),
            }
        )
    return sorted(pieces, key=lambda piece: piece["flight"])


def camera_of(params: Mapping[str, Any]) -> Camera:
    return Camera(**params["camera"])


def place_of(piece: Mapping[str, float], age: np.ndarray) -> np.ndarray:
    """Metres [T, 3] of a piece at times [T] since the blast: a throw, and then it lies."""
    t = np.clip(age, 0, piece["flight"])
    height = piece["y"] + piece["speed_y"] * t - GRAVITY / 2 * t**2
    return np.stack([piece["x"] + piece["speed_x"] * t, height, np.full(len(t), piece["z"])], -1)


def landing(piece: Mapping[str, float], camera: Camera) -> tuple[float, float]:
    """Where in the picture a piece comes down."""
    x, y = camera.project(place_of(piece, np.array([piece["flight"]]))[0])
    return float(x), float(y)


def events_of(params: Mapping[str, Any], seconds: float) -> tuple[Event, ...]:
    """The flash is silent; the blast is heard when its sound has come."""
    camera, x, size = camera_of(params), params["x"], params["size"]
    foot, heard = foot_of(params), params["time"] + params["delay"]
    pan, level = 2 * x - 1, float(20 * np.log10(0.6 * params["power"]))
    end = heard + 2.3 * params["rumble"]
    events = [
        Event(params["time"], "flash", clipped(x - size, foot - 2 * size, x + size, foot), label=params["target"]),
        Event(heard, "blast", None, pan, level, end, params["target"]),
    ]
    for piece in params["debris"]:
        at, (px, py), half = params["time"] + piece["flight"], landing(piece, camera), piece["size"]
        box = clipped(px - half, py - half, px + half, py + half)
        loud = float(20 * np.log10(LOUD[params["material"]]))
        events += seen_and_heard(
            at, "debris", box, float(np.clip(2 * px - 1, -1, 1)), loud, params["distance"], params["material"]
        )
    return within(events, seconds)


def foot_of(params: Mapping[str, Any]) -> float:
    camera = camera_of(params)
    return float(camera.horizon + camera.focal * camera.height / params["distance"])


def backdrop(truth: Truth) -> np.ndarray:
    """[2, 3]: the sky."""
    return landscape.backdrop(truth.params["land"])


def layers(truth: Truth, times: np.ndarray) -> list[Layer]:
    """The land, the target, and from its flash on fire, smoke, shock and debris."""
    params, land = truth.params, truth.params["land"]
    camera, foot, x, size = camera_of(params), foot_of(params), params["x"], params["size"]
    age, turns = times - params["time"], np.array(params["turns"])
    bright = 0.35 + 0.65 * landscape.bright(land)
    large = 2.1 * size * params["power"]
    result = landscape.sky(land) + landscape.hills(land, camera.horizon)
    result += landscape.trees(land, camera.horizon + 0.012)
    result.append(ground_glow(age, x, foot, large))
    result.append(
        Layer(
            x,
            foot,
            size * 1.1,
            0.0,
            0.018,
            soft=0.03,
            opacity=np.where(age >= 0, 0.8, 0.0),
            colour=(0.05, 0.04, 0.04),
        )
    )
    result += target_layers(params, foot, np.where(age < 0, 1.0, 0.0), bright, times)
    result += explosion.smoke(age, x, foot - 0.7 * size, large, turns, params["wind"])
    result += explosion.flames(age, times, x, foot, large, turns[:5])
    result += explosion.ball(age, x, foot - 0.7 * size, large, turns)
    result += explosion.shock(age, x, foot - 0.02, params["distance"] / camera.focal)
    for rank in range(PIECES):
        result += piece_layers(params, rank, age, bright)
    result.append(explosion.flash(age))
    return result


def ground_glow(age: np.ndarray, x: float, foot: float, large: float) -> Layer:
    """Its light on the ground."""
    lit = np.where(age >= 0, 0.85 * np.exp(-np.maximum(age, 0) / 0.6), 0.0)
    return Layer(
        x,
        foot + 0.03,
        large * 1.5,
        0.0,
        0.02,
        soft=0.12,
        opacity=np.where(lit > 0.04, lit, 0.0),
        colour=(1.05, 0.62, 0.2),
    )


def target_layers(
    params: Mapping[str, Any], foot: float, shown: np.ndarray, bright: float, times: np.ndarray
) -> list[Layer]:
    """Eight layers: what is going to blow up, with a lamp that blinks faster and faster."""
    x, size, paint = params["x"], params["size"], np.array(COLOURS[params["colour"]]) * bright
    light, y = params["land"]["light"], foot - params["size"]

    def box(dx: float, dy: float, half_x: float, half_y: float, radius: float = 0.0, **look: Any) -> Layer:
        sides = max(half_x - radius, 0) * size, max(half_y - radius, 0) * size
        return Layer(x + dx * size, y + dy * size, *sides, radius * size, light=light, **({"opacity": shown} | look))

    wick = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * (1.5 * times + 2.2 * times**2)))
    ground = box(0, 1.0, 1.1, 0.08, 0.08, soft=0.03, opacity=shown * 0.5, colour=(0.02, 0.02, 0.03))
    lamp = box(0, -1.12, 0.16, 0.16, 0.16, soft=0.02, opacity=shown * wick, colour=(1.2, 0.2, 0.15))
    if params["target"] == "barrel":
        parts = [
            box(0, 0, 0.72, 1.0, 0.14, shade=0.22, gloss=0.4, colour=paint),
            *(box(0, dy, 0.76, 0.07, 0.05, colour=paint * 0.55) for dy in (-0.62, 0.0, 0.62)),
            box(0, -0.3, 0.26, 0.16, colour=paint * 0.3 + 0.6),
            box(0, -0.95, 0.60, 0.06, colour=paint * 0.7),
        ]
    elif params["target"] == "crate":
        parts = [
            box(0, 0, 1.0, 1.0, 0.06, shade=0.2, colour=paint * 0.85),
            box(0, 0, 0.09, 1.18, angle=0.785, colour=paint * 0.62),
            box(0, 0, 0.09, 1.18, angle=-0.785, colour=paint * 0.62),
            *(box(0, dy, 1.0, 0.14, colour=paint * 1.05) for dy in (-0.86, 0.86)),
            box(0, 0, 0.86, 0.86, 0.14, ring=0.04 * size, colour=paint * 1.1),
        ]
    else:
        parts = [
            box(0, 0.05, 1.25, 0.95, 0.04, shade=-0.15, gloss=0.5, colour=np.array((0.66, 0.86, 0.88)) * bright),
            *(box(dx, 0.05, 0.05, 0.95, colour=paint) for dx in (-0.62, 0.0, 0.62)),
            box(0, 0.95, 1.3, 0.08, colour=paint),
            box(0, -0.92, 1.35, 0.10, 0.05, colour=paint),
        ]
    return [ground, *parts, lamp]


def piece_layers(params: Mapping[str, Any], rank: int, age: np.ndarray, bright: float) -> list[Layer]:
    """A piece that tumbles through the air, and the dust where it lands."""
    if rank >= len(params["debris"]):
        return [Layer(0.5, 0.5, opacity=0.0), Layer(0.5, 0.5, opacity=0.0)]
    piece, camera = params["debris"][rank], camera_of(params)
    x, y = camera.project(place_of(piece, age)).T
    size, since = piece["size"], np.maximum(age - piece["flight"], 0)
    down = landing(piece, camera)
    hot = np.exp(-np.maximum(age, 0) / 0.5)[:, None]
    cold = np.array((0.80, 0.93, 0.95)) if params["material"] == "glass" else np.array(COLOURS[params["colour"]])
    grown = 1 - np.exp(-since / 0.12)
    puff = np.where(age >= piece["flight"], 0.9 * np.exp(-since / 0.2), 0.0)
    return [
        Layer(
            x,
            y - size * 0.5,
            size * 0.85,
            size * 0.5,
            size * 0.12,
            angle=piece["spin"] * np.clip(age, 0, piece["flight"]) + rank,
            opacity=np.where(age >= 0, 1.0, 0.0),
            shade=0.3,
            gloss=0.3,
            colour=cold * bright * 0.85 * (1 - hot) + np.array((1.1, 0.6, 0.15)) * hot,
        ),
        Layer(
            down[0],
            down[1] - 0.012,
            radius=0.018 + 0.024 * grown,
            soft=0.012,
            apart=size + 0.05 * grown,
            opacity=np.where(puff > 0.05, puff, 0.0),
            colour=(0.86, 0.80, 0.70),
        ),
    ]


def score(truth: Truth) -> Score:
    """Thump and crack, rumble with its echoes, crackling fire, and every piece that lands."""
    return sounds(truth.params, truth.seconds, truth.seed)


def sounds(params: Mapping[str, Any], seconds: float, seed: int) -> Score:
    """What one blast is heard to do in a scene of this duration."""
    heard, power = params["time"] + params["delay"], params["power"]
    pan, near = 2 * params["x"] - 1, 1 / (1 + params["distance"] / 70)  # air takes the highs of what is far
    age = control_times(seconds) - heard
    since = np.maximum(age, 0)
    rumble = np.exp(-since / params["rumble"])
    for lag in params["echoes"]:
        rumble += 0.45 * np.where(since > lag, np.exp(-np.maximum(since - lag, 0) / 0.35), 0.0) * (since - lag < 3)
    swell = np.where(age >= 0, rumble * np.minimum(0.3 + since / 0.05, 1), 0.0)
    pops = np.random.default_rng(seed).random(len(age)) ** 40
    fire_on = np.where(age > 0.25, np.minimum(since / 0.8, 1), 0.0)
    rich = seed * 13
    beds = (
        Bed(0.11 * power * swell, 0.5 * pan, 30, 130 + 260 * near, rich, width=0.5),
        Bed(0.22 * power * np.where(age >= 0, np.exp(-since / 0.09), 0.0), pan, 150, 700 + 5200 * near, rich + 2),
        Bed((0.06 * pops + 0.012) * fire_on * near, pan, 700, 4200, rich + 4),
    )
    thump = Hit(heard, 0.38 * power, pan, *THUMP, 0.4 + 1.2 * near, 500 + 2500 * near)
    hits = [thump, *(_clatter(piece, params) for piece in params["debris"])]
    return Score(tuple(hits), beds, Room(params["room"]["room_decay"], 0.14, seed))


def _clatter(piece: Mapping[str, float], params: Mapping[str, Any]) -> Hit:
    material = MATERIALS[params["material"]]
    pitch = material.pitch * (0.045 / piece["size"]) ** 0.7
    total = sum(material.gains) + 0.3
    x, _ = landing(piece, camera_of(params))
    return Hit(
        params["time"] + piece["flight"] + params["delay"],
        LOUD[params["material"]],
        2 * x - 1,
        tuple(pitch * ratio for ratio in material.ratios),
        tuple(decay * 0.7 for decay in material.decays),
        tuple(1.6 * gain / total for gain in material.gains),
        material.click + 0.2,
        material.click_band,
    )
