"""One step of our transformer against diffusers' LTX-2 class: same weights, same inputs, real layer widths.

    python benchmarks/step.py [--dtype float32 --frames 4 --layers 2 --rounds 2 --json]

Prints a Markdown table for docs/performance.md. Frames are latent ones of 768x512; 4 are a second, 16 are five. Both
networks sit in one process and take turns, so that a noisy machine disturbs both alike; the time is that of the process
(all threads), not of the clock. Memory is what a step adds to the weights: measured as the highest resident size of a
process of its own for each, and counted from the allocations of a run of shapes without contents, which also tells it
for sizes that would take too long here. Two noise cases: one level for the whole clip, as in text to both, and a clean
first frame, as in picture to both, where diffusers' pipelines spell the timestep out for every token and the two differ
slightly, because diffusers does not follow the original gate.

Both do the same work, with two exceptions. diffusers computes its rotary tables at every step and ours are computed
once. Where the bfloat16 of the CPU is emulated, products take so long that only few tokens are feasible.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import torch

from phonofilm.model import PRESETS, AVTransformer
from phonofilm.model.names import published_name
from phonofilm.types import Geometry, Grid, Latents, Text

GEOMETRY = Geometry(video_time=8, video_space=32, patch=(1, 1, 1), sample_rate=16_000, mel_hop=160, audio_time=4)
CASES = ("uniform", "first_frame")
HEIGHT, WIDTH, PROMPT = 16, 24, 1024
SUITES = {"float32": {"frames": 4, "layers": 2}, "bfloat16": {"frames": 1, "layers": 1}}
"""What is feasible on two cores in each dtype, within a quarter of an hour."""
COUNTED = 16
"""Latent frames, those of five seconds, for which memory is counted; it does not grow with the layers."""


def our_network(layers: int) -> AVTransformer:
    full = PRESETS["ltx2"]
    return AVTransformer(
        replace(full, video=replace(full.video, layers=layers), audio=replace(full.audio, layers=layers))
    )


def their_network(layers: int) -> torch.nn.Module:
    from diffusers import LTX2VideoTransformer3DModel

    return LTX2VideoTransformer3DModel(num_layers=layers, rope_type="split")


NETWORKS = {"ours": our_network, "diffusers": their_network}


def build(which: str, args: argparse.Namespace) -> torch.nn.Module:
    """Made on the meta device and filled in place, so that construction leaves no peak of its own behind."""
    with torch.device("meta"):
        model = NETWORKS[which](args.layers)
        for parameter in model.parameters():
            parameter.data = parameter.data.to(dtype_of(args))
    model = model.to_empty(device="cpu").eval()
    # Drawing billions of numbers would take longer than the steps: a million are repeated.
    drawn = 0.02 * torch.randn(2**20, generator=torch.Generator().manual_seed(0)).to(dtype_of(args))
    for parameter in model.parameters():
        for part in parameter.data.flatten().split(len(drawn)):
            part.copy_(drawn[: len(part)])
    return model


def dtype_of(args: argparse.Namespace) -> torch.dtype:
    return getattr(torch, args.dtype)


def share_weights(ours: AVTransformer, theirs: torch.nn.Module) -> None:
    weights = theirs.state_dict()
    ours.load_state_dict({name: weights[published_name(name, "diffusers")] for name in ours.state_dict()}, assign=True)


def inputs(args: argparse.Namespace, case: str) -> tuple[Grid, Latents, Latents, Text]:
    torch.manual_seed(0)
    frames = 1 + 8 * (args.frames - 1)
    grid = Grid(frames, 32 * HEIGHT, 32 * WIDTH, Fraction(24), GEOMETRY)
    latents = Latents(torch.randn(1, 128, *grid.video_shape), torch.randn(1, 1, 128, grid.audio_length))
    sigma = Latents(torch.full((1, 1, 1, 1, 1), 0.7), torch.full((1, 1, 1), 0.7))
    if case == "first_frame":
        steps = sigma.video.repeat(1, 1, args.frames, 1, 1)
        steps[:, :, 0] = 0
        sigma = Latents(steps, sigma.audio)
    text = Text(torch.randn(1, PROMPT, 3840, dtype=dtype_of(args)), torch.ones(1, PROMPT, dtype=torch.bool))
    return grid, latents, sigma, text


def our_step(model: AVTransformer, args: argparse.Namespace, case: str) -> Callable[[], tuple]:
    grid, latents, sigma, text = inputs(args, case)
    places = model.places(grid.positions())

    def step() -> tuple:
        made = model(latents, sigma, text, places)
        return made.video.flatten(2).mT, made.audio.mT

    return step


def their_step(model: torch.nn.Module, args: argparse.Namespace, case: str) -> Callable[[], tuple]:
    grid, latents, sigma, text = inputs(args, case)
    video, audio = (v.flatten(2).mT.to(dtype_of(args)) for v in (latents.video, latents.audio))
    t, h, w = grid.video_shape
    timestep = torch.full((1,), 700.0)
    if case == "first_frame":
        timestep = 1000 * sigma.video.expand(-1, -1, t, h, w).reshape(1, -1)
    bounds = grid.positions()
    coordinates = [torch.from_numpy(b).float().transpose(0, 1)[None] for b in (bounds.video, bounds.audio)]

    def step() -> tuple:
        return model(
            video, audio, text.states, text.states, timestep, audio_timestep=torch.full((1,), 700.0),
            sigma=torch.full((1,), 700.0), audio_sigma=torch.full((1,), 700.0),
            encoder_attention_mask=text.mask, audio_encoder_attention_mask=text.mask,
            num_frames=t, height=h, width=w, fps=24.0, audio_num_frames=audio.shape[1],
            video_coords=coordinates[0], audio_coords=coordinates[1], return_dict=False,
        )  # fmt: skip

    return step


STEPS = {"ours": our_step, "diffusers": their_step}


@torch.inference_mode()
def compare(args: argparse.Namespace, case: str) -> dict[str, float]:
    """Process seconds of a step of each, alternating, and the largest difference of their outputs."""
    theirs = build("diffusers", args)
    ours = our_network_sharing(theirs, args.layers)
    steps = {"ours": our_step(ours, args, case), "diffusers": their_step(theirs, args, case)}
    outputs = {name: step() for name, step in steps.items()}
    pairs = zip(outputs["ours"], outputs["diffusers"], strict=True)
    difference = max(((a.float() - b.float()).abs().max() / b.float().abs().max()).item() for a, b in pairs)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(args.rounds):
        for name, step in steps.items():
            start = time.process_time()
            step()
            seconds[name].append(time.process_time() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return medians | {"ratio": medians["ours"] / medians["diffusers"], "relative_difference": difference}


def our_network_sharing(theirs: torch.nn.Module, layers: int) -> AVTransformer:
    with torch.device("meta"):
        ours = our_network(layers)
    share_weights(ours, theirs)
    return ours.eval()


@torch.inference_mode()
def resident(args: argparse.Namespace, case: str, which: str) -> dict[str, float]:
    """MiB: the peak of this process after one step, and what the step added."""
    step = STEPS[which](build(which, args), args, case)
    before = _status("VmRSS")
    step()
    return {"peak": _status("VmHWM"), "added": _status("VmHWM") - before}


def _status(key: str) -> float:
    """MiB of this process. getrusage would do for the peak, had it not inherited that of the parent."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 2**10


