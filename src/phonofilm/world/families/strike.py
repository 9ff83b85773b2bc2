"""Strike: a mallet plays a melody on the coloured bars of a xylophone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from phonofilm.types import Event
from phonofilm.world.audio.synthesis import Hit, Room, Score
from phonofilm.world.common import captions
from phonofilm.world.common.palette import COLOURS, NOTES
from phonofilm.world.common.scene import Truth, since_last, track_times
from phonofilm.world.graphics.rasterizer import Layer

HEAD = 0.062  # radius of the mallet's head
WAYS = ("wander", "up", "down", "repeat", "alternate")
HEADS = {"white": (0.96, 0.95, 0.92), "black": (0.06, 0.06, 0.08)}
# ratios of a tuned bar (Fletcher and Rossing, ch. 19): wood is cut to 1:4, steel is left 1:2.76
WOOD = ((1.0, 3.98, 9.2), (0.42, 0.16, 0.07), (1.0, 0.35, 0.12), 0.28)
METAL = ((1.0, 2.76, 5.40), (1.6, 0.9, 0.5), (1.0, 0.30, 0.18), 0.12)


def sample(rng: np.random.Generator, seed: int, seconds: float) -> Truth:
    """A xylophone of five to eight bars and a short melody."""
    count = int(rng.choice([5, 6, 7, 8], p=[0.4, 0.25, 0.15, 0.2]))
    metal = bool(rng.random() < 0.5)
    beat = float(rng.uniform(0.38, 0.8))
    start = float(rng.uniform(0.35, 0.8))
    onsets = start + beat * np.arange(max(1, int((seconds - start - 0.3) / beat) + 1))
    onsets = onsets[: int(rng.integers(3, 9))]
    way = str(rng.choice(WAYS))
    bars = _melody(rng, way, count, len(onsets))
    room = {
        "wall_tint": [float(v) for v in rng.uniform(0.16, 0.40, 1) + rng.uniform(-0.05, 0.05, 3)],
        "light": float(rng.choice([-1.0, 1.0])),
        "room_decay": float(rng.uniform(0.15, 0.45)),
    }
    params = {
        "bars": count,
        "instrument": "metal glockenspiel" if metal else "wooden xylophone",
        "beat": beat,
        "head": str(rng.choice(list(HEADS), p=[0.7, 0.3])),
        "melody": [int(b) for b in bars],
        "colours": [NOTES[b][1] for b in bars],
        "notes": [NOTES[b][0] for b in bars],
        "onsets": [float(t) for t in onsets],
        "force": [float(f) for f in rng.uniform(0.65, 1.0, len(onsets))],
        "room": room,
    }
    events = tuple(_event(params, k) for k in range(len(onsets)))
    tracks = {"head": _swing(params, seconds)}
    return Truth("strike", seed, seconds, captions.strike(rng, params, way), events, params, tracks)


def _melody(rng: np.random.Generator, way: str, count: int, length: int) -> np.ndarray:
    steps = np.arange(length)
    if way == "up":
        return np.minimum(int(rng.integers(0, 2)) + steps, count - 1) if length <= count else steps % count
    if way == "down":
        return (count - 1 - steps) % count
    if way == "repeat":
        return np.full(length, rng.integers(0, count))
    if way == "alternate":
        pair = rng.choice(count, 2, replace=False)
        return pair[steps % 2]
    moves = rng.choice([-2, -1, 1, 2, 3, -3], length)
    melody = [int(rng.integers(0, count))]
    for move in moves[1:]:
        step = melody[-1] + move
        melody.append(int(step if 0 <= step < count else melody[-1] - move))
    return np.clip(np.array(melody), 0, count - 1)


def bar_box(count: int, bar: int) -> tuple[float, float, float, float]:
    """Centre x, centre y, half width, half height of a bar."""
    pitch = 0.88 / count
    return 0.06 + pitch * (bar + 0.5), 0.70, pitch * 0.42, 0.235 - 0.085 * bar / (count - 1)


def hit_point(count: int, bar: int) -> tuple[float, float]:
    """Where the centre of the head is when it strikes a bar: its upper half."""
    x, y, _, half = bar_box(count, bar)
    return x, y - half * 0.45


def _event(params: dict, k: int) -> Event:
    x, y, wide, high = bar_box(params["bars"], params["melody"][k])
    box = (x - wide, y - high, x + wide, y + high)
    level = float(20 * np.log10(0.55 * params["force"][k]))
    return Event(params["onsets"][k], "strike", box, 2 * x - 1, level, label=params["notes"][k])


def _swing(params: dict, seconds: float) -> np.ndarray:
    """float64 [S, 2]: the head flies from bar to bar, thrown like a ball and landing on each onset."""
    times = track_times(seconds)
    onsets = np.array(params["onsets"])
    points = np.array([hit_point(params["bars"], bar) for bar in params["melody"]])
    before, _ = since_last(times, onsets)
    gap = params["beat"]
    whole = np.concatenate([[onsets[0] - gap], onsets, [onsets[-1] + gap]])
    ends = np.concatenate([points[:1], points, points[-1:]])
    leg = before + 1
    u = np.clip((times - whole[leg]) / gap, 0, 1)
    u = np.where(leg == 0, np.maximum(u, 0.5), np.where(leg == len(onsets), np.minimum(u, 0.5), u))
    lift = min(0.24, 0.30 * gap + 0.03)
    smooth = u * u * (3 - 2 * u)
    x = ends[leg, 0] + (ends[leg + 1, 0] - ends[leg, 0]) * smooth
    y = ends[leg, 1] + (ends[leg + 1, 1] - ends[leg, 1]) * smooth - lift * 4 * u * (1 - u)
    return np.stack([x, y], -1)


def backdrop(truth: Truth) -> np.ndarray:
    """[2, 3]: a dark wall, lighter below."""
    wall = np.array(truth.params["room"]["wall_tint"])
    return np.stack([wall * 0.75, wall * 1.2])


def layers(truth: Truth, times: np.ndarray) -> list[Layer]:
    """Rails, bars, the glow of the struck bar, the mallet's shadow, its stick and its head."""
    params, light = truth.params, truth.params["room"]["light"]
    count, wood = params["bars"], np.array((0.45, 0.32, 0.2))
    result = [Layer(0.5, 0.70 + dy, 0.46, 0.012, 0.006, colour=wood) for dy in (-0.08, 0.08)]
    for slot in range(8):
        x, y, wide, high = bar_box(count, min(slot, count - 1))
        tint = np.array(COLOURS[NOTES[min(slot, count - 1)][1]]) * 0.72
        result.append(Layer(x, y, wide - 0.012, high - 0.012, 0.012, shade=0.12, light=light, colour=tint))
    result += _glow(params, times)
    head = truth.at("head", times)
    result.append(_shadow(params, head))
    lean = 0.30 + 0.25 * (head[:, 0] - 0.5)
    result.append(_stick(head, lean))
    result.append(
        Layer(head[:, 0], head[:, 1], radius=HEAD, shade=0.35, gloss=0.4, light=light, colour=HEADS[params["head"]])
    )
    return result


