"""Trains, samples and scores joint, cascade and U-Net at equal cost, and writes the report: `make compare`.

    python -m phonofilm.app.experiments.training_comparison [--seeds 3] [--clips 64] \
        [--set shared.run.steps=N] [-o docs]

Every step keeps what it has done, so a stopped run goes on where it was. The page is written anew after each seed, with
what there is by then.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from phonofilm.app.experiments.results import shares, write_truth
from phonofilm.app.experiments.training_comparison.analysis import Seen, analyse
from phonofilm.app.experiments.training_comparison.making import Making, clip_path, look, make
from phonofilm.app.experiments.training_comparison.page import write_page
from phonofilm.app.experiments.training_comparison.plan import Plan, prepare
from phonofilm.errors import exit_code
from phonofilm.evaluation.foley_world.detect import Observation
from phonofilm.training.loop import fit
from phonofilm.workers import Workers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; returns the exit code."""
    given = _parser().parse_args(arguments)
    return exit_code(lambda: compare(given), lambda: "what is done is kept, run the same command again to go on")


def compare(given: argparse.Namespace) -> None:
    """All of it, seed by seed, so that there is something to read whenever it stops."""
    plan = Plan.read(given.recipe, given.set, given.latents, given.runs)
    prepare(plan, given.codecs)
    numbers = range(given.clips)
    write_truth(plan.folder, numbers)
    truth = observations([clip_path(plan.folder / "truth", n) for n in numbers], given.workers)
    seen: Seen = {}
    for seed in range(given.seeds):
        for system in plan.systems:
            print(f"{system}, seed {seed}", file=sys.stderr, flush=True)
            weights = tuple(train(plan, system, stage, seed) for stage in plan.systems[system])
            folder = plan.folder / f"clips-{system}-{seed}"
            jobs = [Making(given.codecs, weights, folder, share, seed) for share in shares(numbers, given.workers)]
            with Workers(given.workers) as pool:
                list(pool.map(make, jobs))
            paths = [clip_path(folder, number) for number in numbers]
            seen.setdefault(system, []).append(observations(paths, given.workers))
            if len(seen) > 1:
                print(write_page(analyse(plan, seen, truth), given.output), file=sys.stderr, flush=True)


def train(plan: Plan, system: str, stage: str, seed: int) -> Path:
    """The exported weights of one stage, trained to its end."""
    task = plan.task(stage, seed, plan.steps(system))
    path = plan.run_folder(stage, seed) / task.filename
    return path if path.exists() else fit(task, resume=True)


def observations(paths: Sequence[Path], workers: int) -> list[Observation]:
    with Workers(workers) as pool:
        return list(pool.map(look, paths, chunksize=4))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m phonofilm.app.experiments.training_comparison", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--recipe", type=Path, default=Path("recipes/compare/systems.toml"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="replace a setting of it")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each system")
    parser.add_argument("--clips", type=int, default=64, help="held-out prompts for each system and seed")
    parser.add_argument("--codecs", type=Path, default=Path("src/phonofilm/assets/nano"), help="folder of the codecs")
    parser.add_argument("--latents", type=Path, default=Path("data/compare"), help="the training data, encoded")
    parser.add_argument("--runs", type=Path, default=Path("runs/compare"), help="folder of runs and clips")
    parser.add_argument("--workers", type=int, default=1, help="processes that make and score clips")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"), help="folder of comparison.md and .json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
