"""What `--dry-run` says a job will take, beside what the same command takes.

    python benchmarks/plan.py [--sizes tiny,wide --only quantize --json]

LTX-2's folder is written with random weights, as in the tests: `tiny` all through, and `wide`, whose transformer has
two layers of the published width in float32. Then `phonofilm generate` is run on it, first with `--dry-run` and then
in earnest, for each way of keeping the weights. Measured is the highest resident size of that process, its libraries
included, which the plan's peak includes too; and the time of its stages, against the expected. Prints a Markdown table
for docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/backends/ltx2"))
COMMAND = Path(sys.executable).with_name("phonofilm")
WIDE = {
    "num_attention_heads": 32,
    "attention_head_dim": 128,
    "cross_attention_dim": 4096,
    "audio_num_attention_heads": 32,
    "audio_attention_head_dim": 64,
    "audio_cross_attention_dim": 2048,
}
DISK = "--offload disk"
JOBS = {
    "tiny": ("--seconds 2 --size 256x256 --steps 2", ("--offload none", DISK)),
    "wide": (
        "--seconds 1 --size 384x256 --steps 1",
        ("--offload none", DISK, f"{DISK} --quantize int8", f"{DISK} --quantize nf4"),
    ),
}
"""Each size's request, and the ways in which it is made."""


def write(size: str, folder: Path) -> Path:
    """The files; in a process of its own, which takes its memory with it."""
    options = WIDE if size == "wide" else {}
    script = f"from pathlib import Path; from tiny_ltx2 import *; save_tiny_ltx2(Path({str(folder)!r}), **{options})"
    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | {"PYTHONPATH": sys.path[0]})
    return folder


def run(words: list[str], work: Path) -> tuple[dict[str, Any], int]:
    """What the command says as JSON, and the highest resident size of its process in bytes."""
    process = subprocess.Popen(
        [COMMAND, *words, "--json"], stdout=subprocess.PIPE, text=True, env=os.environ | {"PHONOFILM_WORK": str(work)}
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)} failed")
    return json.loads(said), usage.ru_maxrss * 1024


def measure(size: str, folder: Path, request: str, way: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as work:
        words = ["generate", "a red ball", "--model", str(folder), "--device", "cpu", "-o", f"{work}/a.mp4"]
        words += [*request.split(), *way.split()]
        plan, _ = run([*words, "--dry-run"], Path(work))
        made, peak = run(words, Path(work))
    seconds = sum(made["stages"].values())
    return {
        "planned": plan["plan"]["peak"],
        "measured": peak,
        "ratio": plan["plan"]["peak"] / peak,
        "expected_seconds": plan["plan"]["seconds"],
        "seconds": seconds,
    }


def row(size: str, way: str, found: dict[str, float]) -> str:
    return (
        f"| {size}, `{way}` | {found['planned'] / 1e9:.2f} GB | {found['measured'] / 1e9:.2f} GB "
        f"| **{found['ratio']:.2f}** | {found['expected_seconds']:.0f} s | {found['seconds']:.0f} s |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=",".join(JOBS), help="which, with commas between")
    parser.add_argument("--only", default="", metavar="TEXT", help="ways that contain this")
    parser.add_argument("--json", action="store_true", help="all numbers instead of the table")
    args = parser.parse_args()
    report = {}
    if not args.json:
        print("| model, how | planned peak | measured peak | ratio | expected time | time |\n|---|---|---|---|---|---|")
    for size in args.sizes.split(","):
        request, ways = JOBS[size][0], [way for way in JOBS[size][1] if args.only in way]
        with tempfile.TemporaryDirectory() as folder:
            write(size, Path(folder))
            for way in ways:
                report[f"{size} {way}"] = found = measure(size, Path(folder), request, way)
                if not args.json:
                    print(row(size, way, found), flush=True)
    if args.json:
        print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
