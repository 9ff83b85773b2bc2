"""Rain: drops fall from a gutter into a puddle and on things that ring, wind sways the reeds, lightning, thunder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from phonofilm.types import Event
from phonofilm.world.audio.synthesis import Bed, Hit, Room, Score, control_times
from phonofilm.world.common import captions
from phonofilm.world.common.geometry import clipped, within
from phonofilm.world.common.palette import COLOURS, MATERIALS
from phonofilm.world.common.scene import Truth, since_last
from phonofilm.world.graphics import landscape, thunderstorm
from phonofilm.world.graphics.rasterizer import Layer

MUSIC = 0.25  # share of scenes with a music bed
# what a drop may land on: its material, half width and height in the picture
TARGETS = {"puddle": ("water", 0.13, 0.0), "bucket": ("metal", 0.09, 0.17), "crate": ("wood", 0.10, 0.15)}
TARGETS["jar"] = ("glass", 0.07, 0.16)
EAVES, TURNS = 0.105, 4  # lower edge of the gutter; drops that can be on their way at once
HANG = 0.30  # s a drop swells before it lets go
LEVEL = {"water": 0.30, "metal": 0.26, "wood": 0.34, "glass": 0.24}
STREAKS, REEDS, SPLASHES = 34, 6, 6
WATER = (0.74, 0.88, 0.98)


def sample(rng: np.random.Generator, seed: int, seconds: float) -> Truth:
    """A wet evening: where the drops fall, how hard it rains and blows, and how far the lightning is."""
    lanes = int(rng.choice([2, 3], p=[0.55, 0.45]))
    names = ["puddle", *rng.choice([name for name in TARGETS if name != "puddle"], lanes - 1, replace=False)]
    places = (np.arange(lanes) + 0.5) / lanes + rng.uniform(-0.06, 0.06, lanes)
    order = rng.permutation(lanes)
    land = landscape.sample(rng, ("overcast", "night", "dusk"))
    params = {
        "targets": [
            {"kind": str(names[i]), "x": float(places[slot]), "colour": str(rng.choice(list(COLOURS)))}
            for slot, i in enumerate(order)
        ],
        "floor": float(rng.uniform(0.84, 0.89)),
        "horizon": float(rng.uniform(0.60, 0.68)),
        "gravity": float(rng.uniform(2.0, 3.0)),
        "heavy": float(rng.uniform(0.25, 1.0)),
        "wind": float(rng.uniform(0.1, 1.0)),
        "gust": [float(v) for v in rng.uniform((0.2, 0.0), (0.5, 6.0))],
        "blows": float(rng.choice([-1.0, 1.0])),
        "streaks": [[float(v) for v in rng.uniform((-0.4, 0, 1.5, 0.03), (1.4, 1, 2.3, 0.06))] for _ in range(STREAKS)],
        "reeds": [reed_of(rng, lanes) for _ in range(REEDS)],
        "splashes": [[float(v) for v in rng.uniform((0, 0.2, 0.5, 0), (1, 0.9, 0.9, 1))] for _ in range(SPLASHES)],
        "land": land,
        "room": {"room_decay": float(rng.uniform(0.2, 0.5))},
    }
    params["drops"] = _drops(rng, params, seconds)
    params["lightning"] = thunderstorm.sample(rng, seconds)
    return Truth("rain", seed, seconds, captions.rain(rng, params), _events(params, seconds), params)


def reed_of(rng: np.random.Generator, lanes: int) -> list[float]:
    """Place, height and phase of a reed, which stands between the lanes of the drops."""
    x = float(rng.integers(lanes + 1)) / lanes + float(rng.uniform(-0.05, 0.05))
    return [x, float(rng.uniform(0.16, 0.30)), float(rng.uniform(0, 6))]


def _drops(rng: np.random.Generator, params: Mapping[str, Any], seconds: float) -> list[dict[str, Any]]:
    """Drops by the time they land, far enough apart to be told apart."""
    gaps = rng.uniform(0.28, 0.28 + float(rng.uniform(0.2, 0.9)), 14)
    times = float(rng.uniform(0.15, 0.7)) + np.concatenate([[0.0], np.cumsum(gaps)])
    drops = []
    for time in times[times < seconds - 0.2]:
        lane = int(rng.integers(len(params["targets"])))
        kind, x = params["targets"][lane]["kind"], params["targets"][lane]["x"]
        spread = 0.5 if kind == "puddle" else 0.25
        drops.append(
            {
                "time": float(time),
                "target": lane,
                "x": x + float(rng.uniform(-spread, spread)) * TARGETS[kind][1],
                "y": params["floor"] - TARGETS[kind][2] + (float(rng.uniform(-0.01, 0.02)) if kind == "puddle" else 0),
                "size": float(rng.uniform(0.019, 0.029)),
            }
        )
    return drops


def material_of(params: Mapping[str, Any], drop: Mapping[str, Any]) -> str:
    return TARGETS[params["targets"][drop["target"]]["kind"]][0]


def _events(params: Mapping[str, Any], seconds: float) -> tuple[Event, ...]:
    events = list(thunderstorm.events(params["lightning"], params["horizon"]))
    for drop in params["drops"]:
        x, y, size, material = drop["x"], drop["y"], drop["size"], material_of(params, drop)
        box = clipped(x - size, y - size, x + size, y + size)
        level = float(20 * np.log10(LEVEL[material]))
        events.append(Event(drop["time"], "drop", box, 2 * x - 1, level, label=material))
    return within(events, seconds)


def gusts(params: Mapping[str, Any], times: np.ndarray) -> np.ndarray:
    """Strength of the wind [T] at times [T], about 0 to 1; it is seen in the reeds and heard."""
    rate, phase = params["gust"]
    swell = np.sin(2 * np.pi * rate * times + phase) + 0.4 * np.sin(2 * np.pi * 2.7 * rate * times + 2 * phase)
    return params["wind"] * (0.55 + 0.32 * swell)


def backdrop(truth: Truth) -> np.ndarray:
    """[2, 3]: a dark sky."""
    return landscape.backdrop(truth.params["land"]) * np.array([[0.55], [0.72]])


def layers(truth: Truth, times: np.ndarray) -> list[Layer]:
    """Clouds and land, things and eaves; then all that moves: lightning, reeds, rain and drops."""
    params, land = truth.params, truth.params["land"]
    horizon, floor = params["horizon"], params["floor"]
    result = thunderstorm.clouds(land) + landscape.hills(land, horizon)
    result += landscape.trees(land, horizon + 0.012)
    bright = 0.4 + 0.6 * landscape.bright(land)
    result += [part for target in params["targets"] for part in _thing(target, floor, bright, land["light"])]
    result += [_still()] * (9 * (3 - len(params["targets"])))
    result += eaves(bright)
    result += thunderstorm.layers(params["lightning"], horizon, times)
    result += reeds(params, times, bright)
    result += streaks(params, times) + splashes(params, times)
    for turn in range(TURNS):
        result += drop_layers(params, params["drops"][turn::TURNS], times)
    result.append(thunderstorm.glare(params["lightning"], times))
    return result


def _still() -> Layer:
    return Layer(0.5, 0.5, opacity=0.0)


def _thing(target: Mapping[str, Any], floor: float, bright: float, light: float) -> list[Layer]:
    """Nine layers of a puddle, bucket, crate or jar that stands on the floor."""
    kind, x = target["kind"], target["x"]
    _, half, high = TARGETS[kind]
    paint, y = np.array(COLOURS[target["colour"]]) * bright, floor - high / 2
    shadow = Layer(x, floor + 0.008, half * 1.05, 0.0, 0.012, soft=0.03, opacity=0.5, colour=(0.02, 0.02, 0.03))

    def box(dx: float, dy: float, wide: float, tall: float, radius: float = 0.0, **look: Any) -> Layer:
        return Layer(x + dx, y + dy, wide - radius, tall - radius, radius, light=light, **look)

    if kind == "puddle":
        water = np.array((0.30, 0.42, 0.54)) * bright
        parts = [
            Layer(x, floor + 0.012, half, 0.0, 0.042, soft=0.012, colour=water * 0.62),
            Layer(x, floor + 0.012, half - 0.005, 0.0, 0.034, soft=0.008, shade=0.25, colour=water),
            Layer(x - 0.03, floor, half * 0.4, 0.0, 0.006, soft=0.008, opacity=0.6, colour=water * 1.5),
        ]
    elif kind == "bucket":
        steel = paint * 0.45 + 0.32 * bright
        parts = [
            shadow,
            box(0, 0, half * 0.92, high / 2, 0.02, shade=0.2, gloss=0.6, colour=steel),
            *(box(0, dy, half * 0.96, 0.008, 0.006, colour=steel * 0.7) for dy in (-0.03, 0.04)),
            box(0, -high / 2 + 0.008, half * 1.06, 0.012, 0.010, colour=steel * 1.25),
        ]
    elif kind == "crate":
        wood = paint * 0.35 + np.array((0.52, 0.38, 0.22)) * bright * 0.6
        parts = [
            shadow,
            box(0, 0, half, high / 2, 0.008, shade=0.15, colour=wood),
            *(box(0, dy, half, 0.004, colour=wood * 0.6) for dy in (-0.025, 0.025)),
            *(box(dx, 0, 0.012, high / 2, colour=wood * 0.8) for dx in (0.012 - half, half - 0.012)),
            box(0, -high / 2 + 0.008, half * 1.04, 0.010, 0.004, colour=wood * 1.2),
        ]
    else:
        glass = np.array((0.70, 0.90, 0.92)) * bright
        parts = [
            shadow,
            box(0, 0.01, half, high / 2 - 0.01, 0.03, opacity=0.5, gloss=0.9, shade=0.15, colour=glass),
            box(0, 0.045, half * 0.9, high / 4, 0.02, opacity=0.75, colour=paint * 0.8),
            box(-half * 0.55, 0.0, 0.008, high * 0.3, 0.008, opacity=0.7, colour=glass * 1.2),
            box(0, -high / 2 + 0.006, half * 0.98, 0.012, 0.006, shade=0.2, colour=paint),
        ]
    return parts + [_still()] * (9 - len(parts))


def eaves(bright: float) -> list[Layer]:
    tile, iron = np.array((0.42, 0.22, 0.17)) * bright, np.array((0.46, 0.48, 0.50)) * bright
    tiles = [Layer(x, 0.03, 0.105, 0.06, 0.02, shade=0.2, colour=tile) for x in np.arange(-0.42, 1.5, 0.23)]
    return [
        *tiles,
        Layer(0.5, EAVES - 0.020, landscape.WIDE, 0.012, 0.010, shade=0.5, colour=iron),
        Layer(0.5, EAVES - 0.030, landscape.WIDE, 0.003, colour=iron * 1.4),
    ]


def reeds(params: Mapping[str, Any], times: np.ndarray, bright: float) -> list[Layer]:
    wind, result = gusts(params, times), []
    for x, high, phase in params["reeds"]:
        lean = params["blows"] * (0.08 + 0.75 * wind) + 0.06 * wind * np.sin(9.0 * times + phase)
        foot, green = params["floor"] + 0.06, np.array((0.30, 0.44, 0.20)) * bright
        for reach, thick, colour in ((1.0, 0.007, green), (0.28, 0.016, np.array((0.34, 0.22, 0.12)) * bright)):
            away = high * (1 - reach / 2)
            result.append(
                Layer(
                    x + away * np.sin(lean),
                    foot - away * np.cos(lean),
                    0.0,
                    high * reach / 2,
                    thick,
                    angle=lean,
                    shade=0.2,
                    colour=colour,
                )
            )
    return result


def streaks(params: Mapping[str, Any], times: np.ndarray) -> list[Layer]:
    """Far rain: faint and slanted by the wind, as many streaks as it rains hard."""
    slant = params["blows"] * 0.28 * params["wind"]
    result = []
    for rank, (x, phase, speed, half) in enumerate(params["streaks"]):
        y = (phase + speed * times / 1.3) % 1.0 * 1.3 - 0.12
        shown = 0.34 if rank < STREAKS * params["heavy"] else 0.0
        result.append(
            Layer(
                x + slant * (y - 0.5),
                y,
                0.0,
                half,
                0.0035,
                angle=-np.arctan(slant),
                opacity=np.where(y < params["floor"] + 0.05, shown, 0.0),
                colour=WATER,
            )
        )
    return result


def splashes(params: Mapping[str, Any], times: np.ndarray) -> list[Layer]:
    """Small rings where far rain meets the ground."""
    result = []
    for rank, (x, depth, pause, phase) in enumerate(params["splashes"]):
        part = (times / pause + phase) % 1.0
        turn = np.floor(times / pause + phase)
        y = params["horizon"] + 0.06 + (0.97 - params["horizon"] - 0.06) * depth
        shown = 0.55 * (1 - part) if rank < SPLASHES * params["heavy"] + 1 else np.zeros(len(times))
        result.append(
            Layer((x + 0.37 * turn) % 1.0, y, 0.03 * part * depth, 0.0, 0.008, ring=0.002, opacity=shown, colour=WATER)
        )
    return result


def drop_layers(params: Mapping[str, Any], drops: list, times: np.ndarray) -> list[Layer]:
    """Drops that take turns: each swells at the eaves, falls, and splashes; ripples where it meets water."""
    if not drops:
        return [_still()] * 3
    onsets = np.array([drop["time"] for drop in drops])
    x, y, size = (np.array([drop[name] for drop in drops]) for name in ("x", "y", "size"))
    wet = np.array([material_of(params, drop) == "water" for drop in drops])
    fall = np.sqrt(2 * (y - size - EAVES) / params["gravity"])
    coming = np.minimum(np.searchsorted(onsets, times, side="right"), len(drops) - 1)
    left = onsets[coming] - times
    falling = fall[coming] - left  # time since it let go
    dropped = params["gravity"] / 2 * np.maximum(falling, 0) ** 2
    swelling = np.clip(1 + falling / HANG, 0, 1)
    stretch = 1 + 0.35 * np.clip(falling / fall[coming], 0, 1)
    body = Layer(
        x[coming],
        EAVES + dropped + size[coming] * 0.3 * swelling,
        0.0,
        size[coming] * (stretch - 1),
        size[coming] * swelling / stretch**0.5,
        opacity=np.where((left > 0) & (swelling > 0.05), 0.95, 0.0),
        gloss=0.8,
        shade=0.25,
        colour=WATER,
    )
    index, age = since_last(times, onsets)
    since = np.where(index >= 0, age, 9.0)
    here = np.maximum(index, 0)
    fades = np.where(since < 0.5, np.exp(-since / 0.20), 0.0)
    crown = Layer(
        x[here],
        y[here] - np.where(since < 0.5, 0.62 * since - 1.5 * since**2, 0.0) - 0.012,
        radius=size[here] * (0.62 - 0.4 * np.minimum(since, 0.5)),
        apart=0.018 + 0.16 * np.minimum(since, 0.5),
        opacity=fades,
        colour=WATER,
    )
    spread = 1 - np.exp(-since / 0.35)
    ripple = Layer(
        x[here],
        y[here] + 0.004,
        (0.01 + 0.06 * spread) * wet[here],
        0.0,
        0.012 + 0.018 * spread,
        ring=0.0035,
        opacity=np.where(since < 1.0, 0.9 * np.exp(-since / 0.3), 0.0) * np.where(wet[here], 1.0, 0.4),
        colour=WATER,
    )
    return [body, ripple, crown]


def score(truth: Truth) -> Score:
    """Every drop by what it lands on, the hiss of the rain, the wind in the reeds, thunder."""
    params, times = truth.params, control_times(truth.seconds)
    hits = tuple(plink(drop, material_of(params, drop)) for drop in params["drops"])
    wind = gusts(params, times)
    noise = truth.seed * 17
    beds = (
        Bed(np.full(len(times), 0.010 + 0.028 * params["heavy"]), 0.0, 1800, 6800, noise, width=0.9),
        Bed(0.055 * np.maximum(wind, 0.0) ** 1.5, -0.4 * params["blows"], 180, 620, noise + 2, width=0.5),
    )
    thunder = thunderstorm.score(params["lightning"], truth.seconds, noise + 4)
    room = Room(params["room"]["room_decay"], 0.10, truth.seed)
    return Score(hits + thunder.hits, beds + thunder.beds, room)


def plink(drop: Mapping[str, Any], material: str) -> Hit:
    """A drop in water rings like the bubble it catches (Minnaert 1933: 3.26 m/s over the radius); others ring."""
    small = 0.024 / drop["size"]
    pan = 2 * drop["x"] - 1
    if material == "water":
        pitch = 3.26 / 0.003 * small
        return Hit(drop["time"], LEVEL["water"], pan, (pitch, pitch * 1.56), (0.16, 0.07), (1.0, 0.4), 0.25, 2 * pitch)
    struck = MATERIALS[material]
    pitch = {"metal": 1050.0, "wood": 520.0, "glass": 2300.0}[material] * small**0.3
    total = sum(struck.gains) + 0.3
    return Hit(
        drop["time"],
        LEVEL[material],
        pan,
        tuple(pitch * ratio for ratio in struck.ratios),
        tuple(0.6 * decay for decay in struck.decays),
        tuple(1.6 * gain / total for gain in struck.gains),
        struck.click,
        struck.click_band,
    )
