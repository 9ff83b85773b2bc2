"""A generator's error at each noise level, beside what plain linear estimates of the same noisy latents reach.

    python benchmarks/noise_levels.py WEIGHTS LATENTS [--recipe recipes/nano_128.toml --levels 0.9,0.6,0.2 --clips 24]

WEIGHTS is an exported transformer.safetensors, LATENTS a latent store whose first clips were held out of its training.
A picture's error is told in two parts: of what is the same in all time steps, and of what moves. The line beside it
takes each latent by itself, or the average over time for what stands still. A network that is worse than
the line does not use what the noisy latents show. Both streams have the same noise level. Prints a Markdown table of
mean squared errors.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from phonofilm.checkpoint import load_module
from phonofilm.config import read_toml
from phonofilm.model.detail.estimates import alone, standing_still
from phonofilm.precision import autocast
from phonofilm.sampling import Denoiser
from phonofilm.training.tasks.base import generator_for, make_task
from phonofilm.types import Latents

COLUMNS = ("picture", "stands still", "by the average", "moves", "by a line", "sound", "by a line")
BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights")
    parser.add_argument("latents")
    parser.add_argument("--recipe", default="recipes/nano_128.toml")
    parser.add_argument("--levels", default="0.98,0.9,0.8,0.6,0.4,0.2,0.1")
    parser.add_argument("--clips", type=int, default=24)
    given = parser.parse_args()
    task = make_task(read_toml(given.recipe, [f"data.folder={given.latents}"]))
    denoiser = Denoiser(load_module(task.network, given.weights).eval(), task.recipe.prediction)
    print(f"| noise level | {' | '.join(COLUMNS)} |\n|{'---|' * (1 + len(COLUMNS))}")
    for level in map(float, given.levels.split(",")):
        found = [errors(task, denoiser, level, start, given.clips) for start in range(0, given.clips, BATCH)]
        means = torch.stack(found).sum(0) / given.clips
        print(f"| {level:g} | {' | '.join(f'{value:.3f}' for value in means.tolist())} |", flush=True)


@torch.no_grad()
def errors(task, denoiser: Denoiser, level: float, start: int, clips: int) -> Tensor:  # type: ignore[no-untyped-def]
    """The columns of some clips, times how many they are."""
    rows = list(range(start, min(start + BATCH, clips)))
    clean, text, _ = task._inputs(task.read(rows))
    generator = generator_for("levels", start)
    noise = clean.map(lambda value: torch.randn(value.shape, generator=generator))
    sigma = Latents(torch.full((len(rows), 1, 1, 1, 1), level), torch.full((len(rows), 1, 1, 1), level))
    noisy = clean.map(_mixed, noise, sigma)
    with autocast(torch.device("cpu")):
        made = denoiser(noisy, sigma, text, task.positions)
    picture = made.video.float() - clean.video
    linear = (
        (standing_still(noisy.video, sigma.video) - clean.video).mean(2),
        _moving(alone(noisy.video, sigma.video)) - _moving(clean.video),
        alone(noisy.audio, sigma.audio) - clean.audio,
    )
    by_average, by_line, sound_by_line = (error.square().mean() for error in linear)
    found = (
        picture.square().mean(), picture.mean(2).square().mean(), by_average, _moving(picture).square().mean(),
        by_line, (made.audio.float() - clean.audio).square().mean(), sound_by_line,
    )  # fmt: skip
    return torch.stack(found) * len(rows)


def _moving(video: Tensor) -> Tensor:
    return video - video.mean(2, keepdim=True)


def _mixed(clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    return (1 - sigma) * clean + sigma * noise


if __name__ == "__main__":
    main()
