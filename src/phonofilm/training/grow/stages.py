"""The stages of a run, each of which takes what time it is given and goes on where it was stopped."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from phonofilm.checkpoint import read_metadata, weight_files
from phonofilm.data.clips import RawStore, WorldSource
from phonofilm.data.encoder import Encoder
from phonofilm.data.latents import write_latents
from phonofilm.data.raw import write_raw
from phonofilm.errors import PhonofilmError
from phonofilm.training import train
from phonofilm.training.grow import parts
from phonofilm.training.grow.recipe import CODECS, GrowRecipe, beside
from phonofilm.training.loop import CHECKPOINT
from phonofilm.workers import cores

LATENT_SHARD = 120


@dataclass(frozen=True)
class Clock:
    """When a run has to be over, in `time.monotonic` seconds."""

    end: float

    @staticmethod
    def of(minutes: float) -> Clock:
        return Clock(time.monotonic() + 60 * minutes)

    def left(self) -> float:
        """Seconds, 0 when it is over."""
        return max(0.0, self.end - time.monotonic())

    def within(self, fraction: float) -> Clock:
        """A clock that is over after a fraction of what is left."""
        return Clock(time.monotonic() + fraction * self.left())


@dataclass(frozen=True)
class Place:
    """Where a run reads and writes.

    Attributes:
        recipe: its file. work: clips, latents and checkpoints. output: the weights that it leaves.
        init: weights to go on from, whole or in parts; None starts afresh.
    """

    recipe: Path
    work: Path
    output: Path
    init: Path | None = None

    def weights(self, name: str) -> Path | None:
        """Weights to go on from."""
        if self.init is None:
            return None
        path = self.init / f"{name}.safetensors"
        there = weight_files(path) or any(self.init.glob(f"{name}-*of*.safetensors"))  # a missing part is said later
        return path if there else None


def draw(recipe: GrowRecipe, folder: Path, clock: Clock) -> RawStore:
    """Draw clips with every core, as many as are asked for and as there is time for."""
    config = recipe.draw
    source = WorldSource(
        config.families,
        first_seed=config.first_seed,
        seconds=config.seconds,
        size=config.size,
        fps=config.fps,
        sample_rate=config.sample_rate,
        edition=config.edition,
    )
    write_raw(
        source,
        config.clips,
        folder,
        shard=config.shard,
        batch=config.batch,
        workers=config.workers or cores(),
        stems=True,
        until=lambda: clock.left() == 0,
    )
    return RawStore(folder)


def train_codecs(recipe: GrowRecipe, place: Place, clock: Clock) -> list[Path]:
    """Draw, train the codecs that have a share, one after the other, and leave their weights."""
    draw(recipe, place.work / "raw", clock.within(recipe.time.draw))
    names = [name for name in CODECS if recipe.part(name).share > 0]
    written = []
    for number, name in enumerate(names):
        rest = [recipe.part(other).share for other in names[number:]]
        written += _train(recipe, name, place, place.work / "raw", clock.within(rest[0] / sum(rest)))
    return written


def train_network(recipe: GrowRecipe, place: Place, clock: Clock) -> list[Path]:
    """Draw, encode with the codecs of `place.init`, train the network, and leave its weights.

    Raises:
        PhonofilmError: no codecs to encode with.
    """
    codecs = [place.weights(name) for name in CODECS[:2]]
    if codecs[0] is None or codecs[1] is None or codecs[0].parent != codecs[1].parent:
        raise PhonofilmError("the network learns latents: name a folder with video_vae and audio_vae as --init")
    raw = draw(recipe, place.work / "raw", clock.within(recipe.time.draw))
    latents = place.work / "latents"
    encoder = Encoder.load(codecs[0].parent, "cuda" if torch.cuda.is_available() else "cpu")
    until = clock.within(recipe.time.encode)
    for count in [*range(LATENT_SHARD, len(raw), LATENT_SHARD), len(raw)]:
        write_latents(raw, count, encoder, latents, shard=LATENT_SHARD, stems=True)
        if until.left() == 0:
            break
    return _train(recipe, "network", place, latents, clock)


def _train(recipe: GrowRecipe, name: str, place: Place, data: Path, clock: Clock) -> list[Path]:
    """Train one network until the clock is over, less the reserve, and leave its weights in files that can travel."""
    part, folder = recipe.part(name), place.work / name
    minutes = _done(folder / CHECKPOINT) + max(clock.left() - part.reserve, 1.0) / 60
    init = place.weights("transformer" if name == "network" else name)
    settings = [*part.set, f"run.output={folder}", f"data.folder={data}", f"run.max_minutes={minutes:.4f}"]
    if init is not None:
        settings.append(f"run.init={init}")
    trained = train(beside(place.recipe, part), settings, resume=True)
    place.output.mkdir(parents=True, exist_ok=True)
    return parts.split(trained, place.output)


def _done(checkpoint: Path) -> float:
    """Minutes that a run has trained already."""
    if not checkpoint.exists():
        return 0.0
    return float(json.loads(read_metadata(checkpoint)["progress"])["seconds"]) / 60
