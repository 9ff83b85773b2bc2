"""Experts against none at equal active compute: runs in pairs that see the same clips and noise, one for each seed.

    python benchmarks/experts_compare.py LATENTS --init WEIGHTS [--steps 300 --seeds 3 --ways dense,token,choice]

All go on from the same weights with the same number of steps and the same optimiser; a token costs the same in each.
"token" is what ships: tokens choose experts, none is dropped. "choice" is what does not: each expert chooses its
tokens (Zhou et al., 2202.09368) among those of a whole clip, so that load is even by force, some tokens are dropped,
and a token's expert depends on later ones: it looks ahead, and serves no model that plays live. Prints a Markdown
table of the errors on held-out clips, with differences to "dense" by seed and their 95 % intervals (Student's t).
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from unittest.mock import patch

import torch
from scipy import stats
from torch import Tensor

from phonofilm.config import read_toml
from phonofilm.model.moe.layer import RoutedExperts
from phonofilm.training.loop import fit
from phonofilm.training.tasks.base import make_task

MEASURES = ("joint_video", "joint_audio", "foley_audio", "animate_video")


def by_expert_choice(self: RoutedExperts, x: Tensor) -> Tensor:
    """Expert choice in place of `RoutedExperts.forward`: of each clip every expert takes its fair share of tokens."""
    shape = x.shape
    x = x.reshape(-1, *shape[-2:])
    count, used = self.config.count, self.config.used
    capacity = min(x.shape[1], math.ceil(x.shape[1] * used / count))
    with torch.autocast(x.device.type, enabled=False):
        affinity = (x.float() @ self.router.float().T).softmax(-1)
    weights, taken = affinity.transpose(1, 2).topk(capacity, -1)  # [B, E, capacity]
    made = torch.zeros_like(x)
    for expert, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
        at = taken[:, expert, :, None].expand(-1, -1, shape[-1])
        bias = None if self.up_bias is None else self.up_bias[expert]
        hidden = torch.nn.functional.linear(x.gather(1, at), up, bias)
        said = torch.nn.functional.linear(torch.nn.functional.gelu(hidden, approximate=self.approximate), down)
        weighed = (count * weights[:, expert, :, None]).to(said.dtype) * said  # 1 on average, as tokens' choice has it
        made = made.scatter_add(1, at, weighed.to(made.dtype))
    return made.view(shape)


def run(way: str, seed: int, given: argparse.Namespace) -> dict[str, float]:
    """Errors at the end of one run."""
    output = given.output / f"{way}-{seed}"
    settings = [
        f"data.folder={given.latents}",
        f"run.init={given.init}",
        f"run.output={output}",
        f"run.seed={seed}",
        f"run.steps={given.steps}",
        f"run.batch={given.batch}",
        f"run.validate_every={given.steps}",
        f"data.held_out={given.held_out}",
        "run.max_minutes=none",
        *(["model.experts.count=0"] if way == "dense" else []),
        *given.set,
    ]
    if not (output / "transformer.safetensors").is_file():
        task = make_task(read_toml(given.recipe, settings))
        if way == "choice":
            with patch.object(RoutedExperts, "forward", by_expert_choice):
                fit(task, resume=True)
        else:
            fit(task, resume=True)
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    ends = [line for line in lines if any(name.endswith(MEASURES) for name in line)]
    return {m: next(value for name, value in ends[-1].items() if name.endswith(m)) for m in MEASURES}


def difference(ones: list[float], others: list[float]) -> str:
    """Mean of paired differences in per cent, with its interval."""
    found = [100 * (one / other - 1) for one, other in zip(ones, others, strict=True)]
    mean = sum(found) / len(found)
    if len(found) < 2:
        return f"{mean:+.2f} %"
    spread = math.sqrt(sum((value - mean) ** 2 for value in found) / (len(found) - 1) / len(found))
    reach = float(stats.t.ppf(0.975, len(found) - 1)) * spread
    return f"{mean:+.2f} % [{mean - reach:+.2f}, {mean + reach:+.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("latents")
    parser.add_argument("--init", required=True, help="weights without experts")
    parser.add_argument("--recipe", default="recipes/experts.toml")
    parser.add_argument("--output", type=Path, default=Path("runs/experts_compare"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--held-out", type=int, default=48)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ways", default="dense,token,choice")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    ways = given.ways.split(",")
    if unknown := set(ways) - {"dense", "token", "choice"}:
        parser.error(f"there is no way {min(unknown)}; choose from dense, token, choice")
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for seed in range(given.seeds):
        for way in ways:
            found[way].append(run(way, seed, given))
            print(f"seed {seed}, {way}: {found[way][-1]}", flush=True)
    print(f"\n| way | {' | '.join(MEASURES)} |\n|{'---|' * (1 + len(MEASURES))}")
    for way in ways:
        cells = []
        for measure in MEASURES:
            values = [one[measure] for one in found[way]]
            cell = f"{sum(values) / len(values):.4f}"
            if way != "dense" and "dense" in found:
                cell += f", {difference(values, [one[measure] for one in found['dense']])}"
            cells.append(cell)
        print(f"| {way} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
