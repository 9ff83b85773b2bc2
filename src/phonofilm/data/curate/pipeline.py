"""The whole way: films, shots, cheap steps, duplicates, costly steps, verdicts, splits, shards."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from phonofilm.data.curate.common.records import Rights, Shot, Skipped, Source
from phonofilm.data.curate.common.results import Results, write_json
from phonofilm.data.curate.common.step import Step, Value, keys_of
from phonofilm.data.curate.duplicates import Same, find_duplicates
from phonofilm.data.curate.likenesses import Like, find_like
from phonofilm.data.curate.measuring import Progress, find_all_shots, kept_shots, measure_all
from phonofilm.data.curate.output.card import write_card
from phonofilm.data.curate.output.record import COLUMNS, record_of
from phonofilm.data.curate.output.shards import Clip, write_index, write_shards
from phonofilm.data.curate.registry import chosen_steps
from phonofilm.data.curate.review import decisions
from phonofilm.data.curate.rules import DROP, Finding, Rules, does
from phonofilm.data.curate.sources import find_films, identify
from phonofilm.data.curate.splits import split_sources
from phonofilm.data.curate.versions import note_version, removed_sources

WORK = ".work"
"""Folder inside a set in which results are kept."""


@dataclass(frozen=True)
class Job:
    """What is asked for.

    Attributes:
        given: films and folders. output: the folder of the set. against: films of a test set, kept out of this one.
        sample: how many shots, drawn at random with `seed`, or None for all. without: steps that are left out.
        workers: processes; 0 works in this one. settings: of steps, by name, such as "captioner".
    """

    given: tuple[Path, ...]
    output: Path
    rules: Rules
    rights: Rights = field(default_factory=Rights)
    against: tuple[Path, ...] = ()
    sample: int | None = None
    seed: int = 0
    without: tuple[str, ...] = ()
    longest: float = 20.0
    shares: Mapping[str, float] = field(default_factory=lambda: {"validation": 0.05, "test": 0.05})
    workers: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What became of a shot, and why. `does` is "keep", "aside" or "drop"."""

    source: Source
    shot: Shot
    results: Mapping[str, Value]
    findings: tuple[Finding, ...]
    does: str


@dataclass(frozen=True)
class Funnel:
    """Everything that a run found.

    Attributes:
        skipped: films and shots that cannot be read. absent: steps that did not run, and why.
        cost: seconds of each step in this run.
        originals: of what a duplicate is a copy.
    """

    sources: tuple[Source, ...]
    verdicts: tuple[Verdict, ...]
    skipped: tuple[Skipped, ...]
    absent: Mapping[str, str]
    cost: Mapping[str, float]
    originals: Mapping[str, Same]
    splits: Mapping[str, str]

    @property
    def kept(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.does == "keep"]

    def reasons(self) -> dict[str, int]:
        """How many shots have each reason."""
        counts: dict[str, int] = {}
        for verdict in self.verdicts:
            for finding in verdict.findings:
                counts[finding.reason] = counts.get(finding.reason, 0) + 1
        return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))


@dataclass(frozen=True)
class Forecast:
    """What a run would have to do: films and shots, and for each step how many results are missing."""

    sources: int
    without_shots: int
    shots: int
    missing: Mapping[str, int]
    skipped: tuple[Skipped, ...]
    absent: Mapping[str, str]


def forecast(job: Job, progress: Progress) -> Forecast:
    """What a run would do, decoding nothing. Only what films are is remembered.

    Raises:
        PhonofilmError: as `curate`.
    """
    steps, absent = _steps(job)
    work = job.output / WORK
    sources, skipped = _sources(job, progress)
    kept = {source.digest: kept_shots(work / "shots", source.digest, job.longest) for source in sources}
    known = {digest: shots for digest, shots in kept.items() if shots is not None}
    missing = dict.fromkeys((step.name for step in steps), 0)
    results = Results(work / "results")
    for shots in known.values():
        for shot in shots:
            keys = keys_of(steps, shot, job.settings)
            fresh = results.fresh(shot, keys)
            for name in keys:
                missing[name] += name not in fresh
    count = sum(map(len, known.values()))
    return Forecast(len(sources), len(sources) - len(known), count, missing, tuple(skipped), absent)


