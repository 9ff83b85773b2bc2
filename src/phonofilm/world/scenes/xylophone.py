"""A mallet plays coloured bars; half of the melodies are uniformly random, so that their order must be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from phonofilm.types import Event
from phonofilm.world.audio.synthesis import Hit, Room, Score
from phonofilm.world.common.palette import COLOURS, NOTES
from phonofilm.world.common.scene import at_times, since_last, track_times
from phonofilm.world.families.strike import METAL, WOOD
from phonofilm.world.graphics.rasterizer import Layer
from phonofilm.world.scenes.actor import Stack

HEAD = 0.072  # radius of the mallet's head
WAYS = ("up", "down", "repeat", "alternate", "wander")
HEADS = {"white": (0.96, 0.95, 0.92), "red": (0.80, 0.16, 0.14), "black": (0.13, 0.13, 0.16)}
MIDDLE = 0.665  # of the bars, in the picture


@dataclass(frozen=True, eq=False)
class Xylophone:
    """Facts, and the way of the mallet's head [S, 2] at TRACK_RATE."""

    facts: Mapping[str, Any]
    seconds: float
    seed: int
    head: np.ndarray

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(_event(self.facts, k) for k in range(len(self.facts["onsets"])))

    def layers(self, times: np.ndarray) -> Stack:
        facts, side = self.facts, self.facts["room"]["light"]
        result = _frame(facts, side)
        for bar in range(facts["bars"]):
            result += _bar(facts, bar, times, side)
        head = at_times(self.head, times)
        result += _mallet(facts, head, side)
        return result

    def score(self) -> Score:
        """One modal sound a strike; its pitch is its bar's."""
        facts = self.facts
        ratios, decays, gains, click = METAL if "metal" in facts["instrument"] else WOOD
        hits = []
        for time, bar, force in zip(facts["onsets"], facts["melody"], facts["force"], strict=True):
            pitch, x = NOTES[bar][2], bar_box(facts, bar)[0]
            hits.append(
                Hit(
                    time,
                    0.42 * force,
                    float(np.clip(2 * x - 1, -1, 1)),
                    tuple(pitch * r for r in ratios),
                    decays,
                    tuple(g * force**m for m, g in enumerate(gains)),
                    click,
                    3200,
                )
            )
        return Score(tuple(hits), (), Room(facts["room"]["room_decay"], 0.08, self.seed))


def sample(
    rng: np.random.Generator,
    seed: int,
    seconds: float,
    place: Mapping[str, Any],
    span: tuple[float, float] = (0.03, 0.97),
) -> Xylophone:
    """Five to eight bars across `span` of the picture, and phrases that fill the scene."""
    count = int(rng.choice([5, 6, 7, 8], p=[0.35, 0.25, 0.15, 0.25]))
    beat = float(rng.uniform(0.36, 0.75))
    onsets, bars, ways = _phrases(rng, count, beat, seconds)
    facts = {
        "bars": count,
        "instrument": "metal glockenspiel" if rng.random() < 0.5 else "wooden xylophone",
        "beat": beat,
        "span": list(span),
        "head": str(rng.choice(list(HEADS), p=[0.5, 0.25, 0.25])),
        "ways": ways,
        "melody": bars,
        "colours": [NOTES[b][1] for b in bars],
        "notes": [NOTES[b][0] for b in bars],
        "onsets": onsets,
        "force": [float(f) for f in rng.uniform(0.65, 1.0, len(onsets))],
        "room": dict(place),
    }
    return Xylophone(facts, seconds, seed, _swing(facts, seconds))


