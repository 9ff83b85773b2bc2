"""What nano and what it learns from cost on this machine: making a film, a training step, drawing the world, encoding.

    python benchmarks/nano.py [--json]

Films are made by `phonofilm generate` in a process of its own, three times, and the median is taken of each stage. The
other rates are in clips per second of *processor* time of one thread, which is what an idle core gives and hardly
depends on what else the machine does. Prints a Markdown table for docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from phonofilm.precision import native_bfloat16

COMMAND = Path(sys.executable).with_name("phonofilm")
RECIPE = Path(__file__).parents[1] / "recipes/nano.toml"
PROMPT = "A red rubber ball bounces on a wooden floor."
BATCH = 16


def make(folder: Path, rounds: int = 3) -> dict[str, float]:
    """Seconds of each stage of a four-second film, and of the whole command."""
    runs = []
    for index in range(rounds):
        started = time.perf_counter()
        words = [COMMAND, "generate", PROMPT, "-o", str(folder / f"{index}.mp4"), "--json"]
        said = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        runs.append({**said["stages"], "in all": time.perf_counter() - started})
    return {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}


def rate(work: Callable[[int], object], clips: int, rounds: int = 3) -> float:
    """Clips per second of processor time; the first round warms up."""
    spent = []
    for index in range(1 + rounds):
        started = time.process_time()
        work(index)
        spent.append(time.process_time() - started)
    return clips / statistics.median(spent[1:])


def world(family: str) -> float:
    """Truth, picture and sound of a clip as training sees it: 64x64, 12 fps, 4 s, 16 kHz."""
    from phonofilm.data.clips import WorldSource

    source = WorldSource((family,))
    return rate(lambda index: source.read(range(index * BATCH, (index + 1) * BATCH)), BATCH)


def encode() -> float:
    """Clips that are drawn already, through both codecs and the text encoder."""
    from phonofilm.data.clips import WorldSource
    from phonofilm.data.encoder import Encoder

    source = WorldSource(("bounce", "strike"))
    encoder, clips = Encoder.load("nano", "cpu"), source.read(range(BATCH))
    grid = encoder.grid(source)
    return rate(lambda _: encoder.encode(clips, grid), BATCH)


def train(folder: Path, steps: int = 6) -> float:
    """The recipe's step, from the log of a real run."""
    from phonofilm.data.clips import WorldSource
    from phonofilm.data.encoder import Encoder
    from phonofilm.data.latents import write_latents

    write_latents(WorldSource(("bounce", "strike")), 128, Encoder.load("nano", "cpu"), folder / "latents")
    settings = {
        "data.folder": folder / "latents",
        "run.output": folder / "run",
        "run.threads": 1,
        "run.steps": steps,
        "run.log_every": 2,
        "run.validate_every": 1000,
    }
    chosen = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    subprocess.run([COMMAND, "train", str(RECIPE), *chosen, "--json"], check=True, capture_output=True)
    lines = map(json.loads, (folder / "run/log.jsonl").read_text().splitlines())
    return statistics.median([line["clips_per_second"] for line in lines if "clips_per_second" in line][1:])


def measure() -> dict[str, object]:
    from phonofilm.world import FAMILIES

    torch.set_num_threads(1)
    bfloat16 = "native" if native_bfloat16(torch.device("cpu")) else "emulated"
    with tempfile.TemporaryDirectory() as folder:
        return {
            "machine": f"{platform.machine()}, bfloat16 {bfloat16}",
            "generate": make(Path(folder)),
            "world": {family: round(world(family), 1) for family in FAMILIES},
            "encode": round(encode(), 1),
            "train": round(train(Path(folder)), 1),
        }


def table(found: dict) -> str:
    stages = ", ".join(f"{name} {seconds}" for name, seconds in found["generate"].items() if name != "in all")
    families = ", ".join(f"{family} {clips}" for family, clips in found["world"].items())
    return "\n".join(
        [
            f"| what | measured ({found['machine']}) |",
            "|---|---|",
            f"| `phonofilm generate`, 4 s, 12 steps with guidance | {found['generate']['in all']} s: {stages} |",
            f"| training step, batch 32, one thread | {found['train']} clips/s |",
            f"| Foley World at 64×64, clips/s of one core | {families} |",
            f"| encoding to latents, one core | {found['encode']} clips/s |",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="all numbers instead of the table")
    args = parser.parse_args()
    found = measure()
    print(json.dumps(found, indent=1) if args.json else table(found))


if __name__ == "__main__":
    main()
