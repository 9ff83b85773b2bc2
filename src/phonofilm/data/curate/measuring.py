"""Steps over shots, in many processes, each shot kept as soon as it is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonofilm.data.curate import shots as shot_finding
from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.records import Shot, Skipped, Source
from phonofilm.data.curate.common.results import Entry, Results, read_json, write_json
from phonofilm.data.curate.common.step import Step, Value, keys_of, plain
from phonofilm.data.curate.common.work import Outcome, run_all
from phonofilm.data.curate.registry import STEPS
from phonofilm.errors import PhonofilmError
from phonofilm.workers import one_thread

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ShotTask:
    """The shots of a film are to be found."""

    path: Path
    digest: str
    longest: float


@dataclass(frozen=True)
class StepTask:
    """Steps are to be run over one shot; `known` are results of others that they need."""

    path: Path
    shot: Shot
    names: tuple[str, ...]
    known: Mapping[str, Value]
    settings: Mapping[str, str]


def find_all_shots(
    sources: Sequence[Source], folder: Path, longest: float, workers: int, progress: Progress
) -> tuple[dict[str, list[Shot]], list[Skipped]]:
    """Shots of each source by digest, and films of which they cannot be found."""
    found: dict[str, list[Shot]] = {}
    todo: list[Source] = []
    for source in sources:
        kept = kept_shots(folder, source.digest, longest)
        if kept is None:
            todo.append(source)
        else:
            found[source.digest] = kept
    skipped: dict[str, Skipped] = {}
    tasks = [ShotTask(source.path, source.digest, longest) for source in todo]
    progress("shots", 0, len(tasks))
    for done, (number, outcome) in enumerate(run_all(_find, tasks, workers), 1):
        source = todo[number]
        if outcome.error is not None:
            skipped[source.digest] = Skipped(source.name, outcome.error)
        else:
            found[source.digest] = outcome.value
            shots = [shot.to_json() for shot in outcome.value]
            write_json(folder / f"{source.digest}.json", {"made": _made(longest), "shots": shots})
        progress("shots", done, len(tasks))
    in_order = [skipped[source.digest] for source in sources if source.digest in skipped]
    return {source.digest: found[source.digest] for source in sources if source.digest in found}, in_order


def kept_shots(folder: Path, digest: str, longest: float) -> list[Shot] | None:
    """The shots of a source that were found before; None where they must be looked for."""
    kept = read_json(folder / f"{digest}.json")
    if not isinstance(kept, dict) or kept.get("made") != _made(longest):
        return None
    return [Shot.from_json(shot) for shot in kept["shots"]]


def _made(longest: float) -> dict[str, Any]:
    return {"version": shot_finding.VERSION, "by": shot_finding.made_by(), "longest": longest}


def _find(task: ShotTask) -> list[Shot]:
    with one_thread():
        return shot_finding.find_shots(task.path, task.digest, task.longest)


def measure_all(
    steps: Sequence[Step],
    shots: Sequence[tuple[Source, Shot]],
    results: Results,
    workers: int,
    progress: Progress,
    stage: str,
    settings: Mapping[str, str],
) -> tuple[dict[str, dict[str, Value]], list[Skipped], dict[str, float]]:
    """Results of steps (in order, with all that they need) by shot; shots that cannot be read; seconds by step.

    Only what is not kept under its present key is worked out, and it is kept shot by shot.
    """
    found: dict[str, dict[str, Value]] = {}
    tasks: list[StepTask] = []
    where: list[tuple[Source, Shot, dict[str, str]]] = []
    for source, shot in shots:
        keys = keys_of(steps, shot, settings)
        known = results.fresh(shot, keys)
        found[shot.key] = dict(known)
        names = tuple(step.name for step in steps if step.name not in known)
        if names:
            tasks.append(StepTask(source.path, shot, names, known, settings))
            where.append((source, shot, keys))
    skipped: dict[str, Skipped] = {}
    cost: dict[str, float] = {}
    progress(stage, 0, len(tasks))
    for done, (number, outcome) in enumerate(run_all(_measure, tasks, workers), 1):
        source, shot, keys = where[number]
        error = _take(outcome, shot, keys, results, found, cost)
        if error is not None:
            skipped[shot.key] = Skipped(f"{source.name} at {float(shot.start):.2f} s", error)
            del found[shot.key]
        progress(stage, done, len(tasks))
    return found, [skipped[shot.key] for _, shot in shots if shot.key in skipped], cost


def _take(
    outcome: Outcome,
    shot: Shot,
    keys: Mapping[str, str],
    results: Results,
    found: dict[str, dict[str, Value]],
    cost: dict[str, float],
) -> str | None:
    """Keep what a shot's steps found; returns why they found nothing, if so."""
    if outcome.error is not None:
        return outcome.error
    values, seconds = outcome.value
    entries = {name: Entry(keys[name], value, round(seconds[name], 4)) for name, value in values.items()}
    results.add(shot, entries)
    found[shot.key] |= values
    for name, spent in seconds.items():
        cost[name] = cost.get(name, 0.0) + spent
    return None


def _measure(task: StepTask) -> tuple[dict[str, Value], dict[str, float]]:
    with one_thread():
        return run_steps(
            [step for step in STEPS if step.name in task.names],
            Material(task.path, task.shot, task.settings),
            task.known,
        )


def run_steps(
    steps: Sequence[Step], material: Material, known: Mapping[str, Value]
) -> tuple[dict[str, Value], dict[str, float]]:
    """Values and seconds of steps of one shot. Decoding counts as a step "decode" of its own.

    Raises:
        PhonofilmError: the shot cannot be decoded, or a step fails, which is then named.
    """
    began = time.perf_counter()
    material.window  # noqa: B018
    seconds = {"decode": time.perf_counter() - began}
    values: dict[str, Value] = {}
    for step in steps:
        began = time.perf_counter()
        try:
            values[step.name] = plain(step.run(material, {**known, **values}))
        except PhonofilmError:
            raise
        except Exception as error:
            said = " ".join(str(error).split())[:200]
            raise PhonofilmError(f"step {step.name} failed: {type(error).__name__}: {said}") from error
        seconds[step.name] = time.perf_counter() - began
    return values, seconds
