"""What a run from nothing to weights does, read from TOML: `recipes/nano_gpu.toml`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from phonofilm.errors import PhonofilmError
from phonofilm.world import FAMILIES

CODECS = ("video_vae", "audio_vae", "vocoder")


@dataclass(frozen=True)
class DrawConfig:
    """Which clips of the world are drawn.

    Attributes:
        clips: how many at most; as many as there is time for. shard: clips to a file, the unit of progress.
        first_seed: of each family; another machine's run takes others.
        edition: of Foley World: 1 is flat, 2 is lit and combines families.
        workers: processes; 0 takes every core.
    """

    clips: int
    families: tuple[str, ...] = FAMILIES
    first_seed: int = 1_000_000
    edition: int = 2
    seconds: float = 4.0
    size: int = 128
    fps: int = 24
    sample_rate: int = 24_000
    shard: int = 10
    batch: int = 5
    workers: int = 0

    def __post_init__(self) -> None:
        for name, least in (("clips", 1), ("shard", 1), ("batch", 1), ("workers", 0)):
            if getattr(self, name) < least:
                raise PhonofilmError(f"draw.{name} = {getattr(self, name)} is not possible; it starts at {least}")


@dataclass(frozen=True)
class PartConfig:
    """One network to train.

    Attributes:
        recipe: its own recipe, beside this one. set: settings of it that are replaced, "key.sub=value".
        share: of the time for training, among the parts of a stage; 0 leaves the part out.
        reserve: seconds at the end, to validate, to measure the latents' scale and to write the weights.
    """

    recipe: str
    set: tuple[str, ...] = ()
    share: float = 1.0
    reserve: float = 10.0


@dataclass(frozen=True)
class TimeConfig:
    """Where the minutes go.

    Attributes:
        draw: most of them, as a fraction, that drawing may take. encode: the same of encoding.
    """

    draw: float = 0.35
    encode: float = 0.1


@dataclass(frozen=True)
class GrowRecipe:
    """recipes/nano_gpu.toml"""

    kind: Literal["grow"]
    draw: DrawConfig
    video_vae: PartConfig
    audio_vae: PartConfig
    vocoder: PartConfig
    network: PartConfig
    time: TimeConfig = field(default_factory=TimeConfig)

    def part(self, name: str) -> PartConfig:
        """A part by its name."""
        found: PartConfig = getattr(self, name)
        return found


def beside(recipe: Path, part: PartConfig) -> Path:
    """The file of a part's own recipe."""
    return recipe.parent / part.recipe
