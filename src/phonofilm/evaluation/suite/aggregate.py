"""From features to numbers: one clip in memory at a time, with its reference and its shuffled control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from phonofilm.evaluation.features.cache import Arrays, FeatureCache
from phonofilm.evaluation.features.extraction import ExtractedClip, Plan
from phonofilm.evaluation.features.prompt_features import text_digest
from phonofilm.evaluation.metrics.distribution.bootstrap_distances import (
    FeatureSet,
    distance,
    halves,
    inception_estimate,
)
from phonofilm.evaluation.prompts import Prompt
from phonofilm.evaluation.statistics import Interval, bootstrap_interval, of_few_clips
from phonofilm.evaluation.suite.registry import Distance, Metric
from phonofilm.evaluation.suite.sample import AbsentError, Lookup, Sample
from phonofilm.types import Progress
from phonofilm.workers import one_thread

CONTROLS = 500
"""Clips of a shuffled control, at most."""

EXACT = 2000
"""Clips up to which intervals are BCa; past it, the jackknife costs more than it corrects."""


@dataclass
class Tally:
    """What the clips of one side score by one metric: shares by name, and the reasons of those without."""

    shares: dict[str, tuple[float, float]] = field(default_factory=dict)
    absent: dict[str, list[str]] = field(default_factory=dict)
    rows: FeatureSet = field(default_factory=FeatureSet)
    median: bool = False
    bounds: tuple[float, float] | None = None

    @property
    def value(self) -> float | None:
        return self._of(np.array(list(self.shares.values()))) if self.shares else None

    @property
    def known(self) -> float | None:
        """Share of the clips that were looked at whose value is known; None for a metric that every clip has."""
        looked_at = len(self.shares) + sum(map(len, self.absent.values()))
        return len(self.shares) / looked_at if self.median and looked_at else None

    def _of(self, rows: np.ndarray) -> float:
        return float(np.median(rows[:, 0])) if self.median else float(rows[:, 0].sum() / rows[:, 1].sum())

    def interval(self) -> Interval | None:
        """95 % bootstrap interval over clips, or None for fewer than two."""
        if len(self.shares) < 2:
            return None
        rows = np.array(list(self.shares.values()))
        # the jackknife of a median says nothing of how it is skewed
        method = "bca" if len(rows) <= EXACT and not self.median else "percentile"
        found = bootstrap_interval(rows, self._of, method=method)  # type: ignore[arg-type]
        return of_few_clips(found, len(rows), self.bounds)


@dataclass(frozen=True)
class Measured:
    """One metric, measured.

    Attributes:
        value, low, high: with the limits of its 95 % interval. n: clips it is of.
        reference: the same of the reference. control: of shuffled sound.
        median, known: of a signed metric, its value again and the share of clips where it is known, with the same of
            the reference and of the control.
        clips: value of each clip. absent: names of clips without, by reason. notes: what to know of it.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    reference: float | None = None
    control: float | None = None
    median: float | None = None
    known: float | None = None
    known_reference: float | None = None
    known_control: float | None = None
    clips: Mapping[str, float] = field(default_factory=dict)
    reference_clips: Mapping[str, float] = field(default_factory=dict)
    absent: Mapping[str, list[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Reader:
    """Features of clips from the cache, kept in memory for the clips in hand only."""

    def __init__(self, plan: Plan) -> None:
        self._cache, self._plan = FeatureCache(plan.cache), plan

    def __call__(self, clip: ExtractedClip) -> Lookup:
        held: dict[str, Arrays] = {}

        def look(feature: str) -> Arrays:
            if feature not in held:
                held[feature] = self._read(clip.digest, feature)
            return held[feature]

        return look

    def words(self, prompt: str) -> Lookup:
        """Features of a prompt."""
        return lambda feature: self._read(text_digest(prompt), feature)

    def _read(self, digest: str | None, feature: str) -> Arrays:
        assert digest is not None
        kept = self._cache.get(digest, self._plan.keys[feature])
        if kept is None:
            raise AbsentError("its features left the cache meanwhile; run again")
        arrays, problem = kept
        if problem is not None:
            raise AbsentError(problem)
        return arrays


def measure(
    metrics: Sequence[Metric],
    generated: Sequence[ExtractedClip],
    real: Sequence[ExtractedClip],
    prompts: Mapping[str, Prompt],
    plan: Plan,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Measured]:
    """Every metric over the scored clips of both sides."""
    report = progress or (lambda stage, done, total: None)
    with one_thread():
        mine, theirs, shuffled = _tallies(metrics, generated, real, prompts, Reader(plan), seed, report)
    found = {}
    for done, metric in enumerate(metrics):
        report("comparing", done, len(metrics))
        tallies = mine[metric.name], theirs[metric.name], shuffled[metric.name]
        found[metric.name] = (_set_value if isinstance(metric.measures, Distance) else _clip_value)(
            metric, *tallies, seed
        )
    report("comparing", len(metrics), len(metrics))
    return found


def _tallies(
    metrics: Sequence[Metric],
    generated: Sequence[ExtractedClip],
    real: Sequence[ExtractedClip],
    prompts: Mapping[str, Prompt],
    read: Reader,
    seed: int,
    report: Progress,
) -> tuple[dict[str, Tally], ...]:
    """What each clip adds to each metric, by its name: generated, real, and generated with another clip's sound."""
    mine, theirs, shuffled = ({m.name: Tally(median=m.median, bounds=_bounds(m)) for m in metrics} for _ in range(3))
    partner = {clip.name: clip for clip in real}
    swapped = _shuffled(generated, seed)
    total = len(generated) + len(real)
    for done, clip in enumerate(generated):
        report("scoring", done, total)
        own = read(clip)
        truth = read(partner[clip.name]) if clip.name in partner else None
        sample = _sample(own, truth, prompts.get(clip.name), read)
        other = read(swapped[clip.name]) if clip.name in swapped else None
        for metric in metrics:
            _add(mine[metric.name], metric, clip, sample)
            if metric.has_shuffled_control and other is not None:
                _add(shuffled[metric.name], metric, clip, sample.with_audio(other))
    for done, clip in enumerate(real):
        report("scoring", len(generated) + done, total)
        sample = _sample(read(clip), None, prompts.get(clip.name), read)
        for metric in metrics:
            if isinstance(metric.measures, Distance) or "reference" not in metric.needs:
                _add(theirs[metric.name], metric, clip, sample)
    return mine, theirs, shuffled


def _sample(own: Lookup, truth: Lookup | None, prompt: Prompt | None, read: Reader) -> Sample:
    if prompt is None:
        return Sample(own, own, truth)
    return Sample(
        own, own, truth, prompt.text, read.words(prompt.text), targets=prompt.targets, text_features=read.words
    )


def _bounds(metric: Metric) -> tuple[float, float] | None:
    """Least and greatest value of a clip, where a metric's range is that of a share."""
    return (0.0, 1.0) if metric.range == "0 … 1" else None


def _shuffled(clips: Sequence[ExtractedClip], seed: int) -> dict[str, ExtractedClip]:
    """The shuffled control: for each clip another one, whose sound it is scored with, by one random cycle of all."""
    if len(clips) < 2:
        return {}
    ring = np.random.default_rng(seed).permutation(len(clips))
    pairs = {clips[a].name: clips[b] for a, b in zip(ring, np.roll(ring, 1), strict=True)}
    return dict(list(pairs.items())[:CONTROLS])


def _add(tally: Tally, metric: Metric, clip: ExtractedClip, sample: Sample) -> None:
    try:
        if isinstance(metric.measures, Distance):
            rows = metric.measures.rows(sample.picture(metric.features[0]))
            if not len(rows):
                raise AbsentError("it is too short for this network")
            tally.rows.add(clip.digest or "", rows)
            tally.shares[clip.name] = (float(len(rows)), 1.0)
        else:
            top, bottom = metric.measures(sample)
            if bottom > 0:
                tally.shares[clip.name] = (top, bottom)
    except AbsentError as reason:
        tally.absent.setdefault(str(reason), []).append(clip.name)


def _clip_value(metric: Metric, mine: Tally, theirs: Tally, shuffled: Tally, seed: int) -> Measured:
    interval = mine.interval()
    return Measured(
        mine.value,
        interval.low if interval else None,
        interval.high if interval else None,
        len(mine.shares),
        theirs.value,
        shuffled.value,
        mine.value if metric.median else None,
        mine.known,
        theirs.known,
        shuffled.known,
        {name: top / bottom for name, (top, bottom) in mine.shares.items()},
        {name: top / bottom for name, (top, bottom) in theirs.shares.items()},
        mine.absent,
    )


def _lacking(mine: Tally, theirs: Tally, kind: str) -> str | None:
    """Why a distance cannot be measured, where that is what most clips of a side lack and not how few they are."""
    sides = {"generated": mine} if kind == "inception" else {"generated": mine, "reference": theirs}
    for name, tally in sides.items():
        without = sum(map(len, tally.absent.values()))
        if len(tally.shares) < 2 <= len(tally.shares) + without:
            reason = max(tally.absent, key=lambda reason: len(tally.absent[reason]))
            return f"of {len(tally.shares) + without} {name} clips {without} cannot be measured: {reason}"
    return None


def _set_value(metric: Metric, mine: Tally, theirs: Tally, shuffled: Tally, seed: int) -> Measured:
    assert isinstance(metric.measures, Distance)
    kind = metric.measures.kind
    if (lacking := _lacking(mine, theirs, kind)) is not None:
        return Measured(n=len(mine.shares), absent=mine.absent, notes=(lacking,))
    try:
        found = (
            inception_estimate(mine.rows, seed) if kind == "inception" else distance(kind, mine.rows, theirs.rows, seed)
        )
    except ValueError as error:
        return Measured(n=len(mine.shares), absent=mine.absent, notes=(str(error),))
    try:
        floor = (
            inception_estimate(theirs.rows, seed).interval.value
            if kind == "inception"
            else halves(kind, theirs.rows, seed)
        )
    except ValueError:
        floor = None
    limits = found.interval
    notes = found.notes
    return Measured(
        limits.value, limits.low, limits.high, len(mine.shares), floor, None, absent=mine.absent, notes=notes
    )
