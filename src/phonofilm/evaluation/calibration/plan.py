"""What a calibration consists of, and getting it done: unit by unit, in worker processes, resumable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

from phonofilm.checkpoint import file_sha256
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.calibration.perturbations import KNOBS, MUST, Knob
from phonofilm.evaluation.calibration.responses import DELAY, PROBES, SLOW, SLOW_EVERY, Unit, asked, cut_up, run
from phonofilm.evaluation.calibration.sources import Source, of_world
from phonofilm.evaluation.suite.registry import CORE_FEATURES, METRICS
from phonofilm.types import Progress
from phonofilm.workers import Workers

FAMILIES = ("bounce", "strike")
ALWAYS = ("insertion", "blur", "grain", "flicker", "stutter", "intruders", "voice")
"""Knobs that are turned for slow metrics on every source they have."""

OWNERS = {
    "offset, signed": "offset",
    "lip offset, signed": "lip offset[face-mesh]",
    "drift, signed": "drift",
    "pan, located": "pan error",
}
"""The metric that each probe looks behind."""

HEAVY = ("disturbed", "fragments", "audio speed", "video speed")
"""Knobs that are turned for a third of the stretches of a real film: each of their levels is a picture of its own, or
a search over speeds.
"""

FACES = {"faces", "face-boxes"}
"""Features that look for faces, which talking scenes alone have."""

SPEAKERS = 5
"""Talking scenes of a full run: what they show is reported, and nothing is required of them."""


@dataclass(frozen=True)
class Settings:
    """How to calibrate.

    Attributes:
        metrics: names of those to ask. seeds: reels of Foley World. quick: fewer levels, and knobs that are cheap.
        films: files of real film; seconds: how much of each, None for all. cache: where results are kept.
        workers: processes.
    """

    metrics: tuple[str, ...]
    seeds: int = 20
    quick: bool = False
    films: tuple[Path, ...] = ()
    seconds: float | None = None
    cache: Path = Path()
    workers: int = 1


def units(settings: Settings, progress: Progress) -> list[Unit]:
    """Every unit of a calibration; files are decoded on the way, where they have not been before.

    Raises:
        PhonofilmError: a film that cannot be read or is too short.
    """
    found: list[Unit] = []
    for source in of_world(FAMILIES, settings.seeds):
        found += _turned(settings, source, "", "world")
    if not settings.quick and "talk" in _families():
        for seed in range(SPEAKERS):
            found += _turned(settings, Source("talk", seed), "", "talk")
    for index, path in enumerate(settings.films):
        progress("decoding", index, len(settings.films))
        stamp = file_sha256(path)
        sources = cut_up(path, stamp, settings.seconds, settings.cache)
        if not sources:
            raise PhonofilmError(f"{path.name} is too short: a film to calibrate with lasts 20 s, or 6 s of talk")
        for source in sources:
            found += _turned(settings, source, stamp, "talk" if source.short else "film")
    return found


def _families() -> tuple[str, ...]:
    from phonofilm import world

    return world.FAMILIES


def _turned(settings: Settings, source: Source, stamp: str, kind: str) -> Iterator[Unit]:
    for knob in KNOBS:
        levels = knob.quick if settings.quick else knob.levels
        if kind not in knob.kinds or not levels or source.seed // 2 % knob.every:
            continue
        if kind == "film" and knob.name in HEAVY and source.seed % 3:
            continue
        slow = not settings.quick and source.seed // 2 % SLOW_EVERY == 0
        names = names_of(knob, settings.metrics, slow, faces=kind == "talk")
        if names:
            yield Unit(knob.name, source, stamp, levels, names, settings.cache)


def names_of(knob: Knob, metrics: Sequence[str], slow: bool, faces: bool = False) -> tuple[str, ...]:
    """What a knob is turned for: its probes where their metric is wanted, and metrics; faces are looked for in talk."""
    chosen = [metric for metric in asked(knob, metrics) if faces or not FACES & set(metric.features)]
    chosen = [
        metric
        for metric in chosen
        if slow or not takes_long(metric.name) or knob.name in (*ALWAYS, *MUST.get(metric.name, ()))
    ]
    probes = [name for name in knob.asks if name in PROBES and OWNERS[name] in metrics]
    probes = [name for name in probes if faces or not FACES & set(PROBES[name][0])]
    probes += ["offset, confidence"] if "offset, signed" in probes else []
    delay = [DELAY] if DELAY in knob.asks and "offset" in metrics else []
    return tuple(probes + delay + [metric.name for metric in chosen])


def takes_long(name: str) -> bool:
    metric = next(metric for metric in METRICS if metric.name == name)
    return name in SLOW or not set(metric.features) <= CORE_FEATURES


def carry_out(work: Sequence[Unit], workers: int, progress: Progress) -> None:
    """Run every unit; what was done before is in the cache and takes no time."""
    work = [unit for unit in work if any(unit.done(name) is None for name in unit.names)]
    progress("turning knobs", 0, len(work))
    if workers <= 1:
        for done, unit in enumerate(work, 1):
            run(unit)
            progress("turning knobs", done, len(work))
        return
    with Workers(workers, "spawn") as pool:
        groups: dict[Source, list[Unit]] = {}
        for unit in work:
            groups.setdefault(unit.source, []).append(unit)  # one source, one process: its picture is known there
        running = {pool.submit(_run_all, tuple(group)): len(group) for group in groups.values()}
        done = 0
        for future in as_completed(running):
            future.result()
            done += running[future]
            progress("turning knobs", done, len(work))


def _run_all(group: tuple[Unit, ...]) -> None:
    for unit in group:
        run(unit)
