"""Measures a model with stems on held-out scenes of all six families, edition 2 of Foley World.

    python -m phonofilm.app.experiments.results --model checkpoints/nano_128 [--clips 64 --families bounce,talk \
        --tasks generate,foley,animate --steps 24 -o docs]

First every clip is made and written with its stems (some 4 MB each), then every clip is scored from its file. Both are
kept by clip, so a stopped run goes on, and one with more clips or families adds to one with fewer. What is kept is for
these very weights, world and scorers; other ones begin anew.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm import world
from phonofilm.app.experiments.rows import Row, append_row, read_rows
from phonofilm.backends.native import NativeBackend
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.foley_world.edition2.against import onset_f1, sight_f1
from phonofilm.evaluation.foley_world.edition2.asked import Asked
from phonofilm.evaluation.foley_world.edition2.score import Heard, Seen, measures, summarise
from phonofilm.media import read_clip, write_clip
from phonofilm.media.sound.stems import read_stems
from phonofilm.types import Clip, Request
from phonofilm.weights import digest, locate
from phonofilm.workers import Workers
from phonofilm.world.common.scene import Truth

HELD_OUT = 91_000_000
"""First seed of the scenes: no training, no threshold of a scorer and no setting was chosen on those from here on."""
SECONDS = 4.0
TASKS = ("generate", "foley", "animate")
CONTROLLED = ("sync", "material", "pitch", "pan_sign")
SHUFFLED = {"truth": CONTROLLED, "generate": CONTROLLED, "foley": CONTROLLED, "animate": ("sync",)}
"""By task the measures that stand beside what chance gives, besides those that compare with the true clip."""
TOGETHER = 8
"""Clips that one process scores in a row: the one before is then known."""
EVERY = 10.0
"""Seconds between two lines of progress."""

Look = tuple[Seen, Heard]


@dataclass(frozen=True, order=True)
class Scene:
    """One clip of one task; the task "truth" is the true clip itself."""

    task: str
    family: str
    number: int

    def path(self, work: Path) -> Path:
        return work / self.task / self.family / f"{self.number:04d}.mkv"

    @property
    def truth(self) -> Truth:
        return world.sample(self.family, HELD_OUT + self.number, SECONDS, edition=2)

    @property
    def seed(self) -> int:
        """Its own noise for each clip, or a shuffled control would not be one."""
        return 1000 + self.number


def run(
    model: str,
    clips: int,
    work: Path,
    say: Callable[[str], None],
    families: Sequence[str] = (),
    tasks: Sequence[str] = TASKS,
    steps: int | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Make and score what is missing, and sum up; see `scene_results_report` for what comes of it.

    Raises:
        PhonofilmError: a family or a task that there is not, too few clips, or a model that is not here.
    """
    families = families or world.FAMILIES
    for name, known, asked in (("family", world.FAMILIES, families), ("task", TASKS, tasks)):
        if unknown := set(asked) - set(known):
            raise PhonofilmError(f"there is no {name} {min(unknown)!r}; choose from {', '.join(known)}")
    if clips < 1:
        raise PhonofilmError(f"{clips} clips a family are too few; choose --clips 1 or more")
    weights, scorers = digest(locate(model)), sources(*SCORERS)
    kept = work / f"{weights[:12]}-{sources('phonofilm.world')}{f'-{steps}-steps' if steps else ''}"
    scenes = [
        Scene(task, family, number) for number in range(clips) for task in ("truth", *tasks) for family in families
    ]
    _made(model, steps, kept, scenes, say, workers)
    rows = _scored(kept, kept / f"scores-{scorers}.jsonl", scenes, say, workers)
    return {
        "model": Path(model).name,
        "weights": weights,
        "edition": 2,
        "first_seed": HELD_OUT,
        "clips": clips,
        "steps": steps,
        "scorers": scorers,
        "seconds_a_clip": _median_seconds(kept / "made.jsonl"),
        "scores": {
            task: {
                family: summed(rows, [Scene(task, family, number) for number in range(clips)]) for family in families
            }
            for task in ("truth", *tasks)
        },
    }


SCORERS = ("phonofilm.evaluation.foley_world", "phonofilm.signals.onsets")


def sources(*names: str) -> str:
    """Eight digits that name the code of some packages and modules."""
    found = hashlib.sha256()
    for name in names:
        file = Path(str(import_module(name).__file__))
        files = sorted(file.parent.rglob("*.py")) if file.stem == "__init__" else [file]
        for one in files:
            found.update(one.relative_to(file.parent).as_posix().encode() + one.read_bytes())
    return found.hexdigest()[:8]


def _made(
    model: str, steps: int | None, work: Path, scenes: Sequence[Scene], say: Callable[[str], None], workers: int
) -> None:
    """Write every clip that is not there, the true ones first: they are the sources of others."""
    for true in (True, False):
        todo = [scene for scene in scenes if (scene.task == "truth") == true and not scene.path(work).exists()]
        jobs = [(model, steps, work, scene) for scene in todo]
        for made in _told(_each(make, jobs, workers), len(jobs), "drawn" if true else "made", say):
            append_row(work / "made.jsonl", made)


