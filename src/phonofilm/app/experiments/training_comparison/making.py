"""From trained stages to clips: one network, or a picture and then a sound for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from phonofilm.app.experiments.results import scene
from phonofilm.app.experiments.single_model_cascade import cascade
from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.backends.native import NativeBackend
from phonofilm.checkpoint import load_module, read_metadata
from phonofilm.evaluation.foley_world.detect import Observation, observe
from phonofilm.media import read_clip, write_clip
from phonofilm.model.transformer import AVTransformer
from phonofilm.model.unet import UNet3D
from phonofilm.types import Request


@dataclass(frozen=True)
class Making:
    """Clips for one worker to make.

    Attributes:
        codecs: folder of codecs and text encoder (any model of ours).
        weights: of each stage.
        folder: of the clips.
        numbers: held-out scenes whose prompts are used (see `results.scene`).
        seed: of the noise, with the scene's number.
    """

    codecs: Path
    weights: tuple[Path, ...]
    folder: Path
    numbers: Sequence[int]
    seed: int


def make(making: Making) -> int:
    """Make what is not there yet; returns how many clips that were."""
    from phonofilm import world

    torch.set_num_threads(1)
    todo = [number for number in making.numbers if not clip_path(making.folder, number).exists()]
    if not todo:
        return 0
    parts = NativeBackend.load(making.codecs, device="cpu")
    backends = [with_network(parts, path) for path in making.weights]
    making.folder.mkdir(parents=True, exist_ok=True)
    for number in todo:
        prompt = world.sample(*scene(number)).caption
        seed = 1000 * making.seed + number
        if len(backends) == 1:
            clip = backends[0].generate(Request(prompt=prompt, seed=seed))
        else:
            clip = cascade(backends[0], backends[1], prompt, seed)
        write_clip(clip, clip_path(making.folder, number))
    return len(todo)


def with_network(backend: NativeBackend, path: Path) -> NativeBackend:
    """The same codecs and text encoder around another network."""
    metadata = read_metadata(path)
    kind = UNet3D if metadata.get("kind") == "UNet3D" else AVTransformer
    network = load_module(kind, path, backend.device).requires_grad_(False)  # type: ignore[type-var]
    trained = ModelDefaults.read(metadata, backend.parts.trained.geometry, str(path))
    parts = replace(backend.parts, transformer=network, trained=trained)  # type: ignore[arg-type]
    return replace(backend, name=path.parent.name, parts=parts)


def clip_path(folder: Path, number: int) -> Path:
    return folder / f"{number:04d}.mp4"


def look(path: Path) -> Observation:
    """One written clip, observed."""
    torch.set_num_threads(1)
    return observe(read_clip(path), path.stem)