def memory(args: argparse.Namespace, case: str) -> dict[str, float]:
    """MiB of a process of its own for each, and ratios."""
    result: dict[str, float] = {}
    for which in STEPS:
        chosen = [f"--{name}={getattr(args, name)}" for name in ("dtype", "frames", "layers", "threads")]
        command = [sys.executable, __file__, *chosen, "--resident", which, "--case", case]
        made = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        result |= {f"{which}_{key}": value for key, value in made.items()}
    return result | {f"{key}_ratio": result[f"ours_{key}"] / result[f"diffusers_{key}"] for key in ("peak", "added")}


def counted(args: argparse.Namespace, case: str, frames: int, layers: int) -> dict[str, float]:
    """MiB that a step takes beside weights and inputs, without running it, and the ratio."""
    from phonofilm.backends.published.planning.footprint import cost

    sizes = argparse.Namespace(**{**vars(args), "frames": frames, "layers": layers})
    found = {}
    for which in STEPS:

        def prepare(which: str = which) -> Callable[[], tuple]:
            return STEPS[which](NETWORKS[which](layers).eval(), sizes, case)

        found[which] = cost(prepare, torch.device("cpu"), dtype_of(args)).peak / 2**20
    # ours keeps its rotary tables from step to step; they count as well
    widths = PRESETS["ltx2"].video.width + PRESETS["ltx2"].exchange_width
    found["ours"] += frames * HEIGHT * WIDTH * widths * dtype_of(args).itemsize / 2**20
    return found | {"ratio": found["ours"] / found["diffusers"]}


def measure(args: argparse.Namespace) -> dict[str, dict]:
    return {
        case: {
            "seconds": compare(args, case),
            "mib": memory(args, case),
            "counted_mib": counted(args, case, args.frames, 1),
            "counted_mib_5s": counted(args, case, COUNTED, 1),
        }
        for case in ([args.case] if args.case else CASES)
    }


def table(args: argparse.Namespace, report: dict[str, dict]) -> str:
    """Markdown rows: ratios first."""
    rows = []
    for case, found in report.items():
        seconds, mib, count, long = (found[key] for key in ("seconds", "mib", "counted_mib", "counted_mib_5s"))
        rows.append(
            f"| {args.dtype}, {args.frames * HEIGHT * WIDTH} video tokens, {args.layers} of 48 layers, "
            f"{case.replace('_', ' ')} "
            f"| **{seconds['ratio']:.2f}** ({seconds['ours']:.1f} s / {seconds['diffusers']:.1f} s) "
            f"| **{mib['added_ratio']:.2f}** ({mib['ours_added']:.0f} / {mib['diffusers_added']:.0f} MiB) "
            f"| {mib['peak_ratio']:.2f} | {count['ratio']:.2f} "
            f"| {long['ratio']:.2f} ({long['ours']:.0f} / {long['diffusers']:.0f} MiB) "
            f"| {seconds['relative_difference']:.1e} |"
        )
    return "\n".join(rows)


HEADER = """| case | time, ours / diffusers' | memory of a step, measured | weights included | counted \
| counted for 5 s | outputs differ by |
|---|---|---|---|---|---|---|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=tuple(SUITES), help="only this one")
    parser.add_argument("--frames", type=int, help="latent frames")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resident", choices=tuple(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--case", choices=CASES, help="only this noise case")
    parser.add_argument("--json", action="store_true", help="all numbers instead of the table")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    reports = []
    if not args.json and not args.resident:
        print(HEADER)
    for dtype, sizes in SUITES.items():
        if args.dtype not in (None, dtype):
            continue
        given = {name: value for name, value in vars(args).items() if value is not None}
        chosen = argparse.Namespace(**{**vars(args), **sizes, **given, "dtype": dtype})
        if args.resident:
            print(json.dumps(resident(chosen, args.case, args.resident)))
            return
        report = measure(chosen)
        reports.append({"settings": vars(chosen), "cases": report})
        if not args.json:
            print(table(chosen, report), flush=True)
    if args.json:
        print(json.dumps(reports, indent=1))


if __name__ == "__main__":
    main()