def curate(job: Job, progress: Progress) -> Funnel:
    """Measure and judge all shots. Everything that was measured before, by this or another run, is taken from disk.

    Raises:
        PhonofilmError: nothing to work on, or a folder that cannot be written. A film that cannot be read is listed.
    """
    steps, absent = _steps(job)
    work = job.output / WORK
    sources, skipped = _sources(job, progress)
    found, unread = find_all_shots(sources, work / "shots", job.longest, job.workers, progress)
    shots = [(source, shot) for source in sources for shot in found.get(source.digest, [])]
    shots = _sampled(shots, job.sample, job.seed)
    results = Results(work / "results")
    cheap = tuple(step for step in steps if not step.costly)
    measured, damaged, cost = measure_all(cheap, shots, results, job.workers, progress, "cheap steps", job.settings)
    originals = find_duplicates(_results_of("hashes", measured, shots))
    leaked, like = _leaked(job, measured, shots, cheap, progress) if job.against else ({}, {})
    _mark(measured, shots, originals, leaked, like, decisions(job.output))
    left = [(source, shot) for source, shot in shots if _stays(job.rules, measured.get(shot.key))]
    more, damaged_too, cost_too = measure_all(steps, left, results, job.workers, progress, "costly steps", job.settings)
    for key, values in more.items():
        measured[key] = {**measured[key], **values}
    for shot in (shot for _, shot in left if shot.key not in more):
        measured.pop(shot.key)
    verdicts = [_judged(job.rules, source, shot, measured[shot.key]) for source, shot in shots if shot.key in measured]
    linked = [(key, same.original) for key, same in originals.items()]
    owner = {shot.key: source.digest for source, shot in shots}
    splits = split_sources(
        (source.digest for source in sources), [(owner[one], owner[two]) for one, two in linked], job.shares
    )
    total = {name: cost.get(name, 0.0) + cost_too.get(name, 0.0) for name in {**cost, **cost_too}}
    everything = (*skipped, *unread, *damaged, *damaged_too)
    return Funnel(tuple(sources), tuple(verdicts), everything, absent, total, originals, splits)


def write_set(job: Job, funnel: Funnel, progress: Progress) -> tuple[int, list[Skipped]]:
    """Write shards, index and funnel of a set; returns how many clips it has, and those that could not be copied."""
    clips = [Clip(one.source, one.shot, funnel.splits[one.source.digest], _record(one, funnel)) for one in funnel.kept]
    clips.sort(key=lambda clip: clip.split)  # stable: in the order of films within a split
    rows, lost = write_shards(
        clips, job.output, job.output / WORK / "shards.json", job.workers, lambda d, t: progress("shards", d, t)
    )
    write_index(job.output / "index.parquet", rows, COLUMNS)
    write_card(job.output, rows, note_version(job.output, rows))
    write_json(job.output / "funnel.json", summary(funnel, len(rows)))
    return len(rows), lost


def summary(funnel: Funnel, written: int) -> dict[str, object]:
    """The funnel in numbers."""
    counts = {name: sum(one.does == name for one in funnel.verdicts) for name in ("keep", "aside", DROP)}
    seconds = {name: round(sum(one.shot.seconds for one in funnel.verdicts if one.does == name), 2) for name in counts}
    return {
        "films": len(funnel.sources), "shots": len(funnel.verdicts), "clips": written,
        "counts": counts, "seconds": seconds, "reasons": funnel.reasons(),
        "skipped": [vars(one) for one in funnel.skipped], "absent": dict(funnel.absent),
        "duplicates": {key: vars(same) | {"sound": None if same.sound != same.sound else same.sound}
                       for key, same in funnel.originals.items()},
    }  # fmt: skip


def _sources(job: Job, progress: Progress) -> tuple[list[Source], list[Skipped]]:
    """Films by content, without those that were taken out of the set for good."""
    memory, out = job.output / WORK / "films.json", removed_sources(job.output)
    found, skipped = identify(
        find_films(job.given), memory, job.rights, lambda done, total: progress("films", done, total)
    )
    gone = [Skipped(source.name, "it was taken out of this set") for source in found if source.digest in out]
    return [source for source in found if source.digest not in out], [*skipped, *gone]


