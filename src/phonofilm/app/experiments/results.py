"""Measures a model of ours on held-out scenes, and writes the report: `make results`.

    python -m phonofilm.app.experiments.results [--model nano] [--clips 64] [-o docs]

Clips are written as files and scored from the files alone; what is there already is kept, so a stopped
run goes on where it was. A model with stems, such as checkpoints/nano_128, is measured on all six families
(`scene_results`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonofilm import world
from phonofilm.app.experiments import scene_results, scene_results_report
from phonofilm.app.experiments.joint_vs_cascade import evaluated
from phonofilm.backends.native import NativeBackend
from phonofilm.checkpoint import read_metadata
from phonofilm.errors import PhonofilmError, exit_code
from phonofilm.media import read_clip, write_clip
from phonofilm.types import Clip, Request
from phonofilm.weights import digest, locate, part_files
from phonofilm.workers import Workers

HELD_OUT = 10_000_000  # first seed of the scenes whose prompts, pictures and sounds are the test set
FAMILIES = ("bounce", "strike")


@dataclass(frozen=True)
class Trial:
    """One way of making clips from held-out scenes.

    Attributes:
        name: of its folder.
        task: what is asked of the model, or "cascade": the picture first, then sound for it.
        seed: of the noise, with the scene's number.
        damage: what is done to the network first: "" nothing, "permuted" or "untrained".
    """

    name: str
    task: str
    seed: int = 1
    damage: str = ""


TRIALS = (
    Trial("generate", "generate"),
    Trial("foley", "foley"),
    Trial("animate", "animate"),
    Trial("permuted exchange", "generate", damage="permuted"),
    Trial("untrained", "generate", damage="untrained"),
    Trial("seed 2", "generate", seed=2),
    Trial("seed 3", "generate", seed=3),
    Trial("cascaded", "cascade"),
)
WHOLE = ("generate", "foley", "animate", "cascaded")
"""Trials over every held-out scene; the others are controls."""


def scene(number: int) -> tuple[str, int]:
    """Family and seed of a held-out scene."""
    return FAMILIES[number % len(FAMILIES)], HELD_OUT + number // len(FAMILIES)


def true_clip(number: int) -> Clip:
    return world.clips([world.sample(*scene(number))])[0]


def make_clips(job: tuple[str, Trial, Path, Sequence[int]]) -> int:
    """One worker's share of a trial."""
    import torch

    torch.set_num_threads(1)
    model, trial, folder, numbers = job
    todo = [number for number in numbers if not _path(folder, trial, number).exists()]
    if not todo:
        return 0
    backend = NativeBackend.load(model)
    damage(backend.parts.transformer, trial.damage)
    for number in todo:
        truth = true_clip(number)
        seed = 1000 * trial.seed + number  # its own noise for each clip, or shuffling them would not be a control
        path = _path(folder, trial, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(_made(backend, trial, truth, seed), path)
    return len(todo)


def _made(backend: NativeBackend, trial: Trial, truth: Clip, seed: int) -> Clip:
    from phonofilm.app.experiments.single_model_cascade import cascade

    prompt = truth.prompt or ""
    if trial.task == "cascade":
        return cascade(backend, backend, prompt, seed)
    source = truth if trial.task in ("foley", "animate") else None
    return backend.generate(Request(prompt=prompt, task=trial.task, seed=seed, source=source))  # type: ignore[arg-type]


def damage(network: Any, kind: str) -> None:
    """Spoil a network in place, to see what its sync rests on.

    "permuted" shuffles the rows of every weight of the exchange between the streams; "untrained" draws
    all weights anew.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    for name, weight in network.named_parameters():
        if kind == "untrained":
            weight.data = torch.randn(weight.shape, generator=generator) * weight.std()
        elif kind == "permuted" and ".exchange." in name and weight.ndim > 1:
            weight.data = weight.data[torch.randperm(len(weight), generator=generator)]


def _path(folder: Path, trial: Trial, number: int) -> Path:
    return folder / trial.name / f"{number:04d}.mp4"


def write_truth(folder: Path, numbers: Sequence[int]) -> None:
    for number in numbers:
        path = folder / "truth" / f"{number:04d}.mp4"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_clip(true_clip(number), path)


def shares(numbers: Sequence[int], workers: int) -> Iterator[Sequence[int]]:
    return (numbers[start::workers] for start in range(workers))


def run(
    model: str, clips: int, controls: int, work: Path, sheet: Path, say: Callable[[str], None], workers: int = 2
) -> dict[str, Any]:
    """Make and score everything; see `report` for what comes of it."""
    from phonofilm.evaluation.foley_world.codec_gate import codec_gate

    place = locate(model)
    results: dict[str, Any] = {"model": Path(model).name, "weights": digest(place), "clips": clips}
    work = work / results["weights"][:12]
    say("codec gate")
    results["gate"] = _kept(work / "gate.json", lambda: codec_gate(place, 128))
    write_truth(work, range(clips))
    for trial in TRIALS:
        count = clips if trial.name in WHOLE else min(controls, clips)
        say(f"{trial.name}: {count} clips")
        results[trial.name] = _tried(model, trial, work, count, workers)
    say("evaluate")
    results["systems"] = evaluated(work, workers)
    results["seeds"] = seed_distance(work, min(controls, clips))
    say("nearest training clips")
    results["copies"] = copies(work, clips, sheet)
    return results


def _tried(model: str, trial: Trial, work: Path, count: int, workers: int) -> dict[str, Any]:
    """Clips of one trial, made where they are missing, and scored."""
    from phonofilm.evaluation.foley_world.benchmark import score_folder

    with Workers(workers) as pool:
        list(pool.map(make_clips, [(model, trial, work, share) for share in shares(range(count), workers)]))
    truth = work / "truth" if trial.task in ("foley", "animate") else None
    return score_folder(work / trial.name, truth, reference=200 if trial.name == "generate" else 0)


def run_systems(
    model: str, before: dict[str, Any], work: Path, say: Callable[[str], None], workers: int = 2
) -> dict[str, Any]:
    """Results of before with one pass against two measured anew, and all else as it was.

    Raises:
        PhonofilmError: the results of before are of other weights.
    """
    if before.get("weights") != digest(locate(model)):
        raise PhonofilmError(f"the results that are there are of other weights than {model} has now: run all of them")
    work, clips = work / before["weights"][:12], before["clips"]
    write_truth(work, range(clips))
    results = dict(before)
    for trial in (trial for trial in TRIALS if trial.name in ("generate", "cascaded")):
        say(f"{trial.name}: {clips} clips")
        scored = _tried(model, trial, work, clips, workers)
        results |= {"cascaded": scored} if trial.name == "cascaded" else {}
    say("evaluate")
    return {**results, "systems": evaluated(work, workers)}


def copies(work: Path, clips: int, sheet: Path, count: int = 4000) -> dict[str, float]:
    """See `results_copies.nearest`."""
    from phonofilm.app.experiments.memorization import nearest

    made, true = ([read_clip(work / name / f"{n:04d}.mp4") for n in range(clips)] for name in ("generate", "truth"))
    return nearest(made, true, count, sheet)


def seed_distance(work: Path, count: int) -> dict[str, float]:
    """Do three seeds of one prompt give three motions? Mean absolute pixel difference (0..255), smallest first."""
    import numpy as np

    gaps = []
    for number in range(count):
        films = [read_clip(work / name / f"{number:04d}.mp4").frames for name in ("generate", "seed 2", "seed 3")]
        pairs = [(films[a], films[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
        gaps += [float(np.abs(a.astype(int) - b).mean()) for a, b in pairs]  # type: ignore[union-attr, operator]
    return {"smallest": min(gaps), "median": sorted(gaps)[len(gaps) // 2]}


def _kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(make()))
    return json.loads(path.read_text())


def keeps_stems(model: str) -> bool:
    """Whether a model of ours has speech, effects and music apart.

    Raises:
        PhonofilmError: there is no such model here.
    """
    config = json.loads(read_metadata(part_files(locate(model))["transformer"]).get("config", "{}"))
    return int(config.get("audio", {}).get("stems", 1)) > 1


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m phonofilm.app.experiments.results", description=__doc__.splitlines()[0]
    )  # type: ignore[union-attr]
    parser.add_argument("--model", default="nano", help="a model's name or the folder of its weights")
    parser.add_argument("--clips", "-n", type=int, default=64, help="held-out scenes per task; with stems, per family")
    parser.add_argument("--controls", type=int, default=32, help="clips of each control")
    parser.add_argument("--work", type=Path, default=Path("out/results"), help="folder of the clips made")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"), help="folder of results.md and results.json")
    parser.add_argument("--workers", type=int, default=2, help="processes that make clips and score them")
    parser.add_argument("--fresh", action="store_true", help="make every clip anew")
    parser.add_argument(
        "--systems", action="store_true", help="measure only one pass against two, and keep the rest of results.json"
    )
    group = parser.add_argument_group("of models with stems")
    group.add_argument("--families", default="", help="with commas between; all six if not said")
    group.add_argument("--tasks", default=",".join(scene_results.TASKS), help="with commas between")
    group.add_argument("--steps", type=int, help="of the sampler; the model's own if not said")
    given = parser.parse_args(arguments)
    sys.exit(exit_code(lambda: measure(given), lambda: "run the same command again to go on"))


def measure(given: argparse.Namespace) -> None:
    """Measure the model that was asked for, as its sound is: one mix, or stems."""
    if given.fresh:
        shutil.rmtree(given.work, ignore_errors=True)
    from phonofilm.app.experiments.results_report import update_readme, write_report

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    if keeps_stems(given.model):
        families, tasks = (tuple(filter(None, names.split(","))) for names in (given.families, given.tasks))
        results = scene_results.run(
            given.model, given.clips, given.work, say, families, tasks, given.steps, given.workers
        )
        print(scene_results_report.write_report(results, given.output))
        return
    if given.systems:
        before = json.loads((given.output / "results.json").read_text(encoding="utf-8"))
        results = run_systems(given.model, before, given.work, say, given.workers)
    else:
        sheet = given.output / "images" / "nearest.png"
        results = run(given.model, given.clips, given.controls, given.work, sheet, say, given.workers)
        update_readme(results, Path("README.md"))
    print(write_report(results, given.output))


if __name__ == "__main__":
    main()
