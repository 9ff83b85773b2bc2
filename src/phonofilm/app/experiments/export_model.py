"""Puts a trained model together in one folder: four files of weights that belong to each other.

    python -m phonofilm.app.experiments.export_model --transformer runs/nano --codecs weights/ \
        -o src/phonofilm/assets/nano --set steps=24 --set shift=3.0

What the transformer's weights say of their sampling (`backends.trained.ModelDefaults`) is written into their
metadata here, with the error above which a picture is far from what the model knows.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from phonofilm.backends.familiar import reconstruction_error
from phonofilm.backends.native import NativeBackend
from phonofilm.checkpoint import file_sha256, load_tensors, save_tensors
from phonofilm.config import parse_json, portable
from phonofilm.data.clips import to_model_frames
from phonofilm.errors import PhonofilmError, exit_code
from phonofilm.files import check_folder
from phonofilm.sampling import Denoiser, Given
from phonofilm.types import Latents
from phonofilm.weights import PARTS, codecs_folder, digest

KNOWN_SEED = 40_000_000


@torch.inference_mode()
def typical_error(
    backend: NativeBackend, clips: int = 32, quantile: float = 0.99, margin: float = 1.5
) -> tuple[float, float]:
    """A margin over a quantile of the errors (`familiar.reconstruction_error`) of what the model knows.

    Returns:
        (of whole films, of first frames).
    """
    from phonofilm import world

    trained = backend.parts.trained
    grid, denoiser = trained.grid(trained.frames), Denoiser(backend.parts.transformer, trained.prediction)
    nothing, channels = backend.parts.text.encode([""]), backend.parts.channels[1]
    stems = tuple(range(max(1, len(trained.stems))))
    errors: tuple[list[float], list[float]] = ([], [])
    for i in range(clips):
        frames = world.render([world.sample(("bounce", "strike")[i % 2], KNOWN_SEED + i)]).frames
        video = backend.parts.video_vae.encode(to_model_frames(frames, grid.model_frames))[0]
        values = Latents(video, torch.zeros(1, len(stems), channels, grid.audio_length))
        for found, known in zip(errors, (video.shape[2], 1), strict=True):
            mask = (torch.arange(video.shape[2]) < known)[None, None, :, None, None]
            given = Given(values, Latents(mask, torch.zeros(1, 1, 1, 1, dtype=torch.bool)))
            found.append(reconstruction_error(denoiser, nothing, given, grid.positions(stems)))
    whole, first = (round(float(np.quantile(found, quantile) * margin), 4) for found in errors)
    return whole, first


def ship(transformer: Path, codecs: str | Path, output: Path, trained: dict[str, object]) -> str:
    """Write the four files and return their common hash.

    Raises:
        PhonofilmError: a part is missing or corrupt.
    """
    check_folder(output).mkdir(parents=True, exist_ok=True)
    codecs = codecs_folder(codecs)
    hashes = {}
    for part in PARTS[1:]:
        tensors, metadata = load_tensors(codecs / f"{part}.safetensors")
        save_tensors(output / f"{part}.safetensors", tensors, _portable(metadata))
        hashes[part] = file_sha256(output / f"{part}.safetensors")
    tensors, metadata = load_tensors(transformer)
    said = {**json.loads(metadata.get("trained", "{}")), **trained}
    about = {**_portable(metadata), **hashes}
    save_tensors(output / "transformer.safetensors", tensors, about | {"trained": json.dumps(said)})
    said.pop("surprise", None)
    said["reconstruction_error"] = typical_error(NativeBackend.load(output, "cpu"))
    save_tensors(output / "transformer.safetensors", tensors, about | {"trained": json.dumps(said)})
    return digest(output)


def _portable(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata whose recipe names no folder of the machine it was trained on."""
    if "recipe" not in metadata:
        return dict(metadata)
    return {**metadata, "recipe": json.dumps(portable(json.loads(metadata["recipe"])), sort_keys=True)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Put weights together; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m phonofilm.app.experiments.export_model", description="Put a model's weights together."
    )
    parser.add_argument("--transformer", type=Path, required=True, help="transformer.safetensors of a run")
    parser.add_argument("--codecs", default="nano", help="those that ship, by name, or a folder of your own")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=JSON", help="how to sample, e.g. shift=3.0")
    given = parser.parse_args(arguments)
    return exit_code(lambda: _ship(given), lambda: f"{given.output} is not complete; run the same command again")


def _ship(given: argparse.Namespace) -> None:
    print(ship(given.transformer, given.codecs, given.output, dict(_setting(pair) for pair in given.set)))


def _setting(pair: str) -> tuple[str, object]:
    """A setting from KEY=JSON.

    Raises:
        PhonofilmError: it is none.
    """
    key, equals, value = pair.partition("=")
    try:
        if not equals:
            raise ValueError(pair)
        return key, parse_json(value)
    except ValueError as error:
        raise PhonofilmError(f"--set {pair!r} is not possible; write KEY=JSON, as shift=3.0") from error


if __name__ == "__main__":
    sys.exit(main())
