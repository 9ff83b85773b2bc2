"""How a model's clips score on held-out scenes of edition 2 of Foley World, beside truth and a shuffled control.

    python benchmarks/scenes.py MODEL [--clips 4 --families bounce,strike,... --tasks generate,foley,animate --sheet F]

Each scene's caption is given (for foley its picture too, for animate its stems), and the scorers that know nothing of
the model read the clip. The control asks each clip for what another scene of its family asked for. Prints a Markdown
table, and writes a contact sheet of truth and of what was made.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from phonofilm import world
from phonofilm.backends.native import NativeBackend
from phonofilm.evaluation.foley_world.edition2.score import score_scene, summarise
from phonofilm.types import Clip
from phonofilm.world.common.scene import Truth

FIRST_SEED = 81_000_000
TASKS = ("generate", "foley", "animate")
COLUMNS = 10


def draw(family: str, seed: int) -> tuple[Clip, Truth]:
    """A true clip of four seconds, with stems."""
    truth = world.sample(family, seed, 4.0, edition=2)
    return world.clips([truth], 128, 24, 24_000)[0], truth


def made(model: NativeBackend, task: str, clip: Clip, truth: Truth, seed: int) -> Clip:
    """What the model makes of a scene's caption."""
    if task == "generate":
        return model.generate(truth.caption, seconds=4.0, seed=seed)
    return model.generate(truth.caption, task=task, source=clip, seed=seed)


def row(name: str, scored: list[dict[str, float]], measures: list[str]) -> str:
    """A line of the table: means with 95 % intervals."""
    found = summarise(scored)
    cells = [f"{found[m].value:.2f} [{found[m].low:.2f}, {found[m].high:.2f}]" if m in found else "-" for m in measures]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a name, or a folder of weights")
    parser.add_argument("--clips", type=int, default=4, help="scenes a family, 2 or more")
    parser.add_argument("--families", default=",".join(world.FAMILIES))
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--sheet", type=Path, help="PNG of ten frames of each first clip, truth above what was made")
    given = parser.parse_args()
    if given.clips < 2:
        parser.error("--clips starts at 2: the control needs another scene of the family")
    model = NativeBackend.load(given.model)
    strips = []
    for family in given.families.split(","):
        scenes = [draw(family, FIRST_SEED + number) for number in range(given.clips)]
        films = {"truth": [clip for clip, _ in scenes]}
        for task in given.tasks.split(","):
            films[task] = [made(model, task, *scene, seed) for seed, scene in enumerate(scenes)]
        scored = {}
        for name, clips in films.items():
            scored[name] = [score_scene(clip, truth) for clip, (_, truth) in zip(clips, scenes, strict=True)]
            others = [*scenes[1:], scenes[0]]
            control = [
                score_scene(clip.with_(**_sound(other)), truth)
                for clip, (other, truth) in zip(clips, others, strict=True)
            ]
            scored[f"{name}, shuffled"] = control
            strips.append(strip(clips[0]))
        measures = sorted({name for lines in scored.values() for line in lines for name in line})
        print(f"\n{family}, {given.clips} scenes\n\n| | {' | '.join(measures)} |\n|{'---|' * (1 + len(measures))}")
        for name, lines in scored.items():
            print(row(name, lines, measures), flush=True)
    if given.sheet:
        Image.fromarray(np.concatenate(strips)).save(given.sheet)


def _sound(clip: Clip) -> dict[str, Any]:
    """The sound of another clip."""
    return {"waveform": clip.waveform, "stems": clip.stems, "sample_rate": clip.sample_rate}


def strip(clip: Clip) -> np.ndarray:
    """Ten frames side by side, uint8 [H, W, 3]."""
    assert clip.frames is not None
    picked = np.linspace(0, len(clip.frames) - 1, COLUMNS).astype(int)
    return np.concatenate(list(clip.frames[picked]), 1)


if __name__ == "__main__":
    main()
