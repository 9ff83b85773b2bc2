"""How much the sound that a model expects follows a given picture: its error where the picture comes a second late.

    python benchmarks/late.py WEIGHTS LATENTS [--recipe recipes/nano_128.toml --levels 0.95,0.8,0.6]

WEIGHTS is an exported transformer.safetensors that the recipe's network fits, LATENTS a latent store whose first clips
were held out of its training. The noise is the same for both. Prints a Markdown table.
"""

from __future__ import annotations

import argparse

import torch

from phonofilm.checkpoint import load_module
from phonofilm.config import read_toml
from phonofilm.precision import autocast
from phonofilm.training.tasks.base import generator_for, make_task
from phonofilm.types import Latents


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights")
    parser.add_argument("latents")
    parser.add_argument("--recipe", default="recipes/nano_128.toml")
    parser.add_argument("--levels", default="0.95,0.8,0.6", help="noise levels of the sound")
    given = parser.parse_args()
    task = make_task(read_toml(given.recipe, [f"data.folder={given.latents}"]))
    model = load_module(task.network, given.weights).eval()
    print("| noise level | error | picture a second late | higher by |\n|---|---|---|---|")
    for level in map(float, given.levels.split(",")):
        errors = [_error(task, model, level, late) for late in (False, True)]
        print(
            f"| {level:g} | {errors[0]:.4f} | {errors[1]:.4f} | {100 * (errors[1] / errors[0] - 1):.2f} % |", flush=True
        )


@torch.no_grad()
def _error(task, model: torch.nn.Module, level: float, late: bool) -> float:  # type: ignore[no-untyped-def]
    """Of the sound of all held-out clips."""
    found = []
    for start in range(0, task.recipe.data.held_out, 8):
        rows = list(range(start, min(start + 8, task.recipe.data.held_out)))
        batch = task.read(rows)
        if late:
            batch["video"] = task._late(batch["video"])
        levels = Latents(torch.zeros(len(rows), 1, 1, 1, 1), torch.full((len(rows), 1, 1, 1), level))
        with autocast(torch.device("cpu")):
            parts = task._loss(model, batch, levels, generator_for("late", start), None)[1]
        found.append(float(parts["audio"]) * len(rows))
    return sum(found) / task.recipe.data.held_out


if __name__ == "__main__":
    main()
