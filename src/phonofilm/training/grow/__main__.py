"""Weights in minutes on one machine, of a GPU or of two cores: the same command with other numbers.

python -m phonofilm.training.grow codecs --minutes 9 -o weights
python -m phonofilm.training.grow network --minutes 9 --init weights -o weights
python -m phonofilm.training.grow pack -o bundle --init weights --wheels pymunk.whl cffi.whl
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from phonofilm.config import from_dict, read_toml
from phonofilm.errors import PhonofilmError, exit_code
from phonofilm.training.grow.recipe import GrowRecipe

RECIPE = Path("recipes") / "nano_gpu.toml"


def main(arguments: list[str] | None = None) -> int:
    """Run a stage; returns the exit code."""
    given = _parser().parse_args(arguments)
    return exit_code(lambda: given.run(given), lambda: "run the same command again to go on")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m phonofilm.training.grow",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True)
    for name, what in (("codecs", "draw, and train the three codecs"), ("network", "draw, encode, train the network")):
        stage = commands.add_parser(name, help=what)
        stage.add_argument("--minutes", type=float, required=True, help="for all of it")
        stage.add_argument("--work", type=Path, default=Path("runs/grow"), help="folder of clips and checkpoints")
        stage.add_argument("--init", type=Path, help="folder of weights to go on from")
        stage.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="replace a setting")
        stage.set_defaults(run=_stage, stage=name)
    pack = commands.add_parser("pack", help="put all that a bare machine needs into one folder")
    pack.add_argument("--init", type=Path, help="folder of weights to take along")
    pack.add_argument("--wheels", type=Path, nargs="*", default=[], help="packages that the machine lacks")
    pack.set_defaults(run=_pack)
    for command in commands.choices.values():
        command.add_argument("-o", "--output", type=Path, required=True)
        command.add_argument("--recipe", type=Path, default=_found(RECIPE), help="default recipes/nano_gpu.toml")
    return parser


def _found(recipe: Path) -> Path:
    """The recipe beside the package's source, wherever the command is run."""
    return recipe if recipe.exists() else Path(__file__).parents[4] / recipe


def _stage(given: argparse.Namespace) -> None:
    from phonofilm.training.grow.stages import Clock, Place, train_codecs, train_network

    if not given.minutes > 0:
        raise PhonofilmError(f"--minutes {given.minutes:g}: a run needs some time")
    recipe = from_dict(GrowRecipe, read_toml(given.recipe, given.set))
    place = Place(given.recipe, given.work, given.output, given.init)
    stage = train_codecs if given.stage == "codecs" else train_network
    for path in stage(recipe, place, Clock.of(given.minutes)):
        print(path)


def _pack(given: argparse.Namespace) -> None:
    from phonofilm.training.grow.bundle import pack

    size = pack(given.output, given.recipe.parent, given.init, given.wheels)
    print(f"{given.output}: {size / 1e6:.1f} MB; there, sh run.sh codecs --minutes 9 -o out")


if __name__ == "__main__":
    sys.exit(main())
