"""`python -m phonofilm.training RECIPE.toml [--set key=value] [--resume]`."""

from __future__ import annotations

import argparse
import sys

from phonofilm.errors import exit_code
from phonofilm.training import train


def main(arguments: list[str] | None = None) -> int:
    """Run the trainer; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m phonofilm.training", description="Train what a recipe says.")
    parser.add_argument("recipe", help="a TOML file, see recipes/")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="replace a setting")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the run's folder")
    given = parser.parse_args(arguments)
    return exit_code(
        lambda: print(train(given.recipe, given.set, given.resume)), lambda: "no step was done yet, so nothing is kept"
    )


if __name__ == "__main__":
    sys.exit(main())
