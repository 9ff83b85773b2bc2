"""What `--dry-run` says a job will take, beside what the same command takes.

    python benchmarks/plan.py [--sizes tiny,wide --only quantize --json]
    python benchmarks/plan.py --published

LTX-2's folder is written with random weights, as in the tests: `tiny` all through, and `wide`, whose transformer has
two layers of the published width in float32. Then `phonofilm generate` is run on it, first with `--dry-run` and then
in earnest, for each way of keeping the weights. Measured is the highest resident size of that process, its libraries
included, which the plan's peak includes too; and the time of its stages, against the expected. Prints a Markdown table
for docs/performance.md.

`--published` only plans, for LTX-2 at its published size in bfloat16: files of that size that hold nothing, of which a
disk with sparse files keeps some kilobytes. Prints the stages, and what the transformers of LTX-2 and Wan take in 16, 8
and 4 bits, for docs/models.md.
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
GEMMA = {
    "hidden_size": 3840,
    "intermediate_size": 15360,
    "num_hidden_layers": 48,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 256,
    "vocab_size": 262208,
}
"""Gemma 3 12B, as its model card has it."""
WAN = {
    "14B": {"num_layers": 40, "num_attention_heads": 40, "ffn_dim": 13824},
    "5B": {"num_layers": 30, "num_attention_heads": 24, "ffn_dim": 14336, "in_channels": 48, "out_channels": 48},
}
"""Networks of Wan 2.2, as their repositories have them; the rest is diffusers' default."""
KINDS = ("int8", "fp8", "nf4")
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


def write_published(folder: Path) -> None:
    """Configurations, and files with headers alone, of components at diffusers' defaults, which are LTX-2's sizes."""
    import torch
    from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLLTX2Video, LTX2VideoTransformer3DModel
    from diffusers.pipelines.ltx2 import LTX2TextConnectors, LTX2Vocoder
    from tiny_ltx2 import save_index, save_tokenizer
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    text = Gemma3Config(text_config=GEMMA)
    with torch.device("meta"):
        made = {
            "transformer": LTX2VideoTransformer3DModel(rope_type="split"),
            "connectors": LTX2TextConnectors(rope_type="split"),
            "vae": AutoencoderKLLTX2Video(spatial_compression_ratio=32, temporal_compression_ratio=8),
            "audio_vae": AutoencoderKLLTX2Audio(),
            "vocoder": LTX2Vocoder(),
        }
        encoder = Gemma3ForConditionalGeneration(text)
    for name, module in made.items():
        module.save_config(folder / name)
        write_empty(folder / name / "diffusion_pytorch_model.safetensors", module.state_dict())
    text.save_pretrained(folder / "text_encoder")
    write_empty(folder / "text_encoder/model.safetensors", encoder.state_dict())
    save_tokenizer(folder)
    save_index(folder)


def write_empty(path: Path, tensors: dict[str, Any]) -> None:
    """A bfloat16 file of safetensors whose tensors are a hole in the disk."""
    header, end = {}, 0
    for name, tensor in tensors.items():
        start, end = end, end + 2 * tensor.numel()
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [start, end]}
    head = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as opened:
        opened.write(len(head).to_bytes(8, "little") + head)
        opened.truncate(8 + len(head) + end)


def published() -> str:
    """The plan of five seconds of 768x512, as a Markdown table."""
    with tempfile.TemporaryDirectory() as folder:
        script = f"from pathlib import Path; from plan import write_published; write_published(Path({folder!r}))"
        paths = os.pathsep.join([str(Path(__file__).parent), sys.path[0]])
        subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | {"PYTHONPATH": paths})
        words = ["generate", "a red ball", "--model", folder, "--device", "cpu", "--offload", "disk", "--dry-run"]
        words += ["--seconds", "5", "--size", "768x512", "-o", f"{folder}/a.mp4"]
        stages = run(words, Path(folder))[0]["plan"]["stages"]
        small = {kind: run([*words, "--quantize", kind], Path(folder))[0]["plan"]["stages"] for kind in KINDS}
    rows = [f"| {one['name']} | {one['weights'] / 1e9:.2f} GB | {one['work'] / 1e9:.2f} GB |" for one in stages]
    taken = {"bfloat16": stages} | small
    weights = [next(stage["weights"] for stage in found if stage["name"] == "sampling") for found in taken.values()]
    return "\n".join(["| stage | weights | beside them |", "|---|---|---|", *rows, "", in_bits(weights)])


def in_bits(ltx2: list[int]) -> str:
    """Bytes of the transformers in bfloat16 and of each kind, as a Markdown table."""
    import torch

    from phonofilm.backends.wan.quantize import network_bytes

    lines = [f"| in memory | {' | '.join(('bfloat16', *KINDS))} |", "|---" * (2 + len(KINDS)) + "|"]
    rows = {"LTX-2": ltx2}
    for size, config in WAN.items():
        kinds: tuple[Any, ...] = (None, *KINDS)
        rows[f"an expert of Wan 2.2, {size}"] = [
            network_bytes(json.dumps(config), torch.bfloat16, kind) for kind in kinds
        ]
    return "\n".join(
        [*lines, *(f"| {name} | {' | '.join(f'{n / 1e9:.2f} GB' for n in row)} |" for name, row in rows.items())]
    )


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
    parser.add_argument("--published", action="store_true", help="only plan, at LTX-2's published size")
    args = parser.parse_args()
    if args.published:
        print(published())
        return
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
