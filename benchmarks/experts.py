"""Which experts are used, by noise level, region of the picture, time, stem and modality.

    python benchmarks/experts.py WEIGHTS LATENTS [--recipe recipes/experts.toml --clips 16 --plot FILE.png]

WEIGHTS is an exported transformer.safetensors with experts, LATENTS a latent store whose first clips were held out.
Prints a Markdown table: of each layer the least and the most that an expert is used (1 / experts would be even), and
how far use differs by what is asked (half the summed difference of shares between a group and all; 0 is no
difference, 1 the largest), as the mean over the groups. Two halves of the clips are such groups too: so far chance
alone goes. The plot shows the shares themselves.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from phonofilm.checkpoint import load_module
from phonofilm.config import read_toml
from phonofilm.model.moe.usage import parameters_of, shares, watched
from phonofilm.model.transformer import AVTransformer
from phonofilm.sampling.denoiser import add_noise
from phonofilm.training.tasks.base import generator_for, make_task
from phonofilm.training.tasks.generator import GeneratorTask
from phonofilm.types import Latents, Text

LEVELS = (0.95, 0.8, 0.6, 0.35, 0.1)
Groups = dict[str, dict[str, Tensor]]
"""By what is asked ("noise level"), by group ("0.95"), shares [experts]."""


@torch.no_grad()
def choices_of(task: GeneratorTask, model: AVTransformer, clips: int) -> dict[str, Tensor]:
    """By layer, int64 [levels, clips, tokens, used]."""
    batch = task.read(list(range(clips)))
    clean = Latents(batch["video"].float(), batch["audio"].float())
    generator = generator_for("experts")
    noise = clean.map(lambda v: torch.randn(v.shape, generator=generator))
    found: dict[str, list[Tensor]] = {}
    for level in LEVELS:
        sigma = Latents(torch.full((clips, 1, 1, 1, 1), level), torch.full((clips, 1, 1, 1), level))
        with watched(model) as chosen:
            model(add_noise(clean, noise, sigma), sigma, Text(batch["text"], batch["mask"]), task.positions)
            for name, experts in chosen.items():
                found.setdefault(name, []).append(experts)
    return {name: torch.stack(parts) for name, parts in found.items()}


def groups_of(task: GeneratorTask, layer: str, chosen: Tensor, count: int) -> Groups:
    """Shares of the experts of one layer, by all that can be asked of its tokens."""

    def of(pairs: Iterator[tuple[str, Tensor]]) -> dict[str, Tensor]:
        return {name: shares(part, count) for name, part in pairs}

    half = chosen.shape[1] // 2
    found = {
        "noise level": of((f"{level:g}", chosen[i]) for i, level in enumerate(LEVELS)),
        "halves of the clips": of(iter([("first", chosen[:, :half]), ("second", chosen[:, half:])])),
    }
    if layer.endswith("video"):
        _, rows, columns = task.grid.video_tokens
        at = chosen.unflatten(2, (-1, rows, columns))
        places = [(y, x) for y in range(rows) for x in range(columns)]
        found["region"] = of((f"{y},{x}", at[:, :, :, y, x]) for y, x in places)
        found["time"] = of((f"q{i + 1}", part) for i, part in enumerate(at.tensor_split(4, 2)))
    else:
        at = chosen.unflatten(2, (task.stems, -1))
        found["stem"] = of(zip(task.store.stems or ("mix",), at.unbind(2), strict=True))
        found["time"] = of((f"q{i + 1}", part) for i, part in enumerate(at.tensor_split(4, 3)))
    return found


def difference(groups: dict[str, Tensor], everyone: Tensor) -> float:
    """Mean over the groups of half the summed difference to all."""
    return sum(float((part - everyone).abs().sum()) / 2 for part in groups.values()) / len(groups)


def table(found: dict[str, Groups], everyone: dict[str, Tensor]) -> str:
    asked = ["noise level", "region", "time", "stem", "halves of the clips"]
    lines = ["| layer | least | most | " + " | ".join(asked) + " |", "|---" * (3 + len(asked)) + "|"]
    for layer, groups in found.items():
        cells = [f"{difference(groups[name], everyone[layer]):.3f}" if name in groups else "-" for name in asked]
        used = everyone[layer]
        lines.append(f"| {layer} | {used.min():.3f} | {used.max():.3f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(found: dict[str, Groups], file: Path) -> None:
    """One row for each layer, one picture for each thing asked: groups down, experts across, brightness the share."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    asked = ["noise level", "region", "time", "stem"]
    figure, axes = plt.subplots(len(found), len(asked), figsize=(12, 1.2 * len(found) + 0.8), squeeze=False)
    for axis, name in zip(axes[0], asked, strict=True):
        axis.set_title(f"{name}: experts across", fontsize=8)
    for row, (layer, groups) in zip(axes, found.items(), strict=True):
        for axis, name in zip(row, asked, strict=True):
            axis.set_xticks([])
            if name not in groups:
                axis.axis("off")
                continue
            shown = torch.stack(list(groups[name].values()))
            axis.imshow(shown, vmin=0, vmax=3 / shown.shape[1], aspect="auto", cmap="magma")
            axis.set_yticks(range(len(shown)), list(groups[name]), fontsize=6)
            if axis is row[0]:
                axis.set_ylabel(layer.removeprefix("blocks."), fontsize=8)
    figure.suptitle("Use of experts: black is none, white three times an even share", fontsize=9)
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights")
    parser.add_argument("latents")
    parser.add_argument("--recipe", default="recipes/experts.toml")
    parser.add_argument("--clips", type=int, default=16, help="held-out clips, 2 or more")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    given = parser.parse_args()
    task = make_task(read_toml(given.recipe, [f"data.folder={given.latents}"]))
    assert isinstance(task, GeneratorTask)
    if not 2 <= given.clips <= task.recipe.data.held_out:
        parser.error(f"--clips is from 2 to {task.recipe.data.held_out}, the clips held out")
    model = load_module(AVTransformer, given.weights)
    count = model.config.experts.count
    if not count:
        parser.error(f"{given.weights} has no experts; train some with recipes/experts.toml")
    chosen = choices_of(task, model, given.clips)
    everyone = {layer: shares(experts, count) for layer, experts in chosen.items()}
    found = {layer: groups_of(task, layer, experts, count) for layer, experts in chosen.items()}
    active, total = parameters_of(model)
    print(f"{active:,} parameters work on a token, of {total:,}; an even share is {1 / count:.3f}\n")
    print(table(found, everyone))
    for stream in ("video", "audio"):
        least = min(float(used.min()) for layer, used in everyone.items() if layer.endswith(stream))
        print(f"\nleast used expert of the {stream} stream: {100 * least:.1f} %")
    if given.plot is not None:
        plot(found, given.plot)


if __name__ == "__main__":
    main()