def make(job: tuple[str, int | None, Path, Scene]) -> Row:
    """One clip, written; how long it took to make."""
    model, steps, work, scene = job
    truth, path = scene.truth, scene.path(work)
    started = time.perf_counter()
    if scene.task == "truth":
        clip = world.clips([truth], 128, 24, 24_000)[0]
    else:
        given = None if scene.task == "generate" else read(Scene("truth", scene.family, scene.number).path(work))
        request = Request(
            truth.caption,
            task=scene.task,  # type: ignore[arg-type]
            seconds=SECONDS if given is None else None,
            seed=scene.seed,
            source=given,
            steps=steps,
        )
        backend = _loaded(model)
        started = time.perf_counter()
        clip = backend.generate(request)
    seconds = time.perf_counter() - started
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(clip, path, stem_tracks=bool(clip.stems))
    return {"task": scene.task, "family": scene.family, "number": scene.number, "seconds": round(seconds, 2)}


@lru_cache(1)
def _loaded(model: str) -> NativeBackend:
    return NativeBackend.load(model)


def read(path: Path) -> Clip:
    """A clip with its stems."""
    clip = read_clip(path)
    return clip if clip.waveform is None else clip.with_(stems=read_stems(path, clip.waveform.shape))


def _scored(
    work: Path, kept: Path, scenes: Sequence[Scene], say: Callable[[str], None], workers: int
) -> dict[Scene, Row]:
    """The row of every clip, appended to the file `kept` as it is scored; those that are there are not scored again."""
    rows = {Scene(row["task"], row["family"], row["number"]): row for row in read_rows(kept)}
    todo = [(work, scene) for scene in sorted(set(scenes) - set(rows))]
    for row in _told(_each(score, todo, workers, TOGETHER), len(todo), "scored", say):
        rows[Scene(row["task"], row["family"], row["number"])] = row
        append_row(kept, row)
    return rows


def score(job: tuple[Path, Scene]) -> Row:
    """A clip's measures (`scores`), and their control: the same with what the clip before it has (`shuffled`)."""
    work, scene = job
    row: Row = {"task": scene.task, "family": scene.family, "number": scene.number, "shuffled": {}}
    row["scores"] = _measured(work, scene, scene, scene)
    if scene.number:
        before = replace(scene, number=scene.number - 1)
        controls = [_exchanged(work, scene, before), _exchanged(work, before, scene)]
        for name in sorted({name for found in controls for name in found}):
            row["shuffled"][name] = float(np.mean([found[name] for found in controls if name in found]))
    return row


def _exchanged(work: Path, scene: Scene, other: Scene) -> dict[str, float]:
    """What a scene would score with the sound of another one; with its picture where pictures were made."""
    parts = (other, scene) if scene.task == "animate" else (scene, other)
    return _measured(work, scene, *parts, SHUFFLED[scene.task])


def _measured(
    work: Path, scene: Scene, picture: Scene, sound: Scene, only: Sequence[str] | None = None
) -> dict[str, float]:
    """Measures of one clip's picture and another one's sound, by what a scene asks for."""
    seen, heard, asked = _look(picture.path(work))[0], _look(sound.path(work))[1], Asked.of(scene.truth)
    found: dict[str, float | None] = {**measures(seen, heard, asked, only)}
    if scene.task in ("foley", "animate"):
        true_seen, true_heard = _look(replace(scene, task="truth").path(work))
        if scene.task == "foley":
            found["onset_f1"] = onset_f1(heard, true_heard, asked)
        else:
            found["sight_f1"] = sight_f1(seen, true_seen, asked)
    return {name: value for name, value in found.items() if value is not None}


@lru_cache(6)
def _look(path: Path) -> Look:
    """A written clip; what is looked for in it is looked for once."""
    clip = read(path)
    return Seen(clip.picture.frames, float(clip.picture.fps)), Heard.of(clip)


def summed(rows: Mapping[Scene, Row], scenes: Sequence[Scene]) -> dict[str, dict[str, Any]]:
    """By measure its mean over some clips, with a 95 % interval and their number, and its control's."""
    there = [rows[scene] for scene in scenes]
    found: dict[str, dict[str, Any]] = {
        name: value.as_dict() for name, value in summarise([row["scores"] for row in there]).items()
    }
    for name, chance in summarise([row["shuffled"] for row in there]).items():
        if name in found:
            found[name]["shuffled"] = chance.as_dict()
    return found


def _each(function: Callable[[Any], Row], jobs: Sequence[Any], workers: int, chunk: int = 1) -> Iterator[Row]:
    """The results in the order of the jobs, as they come."""
    if workers == 1 or len(jobs) < 2:
        yield from map(function, jobs)
        return
    with Workers(workers) as pool:
        yield from pool.map(function, jobs, chunksize=chunk)


def _told(rows: Iterable[Row], total: int, what: str, say: Callable[[str], None]) -> Iterator[Row]:
    """The same rows; how many there are, and about how long the rest takes, is said at most every few seconds."""
    began = said = time.monotonic()
    for done, row in enumerate(rows, start=1):
        yield row
        now = time.monotonic()
        if done == total or now - said >= EVERY:
            left = f", about {(now - began) / done * (total - done) / 60:.0f} min left" if done < total else ""
            say(f"{done} of {total} clips {what}{left}")
            said = now


def _median_seconds(file: Path) -> dict[str, float]:
    """By task how long a clip took to make, where clips were made."""
    found: dict[str, list[float]] = {}
    for row in read_rows(file):
        found.setdefault(row["task"], []).append(row["seconds"])
    return {task: float(np.median(seconds)) for task, seconds in found.items()}
