"""Counts behind the score: does what is heard happen when, where and as it is seen?

Every number is a ratio of sums over clips (pooled counts), with a 95 % interval by bootstrap over clips that is
corrected for their number (`statistics.of_few_clips`).
A clip in which nothing is seen, or nothing is heard, counts as misses or false alarms; none is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from phonofilm.evaluation.foley_world.detect import NOTE_OF, Observation
from phonofilm.evaluation.statistics import Interval, of_few_clips

SILENT = -50.0  # LUFS
RESAMPLES = 2000


@dataclass(frozen=True)
class Value:
    """A pooled ratio with its 95 % bootstrap interval and the number of clips behind it."""

    value: float
    low: float
    high: float
    clips: int

    def as_dict(self) -> dict[str, float | int]:
        return {"value": self.value, "low": self.low, "high": self.high, "clips": self.clips}


def match(first: Sequence[float], second: Sequence[float], tolerance: float) -> list[tuple[int, int]]:
    """One-to-one pairs of times at most `tolerance` apart, as many as possible; both ascending."""
    pairs, i, j = [], 0, 0
    while i < len(first) and j < len(second):
        if abs(first[i] - second[j]) <= tolerance + 1e-9:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif first[i] < second[j]:
            i += 1
        else:
            j += 1
    return pairs


def pooled(counts: Sequence[tuple[float, float]], seed: int = 0, share: bool = True) -> Value:
    """The ratio of sums of (part, whole) per clip, with its interval.

    Args:
        share: parts are never more than wholes, so that the ratio lies within 0 … 1.
    """
    table = np.array(counts, float).reshape(-1, 2)
    if not len(table) or table[:, 1].sum() == 0:
        return Value(float("nan"), float("nan"), float("nan"), len(table))
    drawn = np.random.default_rng(seed).integers(0, len(table), (RESAMPLES, len(table)))
    sums = table[drawn].sum(1)
    ratios = sums[:, 0] / np.maximum(sums[:, 1], 1e-12)
    low, high = np.quantile(ratios[sums[:, 1] > 0], (0.025, 0.975))
    value = float(table[:, 0].sum() / table[:, 1].sum())
    counted = int((table[:, 1] > 0).sum())
    found = of_few_clips(Interval(value, float(low), float(high)), counted, (0.0, 1.0) if share else None)
    return Value(value, found.low, found.high, len(table))


def f1_counts(first: Sequence[float], second: Sequence[float], tolerance: float) -> tuple[float, float]:
    """(2·matches, events in all): their ratio is F1."""
    return 2.0 * len(match(first, second, tolerance)), float(len(first) + len(second))


def sync(clip: Observation, tolerance: float) -> tuple[float, float]:
    return f1_counts([s.time for s in clip.sights], [o.time for o in clip.onsets], tolerance)


def colour(clip: Observation) -> tuple[float, float]:
    """Bounce: exactly the wanted colours fill the picture. Strike: share of struck bars that were asked for."""
    if not clip.wanted.colours:
        return 0.0, 0.0
    if clip.wanted.family == "strike":
        struck = [s.colour for s in clip.sights]
        return float(sum(c in clip.wanted.colours for c in struck)), float(max(len(struck), 1))
    return float(clip.colours == set(clip.wanted.colours)), 1.0


def material(clip: Observation) -> tuple[float, float]:
    """Bounce with one material: share of onsets that sound like it; silence is one wrong onset."""
    if clip.wanted.family != "bounce" or len(set(clip.wanted.materials)) != 1:
        return 0.0, 0.0
    return float(sum(m == clip.wanted.materials[0] for m in clip.materials)), float(max(len(clip.materials), 1))


def pitch(clip: Observation) -> tuple[float, float]:
    """Strike: share of pairs of seen and heard strikes with the bar's own note; no pair is one wrong pair."""
    if clip.wanted.family != "strike":
        return 0.0, 0.0
    pairs = match([s.time for s in clip.sights], [o.time for o in clip.onsets], 0.12)
    right = sum(NOTE_OF[clip.sights[i].colour or "red"] == clip.notes[j] for i, j in pairs)
    return float(right), float(max(len(pairs), 1))


