"""Puts a trained model together in one folder: four files of weights that belong to each other.

    python -m phonofilm.app.ship --transformer runs/nano --codecs weights/ -o src/phonofilm/assets/nano \
        --set steps=24 --set shift=3.0

What the transformer's weights say of their sampling (`backends.trained.Trained`) is written into their
metadata here, with the error above which a picture is far from those the video codec knows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from phonofilm.checkpoint import file_sha256, load_module, load_tensors, save_tensors
from phonofilm.codecs.video_vae import VideoVAE
from phonofilm.config import portable
from phonofilm.weights import PARTS, codecs_folder, digest

KNOWN_SEED = 40_000_000


@torch.inference_mode()
def picture_error(codec: VideoVAE, clips: int = 32, quantile: float = 0.99, margin: float = 1.25) -> float:
    """Root mean square error, in [-1, 1], that few single frames of Foley World exceed: a margin over the quantile."""
    from phonofilm import world

    truths = [world.sample(("bounce", "strike")[i % 2], KNOWN_SEED + i) for i in range(clips)]
    frames = world.render(truths).frames[:, ::12].flatten(0, 1).permute(0, 3, 1, 2)[:, :, None].float() / 127.5 - 1
    again = codec.decode(codec.encode(frames)[0])[0]
    errors = (again - frames).square().mean(dim=(1, 2, 3, 4)).sqrt().numpy()
    return float(np.quantile(errors, quantile) * margin)


def ship(transformer: Path, codecs: str | Path, output: Path, trained: dict[str, object]) -> str:
    """Write the four files and return their common hash.

    Raises:
        PhonofilmError: a part is missing or corrupt.
    """
    output.mkdir(parents=True, exist_ok=True)
    codecs = codecs_folder(codecs)
    hashes = {}
    for part in PARTS[1:]:
        tensors, metadata = load_tensors(codecs / f"{part}.safetensors")
        save_tensors(output / f"{part}.safetensors", tensors, _portable(metadata))
        hashes[part] = file_sha256(output / f"{part}.safetensors")
    codec = load_module(VideoVAE, codecs / "video_vae.safetensors", "cpu")
    tensors, metadata = load_tensors(transformer)
    said = {**json.loads(metadata.get("trained", "{}")), "picture_error": round(picture_error(codec), 4), **trained}
    about = {**_portable(metadata), **hashes, "trained": json.dumps(said)}
    save_tensors(output / "transformer.safetensors", tensors, about)
    return digest(output)


def _portable(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata whose recipe names no folder of the machine it was trained on."""
    if "recipe" not in metadata:
        return dict(metadata)
    return {**metadata, "recipe": json.dumps(portable(json.loads(metadata["recipe"])), sort_keys=True)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m phonofilm.app.ship", description="Put a model's weights together.")
    parser.add_argument("--transformer", type=Path, required=True, help="transformer.safetensors of a run")
    parser.add_argument("--codecs", default="nano", help="those that ship, by name, or a folder of your own")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=JSON", help="how to sample, e.g. shift=3.0")
    given = parser.parse_args(arguments)
    trained = {key: json.loads(value) for key, value in (pair.split("=", 1) for pair in given.set)}
    print(ship(given.transformer, given.codecs, given.output, trained))


if __name__ == "__main__":
    main()