def _record(one: Verdict, funnel: Funnel) -> dict[str, object]:
    reasons = [finding.reason for finding in one.findings]
    return record_of(one.source, one.shot, one.results, reasons, funnel.splits[one.source.digest])


def _sampled(shots: list[tuple[Source, Shot]], count: int | None, seed: int) -> list[tuple[Source, Shot]]:
    if count is None or count >= len(shots):
        return shots
    return [shots[place] for place in sorted(random.Random(seed).sample(range(len(shots)), count))]


def _results_of(
    name: str, measured: Mapping[str, Mapping[str, Value]], shots: Iterable[tuple[Source, Shot]]
) -> dict[str, Value]:
    """The results of one step, by shot, where it ran."""
    return {shot.key: measured[shot.key][name] for _, shot in shots if name in measured.get(shot.key, {})}


def _steps(job: Job) -> tuple[tuple[Step, ...], dict[str, str]]:
    """Steps of a job; likeness is only looked at where there is a test set to be unlike."""
    steps, absent = chosen_steps(job.without if job.against else (*job.without, "likeness"))
    if not job.against and "likeness" not in job.without:
        absent["likeness"] = "there is no test set (--against)"
    return steps, absent


def _leaked(
    job: Job,
    measured: Mapping[str, Mapping[str, Value]],
    shots: Sequence[tuple[Source, Shot]],
    steps: Sequence[Step],
    progress: Progress,
) -> tuple[dict[str, Same], dict[str, Like]]:
    """Shots that are also in the test set, and how like it every shot is to networks."""
    work = job.output / WORK
    films, _ = identify(find_films(job.against), work / "against.json", Rights(), lambda done, total: None)
    theirs, _ = find_all_shots(films, work / "shots", job.longest, job.workers, progress)
    tests = [(film, shot) for film in films for shot in theirs.get(film.digest, [])]
    known, _, _ = measure_all(steps, tests, Results(work / "results"), job.workers, progress, "test set", job.settings)
    same_file = {film.digest for film in films}
    found = find_duplicates(_results_of("hashes", measured, shots), _results_of("hashes", known, tests))
    exact = {shot.key: Same(shot.key, 0.0, 0.0) for source, shot in shots if source.digest in same_file}
    ours, tests_like = (_results_of("likeness", *some) for some in ((measured, shots), (known, tests)))
    return {**found, **exact}, find_like(ours, tests_like)


def _mark(
    measured: dict[str, dict[str, Value]],
    shots: Iterable[tuple[Source, Shot]],
    originals: Mapping[str, Same],
    leaked: Mapping[str, Same],
    like: Mapping[str, Like],
    decided: Mapping[str, str],
) -> None:
    """Add to each shot what is known from looking at all of them, and what was decided by hand."""
    for _, shot in shots:
        if (values := measured.get(shot.key)) is None:
            continue
        same = originals.get(shot.key)
        values["shot"] = {"seconds": shot.seconds}
        values["duplicates"] = {"alike": float(same is not None), "of": same.original if same else ""}
        nearest = like.get(shot.key)
        values["against"] = {"alike": float(shot.key in leaked), "likeness": nearest.likeness if nearest else None,
                             "like": nearest.original if nearest else ""}  # fmt: skip
        decision = decided.get(shot.key, "")
        values["review"] = {"dropped": float(decision == DROP), "decision": decision}


def _stays(rules: Rules, values: Mapping[str, Value] | None) -> bool:
    return values is not None and _does(rules.findings(values), values) != DROP


def _judged(rules: Rules, source: Source, shot: Shot, values: Mapping[str, Value]) -> Verdict:
    findings = rules.findings(values)
    return Verdict(source, shot, values, findings, _does(findings, values))


def _does(findings: Sequence[Finding], values: Mapping[str, Value]) -> str:
    """A decision by hand stands above all thresholds, but not above a set that is kept for tests."""
    leaked = any(finding.reason == "test set" and finding.does == DROP for finding in findings)
    if values.get("review", {}).get("decision") == "keep" and not leaked:
        return "keep"
    return does(findings)