def _phrases(
    rng: np.random.Generator, count: int, beat: float, seconds: float
) -> tuple[list[float], list[int], list[str]]:
    """Phrases of three to eight strikes with rests between them, until the scene ends."""
    onsets: list[float] = []
    bars: list[int] = []
    ways: list[str] = []
    time = float(rng.uniform(0.3, 0.7))
    while not onsets or time < seconds - 0.25:
        way = "random" if rng.random() < 0.5 else str(rng.choice(WAYS))
        length = int(rng.integers(3, 9))
        phrase = melody(rng, way, count, length)
        ways.append(way)
        for bar in phrase:
            if onsets and time >= seconds - 0.25:
                break
            onsets.append(time)
            bars.append(int(bar))
            time += beat
        time += beat * float(rng.integers(1, 3))
    return onsets, bars, ways


def melody(rng: np.random.Generator, way: str, count: int, length: int) -> np.ndarray:
    """Bars of a phrase [length]."""
    steps = np.arange(length)
    if way == "random":
        return rng.integers(0, count, length)
    if way == "up":
        return (int(rng.integers(0, 2)) + steps) % count
    if way == "down":
        return (count - 1 - steps) % count
    if way == "repeat":
        return np.full(length, rng.integers(0, count))
    if way == "alternate":
        return rng.choice(count, 2, replace=False)[steps % 2]
    line = [int(rng.integers(0, count))]
    for move in rng.choice([-2, -1, 1, 2], length - 1):
        line.append(int(line[-1] + move if 0 <= line[-1] + move < count else line[-1] - move))
    return np.array(line)


def bar_box(facts: Mapping[str, Any], bar: int) -> tuple[float, float, float, float]:
    """Centre x, centre y, half width, half height of a bar."""
    low, high = facts["span"]
    count, wide = facts["bars"], high - low
    pitch = wide / count
    size = min(1.0, 0.25 + 0.8 * wide)
    return low + pitch * (bar + 0.5), MIDDLE, pitch * 0.43, size * (0.265 - 0.10 * bar / (count - 1))


def hit_point(facts: Mapping[str, Any], bar: int) -> tuple[float, float]:
    """Where the centre of the head is when it strikes a bar: its upper half."""
    x, y, _, half = bar_box(facts, bar)
    return x, y - half * 0.42


def _event(facts: Mapping[str, Any], k: int) -> Event:
    x, y, wide, high = bar_box(facts, facts["melody"][k])
    box = (x - wide, y - high, x + wide, y + high)
    level = float(20 * np.log10(0.55 * facts["force"][k]))
    return Event(facts["onsets"][k], "strike", box, float(np.clip(2 * x - 1, -1, 1)), level, label=facts["notes"][k])


def _swing(facts: Mapping[str, Any], seconds: float) -> np.ndarray:
    """float64 [S, 2]: the head flies from bar to bar, thrown like a ball and landing on each onset."""
    times = track_times(seconds)
    onsets = np.array(facts["onsets"])
    points = np.array([hit_point(facts, bar) for bar in facts["melody"]])
    ends = np.concatenate([points[:1], points, points[-1:]])
    whole = np.concatenate([[onsets[0] - 0.8], onsets, [onsets[-1] + 0.8]])
    before, _ = since_last(times, onsets)
    leg = before + 1
    gap = whole[leg + 1] - whole[leg]
    u = np.clip((times - whole[leg]) / gap, 0, 1)
    u = np.where(leg == 0, np.maximum(u, 0.5), np.where(leg == len(onsets), np.minimum(u, 0.5), u))
    lift = np.minimum(0.26, 0.30 * gap + 0.03)
    smooth = u * u * (3 - 2 * u)
    x = ends[leg, 0] + (ends[leg + 1, 0] - ends[leg, 0]) * smooth
    y = ends[leg, 1] + (ends[leg + 1, 1] - ends[leg, 1]) * smooth - lift * 4 * u * (1 - u)
    return np.stack([x, y], -1)