def melody(clip: Observation) -> tuple[float, float]:
    """Strike with a listed melody: longest common subsequence of heard and asked notes, over the longer one."""
    if clip.wanted.family != "strike" or len(clip.wanted.colours) < 2:
        return 0.0, 0.0
    asked = [NOTE_OF[c] for c in clip.wanted.colours]
    table = np.zeros((len(asked) + 1, len(clip.notes) + 1), int)
    for i, a in enumerate(asked):
        for j, b in enumerate(clip.notes):
            table[i + 1, j + 1] = table[i, j] + 1 if a == b else max(table[i, j + 1], table[i + 1, j])
    return float(table[-1, -1]), float(max(len(asked), len(clip.notes)))


def pan_sign(clip: Observation) -> tuple[float, float]:
    """Share of pairs, seen clearly off the middle, that are heard on the side where they are seen."""
    pairs = match([s.time for s in clip.sights], [o.time for o in clip.onsets], 0.12)
    sides = [(clip.sights[i].x - 0.5, clip.onsets[j].pan) for i, j in pairs if abs(clip.sights[i].x - 0.5) > 0.1]
    return float(sum(x * p > 0 for x, p in sides)), float(len(sides))


def silent(clip: Observation) -> tuple[float, float]:
    """Loudness under -50 LUFS, or no onset although every prompt of these families has an event."""
    return float(clip.loudness < SILENT or not clip.onsets), 1.0


def flicker(clip: Observation) -> tuple[float, float]:
    return clip.flicker, 1.0


def heard_truth(clip: Observation, tolerance: float = 0.06) -> tuple[float, float]:
    """Audible onsets against the true events (foley)."""
    return f1_counts([o.time for o in clip.onsets], clip.truth, tolerance) if clip.truth is not None else (0.0, 0.0)


def seen_truth(clip: Observation, tolerance: float = 0.08) -> tuple[float, float]:
    """Visible impacts against the true events (animate)."""
    return f1_counts([s.time for s in clip.sights], clip.truth, tolerance) if clip.truth is not None else (0.0, 0.0)


METRICS: dict[str, Callable[[Observation], tuple[float, float]]] = {
    "sync_f1_60ms": lambda clip: sync(clip, 0.06),
    "sync_f1_40ms": lambda clip: sync(clip, 0.04),
    "colour": colour,
    "material": material,
    "pitch": pitch,
    "melody": melody,
    "pan_sign": pan_sign,
    "silent": silent,
    "flicker": flicker,
    "heard_vs_truth_f1_60ms": heard_truth,
    "seen_vs_truth_f1_80ms": seen_truth,
}


def shuffled_sync(clips: Sequence[Observation], tolerance: float = 0.06, rounds: int = 20, seed: int = 0) -> Value:
    """Sync F1 of each picture with the sound of another clip of its family: what chance gives."""
    rng = np.random.default_rng(seed)
    counts: list[tuple[float, float]] = []
    for family in sorted({clip.wanted.family for clip in clips}):
        group = [clip for clip in clips if clip.wanted.family == family]
        for _ in range(rounds if len(group) > 1 else 0):
            order = rng.permutation(len(group))
            for place, index in enumerate(order):
                other = group[order[(place + 1) % len(group)]]
                counts.append(
                    f1_counts([s.time for s in group[index].sights], [o.time for o in other.onsets], tolerance)
                )
    value = pooled(counts)
    return Value(value.value, value.low, value.high, len(clips))


def summarise(clips: Sequence[Observation]) -> dict[str, dict[str, dict[str, float | int]]]:
    """Every metric for all clips and for each family: {"all" or family: {metric: {value, low, high, clips}}}."""
    groups = {"all": list(clips)}
    for family in sorted({clip.wanted.family for clip in clips}):
        groups[family] = [clip for clip in clips if clip.wanted.family == family]
    result = {}
    for name, group in groups.items():
        counted = {metric: [count(clip) for clip in group] for metric, count in METRICS.items()}
        table = {
            metric: pooled([c for c in counts if c[1] > 0], share=metric != "flicker").as_dict()
            for metric, counts in counted.items()
            if any(whole for _, whole in counts)
        }
        control = shuffled_sync(group)
        if np.isfinite(control.value):  # a family of one clip has no other sound to be shown with
            table["sync_f1_60ms_shuffled"] = control.as_dict()
        result[name] = table
    return result
