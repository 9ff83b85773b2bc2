"""What the codecs of nano keep of a clip of 64x64, by family of Foley World.

    python benchmarks/codecs.py [--codecs nano --clips 60]

On scenes that none of them saw: PSNR of the pictures; mean absolute error of log mels through the audio codec; and the
same of what the vocoder makes of true mels. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from phonofilm.checkpoint import load_module
from phonofilm.codecs.audio_vae import AudioVAE
from phonofilm.codecs.video_vae import VideoVAE
from phonofilm.codecs.vocoder import Vocoder
from phonofilm.training.tasks.base import make_task
from phonofilm.weights import codecs_folder
from phonofilm.world import FAMILIES

FIRST_SEED = 70_000_000
KINDS = {
    "video_vae": (VideoVAE, 17, "psnr", "PSNR, dB"),
    "audio_vae": (AudioVAE, 41, "error_db", "audio codec, dB"),
    "vocoder": (Vocoder, 40, "mel_db", "vocoder, dB"),
}


@torch.inference_mode()
def measured(codecs: str, kind: str, clips: int) -> dict[str, float]:
    """What validation finds, as in training."""
    network, window, _, _ = KINDS[kind]
    data = {"families": list(FAMILIES), "first_seed": FIRST_SEED, "held_out": clips, "window": window}
    with tempfile.TemporaryDirectory() as folder:
        task = make_task({"kind": kind, "run": {"output": folder}, "data": data})
        return task.validate(load_module(network, codecs_folder(codecs) / f"{kind}.safetensors"), 0, Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codecs", default="nano", help="nano, or folders of the same kind, with commas between")
    parser.add_argument("--clips", type=int, default=60, help="of all families together")
    given = parser.parse_args()
    print(f"| codecs | measure | all | {' | '.join(FAMILIES)} |")
    print("|---" * (3 + len(FAMILIES)) + "|")
    for codecs in given.codecs.split(","):
        for kind, (_, _, name, title) in KINDS.items():
            found = measured(codecs, kind, given.clips)
            cells = [found[name], *(found[f"{name}_{family}"] for family in FAMILIES)]
            print(f"| {codecs} | {title} | {' | '.join(f'{cell:.2f}' for cell in cells)} |", flush=True)


if __name__ == "__main__":
    main()
