"""One step of our transformer against diffusers' LTX-2 class: same weights, same inputs, real layer widths.

    python benchmarks/step.py [--frames 6 --side 16 --layers 1 --rounds 7 --threads 1]

Both networks sit in one process and take turns, so that a noisy machine disturbs both alike; the time is that of the
process (all threads), not of the clock. Memory is measured in a process of its own for each: the highest resident size
of the whole process and what the step adds to the resident size before it. Two noise cases: one level for
the whole clip, as in text to both, and a clean first frame, as in picture to both, where diffusers' pipelines spell the
timestep out for every token and the two differ slightly, because diffusers does not follow the original gate. With one
layer the embedding of the noise level, which diffusers then computes for every token, weighs more than in 48.
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
PROMPT = 256


def our_network(layers: int) -> AVTransformer:
    full = PRESETS["ltx2"]
    return AVTransformer(
        replace(full, video=replace(full.video, layers=layers), audio=replace(full.audio, layers=layers))
    )


def their_network(layers: int) -> torch.nn.Module:
    from diffusers import LTX2VideoTransformer3DModel

    return LTX2VideoTransformer3DModel(num_layers=layers, rope_type="split")


def build(which: str, layers: int) -> torch.nn.Module:
    """Made on the meta device and filled in place, so that construction leaves no peak of its own behind."""
    with torch.device("meta"):
        model = (our_network if which == "ours" else their_network)(layers)
        for parameter in model.parameters():
            parameter.data = parameter.data.bfloat16()
    model = model.to_empty(device="cpu").eval()
    # Drawing billions of numbers would take longer than the steps: a million are repeated.
    drawn = 0.02 * torch.randn(2**20, generator=torch.Generator().manual_seed(0)).bfloat16()
    for parameter in model.parameters():
        for part in parameter.data.flatten().split(len(drawn)):
            part.copy_(drawn[: len(part)])
    return model


def share_weights(ours: AVTransformer, theirs: torch.nn.Module) -> None:
    weights = theirs.state_dict()
    ours.load_state_dict({name: weights[published_name(name, "diffusers")] for name in ours.state_dict()}, assign=True)


def inputs(args: argparse.Namespace, case: str) -> tuple[Grid, Latents, Latents, Text]:
    torch.manual_seed(0)
    frames = 1 + 8 * (args.frames - 1)
    grid = Grid(frames, 32 * args.side, 32 * args.side, Fraction(24), GEOMETRY)
    latents = Latents(torch.randn(1, 128, *grid.video_shape), torch.randn(1, 128, grid.audio_length))
    sigma = Latents(torch.full((1, 1, 1, 1, 1), 0.7), torch.full((1, 1, 1), 0.7))
    if case == "first_frame":
        steps = sigma.video.repeat(1, 1, args.frames, 1, 1)
        steps[:, :, 0] = 0
        sigma = Latents(steps, sigma.audio)
    text = Text(torch.randn(1, PROMPT, 3840, dtype=torch.bfloat16), torch.ones(1, PROMPT, dtype=torch.bool))
    return grid, latents, sigma, text


def our_step(model: AVTransformer, args: argparse.Namespace, case: str) -> Callable[[], tuple]:
    grid, latents, sigma, text = inputs(args, case)
    positions = grid.positions()

    def step() -> tuple:
        made = model(latents, sigma, text, positions)
        return made.video.flatten(2).mT, made.audio.mT

    return step


def their_step(model: torch.nn.Module, args: argparse.Namespace, case: str) -> Callable[[], tuple]:
    grid, latents, sigma, text = inputs(args, case)
    video, audio = latents.video.flatten(2).mT.bfloat16(), latents.audio.mT.bfloat16()
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
    theirs = build("diffusers", args.layers)
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
    step = STEPS[which](build(which, args.layers), args, case)
    before = _status("VmRSS")
    step()
    return {"peak": _status("VmHWM"), "added": _status("VmHWM") - before}


def _status(key: str) -> float:
    """MiB of this process. getrusage would do for the peak, had it not inherited that of the parent."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 2**10


def memory(args: argparse.Namespace, case: str) -> dict[str, float]:
    result: dict[str, float] = {}
    for which in STEPS:
        command = [sys.executable, __file__, *sys.argv[1:], "--resident", which, "--case", case]
        made = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        result |= {f"{which}_{key}": value for key, value in made.items()}
    for key in ("peak", "added"):
        result[f"{key}_ratio"] = result[f"ours_{key}"] / result[f"diffusers_{key}"]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=6, help="latent frames")
    parser.add_argument("--side", type=int, default=16, help="latent rows and columns")
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resident", choices=tuple(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--case", choices=CASES, help="only this noise case")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.resident:
        print(json.dumps(resident(args, args.case, args.resident)))
        return
    cases = [args.case] if args.case else CASES
    report = {case: {"seconds": compare(args, case), "mib": memory(args, case)} for case in cases}
    print(json.dumps({"settings": vars(args), "cases": report}, indent=1))


if __name__ == "__main__":
    main()
