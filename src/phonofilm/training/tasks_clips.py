"""What the codecs' tasks share: where their clips come from, and which are held out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from phonofilm.data.clips import ClipSource, RawStore, WorldSource
from phonofilm.errors import PhonofilmError
from phonofilm.training.tasks import RunConfig, rows_at


@dataclass(frozen=True)
class ClipsConfig:
    """Clips to train a codec on.

    Attributes:
        folder: a raw store; without it, clips of `families` are drawn on the fly.
        held_out: the first so many rows are for validation only.
        window: frames (pictures: 1 + 2·n; sound: mel frames) of a training window, cut at random.
    """

    folder: Path | None = None
    families: tuple[str, ...] = ("bounce", "strike")
    first_seed: int = 0
    held_out: int = 32
    window: int = 17


class ClipRows:
    """Rows of a source for training and validation, as a pure function of the step."""

    def __init__(self, config: ClipsConfig, run: RunConfig) -> None:
        self.config, self.run = config, run
        if config.folder is not None:
            self.source: ClipSource = RawStore(config.folder)
        else:
            self.source = WorldSource(config.families, first_seed=config.first_seed)
        if len(self.source) <= config.held_out:
            raise PhonofilmError(f"{len(self.source)} clips are too few to hold out {config.held_out} of them")

    def training(self, step: int) -> list[int]:
        held_out = self.config.held_out
        rows = rows_at(self.run.seed, step, self.run.batch, len(self.source) - held_out)
        return [held_out + row for row in rows]

    def held_out(self) -> list[list[int]]:
        """Held-out rows in batches of 8."""
        rows = list(range(self.config.held_out))
        return [rows[i : i + 8] for i in range(0, len(rows), 8)]

    def sample(self, step: int, batches: int) -> list[list[int]]:
        """Some batches of training rows, to calibrate on."""
        return [self.training(step + i) for i in range(batches)]


def cut(total: int, window: int, generator: torch.Generator) -> int:
    """A random start for a window; 0 where the whole fits."""
    return int(torch.randint(max(1, total - window + 1), (), generator=generator))