def _frame(facts: Mapping[str, Any], side: float) -> list[Layer]:
    """Shadow on the table and two rails that come closer towards the short bars."""
    first, last = bar_box(facts, 0), bar_box(facts, facts["bars"] - 1)
    low, high = facts["span"]
    middle, half = (low + high) / 2, (high - low) / 2
    result = [
        Layer(
            middle - 0.02 * side,
            MIDDLE + 0.045,
            half - 0.03,
            first[3] - 0.08,
            0.06,
            opacity=0.5,
            soft=0.10,
            colour=(0.02, 0.015, 0.02),
        ),
    ]
    for way in (-1.0, 1.0):
        y0, y1 = MIDDLE + way * 0.56 * first[3], MIDDLE + way * 0.56 * last[3]
        angle = float(np.arctan2(y1 - y0, last[0] - first[0]))
        result.append(
            Layer(
                middle,
                (y0 + y1) / 2,
                half - 0.02,
                0.006,
                0.018,
                angle,
                shade=0.3,
                texture="wood",
                colour=(0.46, 0.31, 0.19),
            )
        )
    return result


def _bar(facts: Mapping[str, Any], bar: int, times: np.ndarray, side: float) -> list[Layer]:
    """A bar dips and shines when it is struck; its pins stay dark."""
    x, y, wide, high = bar_box(facts, bar)
    metal = "metal" in facts["instrument"]
    onsets = np.array([t for t, b in zip(facts["onsets"], facts["melody"], strict=True) if b == bar])
    index, age = since_last(times, onsets)
    rung = np.where(index >= 0, np.exp(-np.minimum(age, 9.0) / 0.20), 0.0)
    dip = y + 0.016 * np.where(index >= 0, np.exp(-np.minimum(age, 9.0) / 0.07), 0.0)
    paint = np.array(COLOURS[NOTES[bar][1]]) * (0.92 if metal else 0.84)
    colour = paint * (1 + 0.25 * rung[:, None]) + 0.30 * rung[:, None]
    round_ = min(0.022, wide * 0.5)
    look: dict[str, Any] = (
        {"texture": "metal", "gloss": 0.5, "shade": 0.26} if metal else {"shade": 0.30, "gloss": 0.25}
    )
    shadow = Layer(
        x - 0.012 * side, y + 0.026, wide - 0.02, high - 0.02, 0.02, opacity=0.45, soft=0.03, colour=(0, 0, 0)
    )
    pins = [
        Layer(x, dip + way * 0.56 * high, radius=0.011, shade=0.3, gloss=0.8, colour=(0.72, 0.70, 0.66))
        for way in (-1, 1)
    ]
    body = Layer(x, dip, wide - round_ - 0.005, high - round_, round_, colour=colour, **look)
    return [shadow, body, *pins]


def _mallet(facts: Mapping[str, Any], head: np.ndarray, side: float) -> list[Layer]:
    """Shadow on the bars, a tapering stick towards the player, a yarn head."""
    level = hit_point(facts, 0)[1]
    height = np.clip((level - head[:, 1]) / 0.3, 0, 1)
    lean = 0.42 + 0.30 * (head[:, 0] - 0.5)
    reach = 0.34
    size = HEAD * min(1.0, 0.35 + 0.7 * (facts["span"][1] - facts["span"][0]))
    return [
        Layer(
            head[:, 0] - side * (0.012 + 0.05 * height),
            level + 0.05 + 0.03 * height,
            radius=size * 0.85,
            opacity=0.50 * (1 - 0.6 * height),
            soft=0.03 + 0.06 * height,
            colour=(0.02, 0.01, 0.02),
        ),
        Layer(
            head[:, 0] + reach * np.sin(lean),
            head[:, 1] - reach * np.cos(lean),
            0.0,
            reach,
            0.014,
            lean,
            shade=0.34,
            gloss=0.2,
            colour=(0.78, 0.58, 0.34),
        ),
        Layer(
            head[:, 0], head[:, 1], radius=size, shade=0.34, gloss=0.16, texture="cloth", colour=HEADS[facts["head"]]
        ),
    ]