def _glow(params: Mapping[str, Any], times: np.ndarray) -> list[Layer]:
    """The struck bar lights up and fades; even and odd strikes take turns so that two can overlap."""
    result = []
    onsets, melody = np.array(params["onsets"]), np.array(params["melody"])
    for turn in (0, 1):
        mine = np.arange(turn, len(onsets), 2)
        if not len(mine):
            result.append(Layer(0.5, 0.5, opacity=np.zeros(len(times))))
            continue
        index, age = since_last(times, onsets[mine])
        bar = melody[mine][index]
        shape = np.array([bar_box(params["bars"], b) for b in bar])
        colour = np.array([COLOURS[NOTES[b][1]] for b in bar])
        visible = np.where(index >= 0, np.exp(-age / 0.16), 0.0)
        result.append(
            Layer(
                shape[:, 0],
                shape[:, 1],
                shape[:, 2] - 0.008,
                shape[:, 3] - 0.008,
                0.012,
                opacity=np.where(visible > 0.04, visible, 0.0),
                soft=0.012,
                colour=0.35 * colour + 0.75,
            )
        )
    return result


def _shadow(params: Mapping[str, Any], head: np.ndarray) -> Layer:
    height = np.clip((hit_point(params["bars"], 0)[1] - head[:, 1]) / 0.3, 0, 1)
    return Layer(
        head[:, 0] + 0.02,
        np.full(len(head), hit_point(params["bars"], 0)[1] + 0.05),
        radius=HEAD * 0.8,
        opacity=0.45 * (1 - 0.7 * height),
        soft=0.03 + 0.04 * height,
        colour=(0.0, 0.0, 0.0),
    )


def _stick(head: np.ndarray, lean: np.ndarray) -> Layer:
    reach = 0.30
    return Layer(
        head[:, 0] + reach * np.sin(lean),
        head[:, 1] - reach * np.cos(lean),
        half_x=np.full(len(head), 0.012),
        half_y=reach,
        radius=0.008,
        angle=lean,
        shade=0.2,
        colour=(0.80, 0.62, 0.38),
    )


def score(truth: Truth) -> Score:
    """One modal sound a strike; its pitch is its bar's."""
    params = truth.params
    ratios, decays, gains, click = METAL if "metal" in params["instrument"] else WOOD
    hits = []
    for time, bar, force in zip(params["onsets"], params["melody"], params["force"], strict=True):
        pitch, x = NOTES[bar][2], bar_box(params["bars"], bar)[0]
        hits.append(
            Hit(
                time,
                0.42 * force,
                2 * x - 1,
                tuple(pitch * r for r in ratios),
                decays,
                tuple(g * force**m for m, g in enumerate(gains)),
                click,
                3200,
            )
        )
    return Score(tuple(hits), (), Room(params["room"]["room_decay"], 0.08, truth.seed))
