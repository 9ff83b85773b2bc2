"""What the codecs' tasks share: where their clips come from, and which are held out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from phonofilm.checkpoint import load_module
from phonofilm.codecs.audio_vae import AudioVAE
from phonofilm.codecs.kept import Kept
from phonofilm.codecs.video_vae import VideoVAE
from phonofilm.data.clips import JoinedStores, RawStore, TrainingSource, WorldSource
from phonofilm.errors import PhonofilmError
from phonofilm.training.tasks.base import RunConfig, rows_at


@dataclass(frozen=True)
class ClipsConfig:
    """Clips to train a codec on.

    Attributes:
        folder: a raw store; without it, clips of `families` are drawn on the fly.
        held_out: the first so many rows are for validation only.
        window: frames (pictures: 1 + 2·n; sound: mel frames) of a training window, cut at random.
        more: further raw stores; their clips follow those of `folder`.
        crop: side in pixels of the squares that pictures are cut to for training; None keeps them whole.
        moving: share of the crops that lie where, and when, something moves; the others lie anywhere.
        flip: whether pictures are mirrored half of the time.
        stems: whether sounds are single stems and new mixes of them too, cut at any sample.
        speech: share of those sounds that are speech of some scene, alone or with another stem.
    """

    folder: Path | None = None
    families: tuple[str, ...] = ("bounce", "strike")
    first_seed: int = 0
    held_out: int = 32
    window: int = 17
    more: tuple[Path, ...] = ()
    crop: int | None = None
    moving: float = 0.5
    flip: bool = False
    stems: bool = False
    speech: float = 0.0


@dataclass(frozen=True)
class KeepConfig:
    """Latents that must stay valid while the codec learns more.

    Attributes:
        weights: a codec whose latents of clips of `families` are kept, with which a generator was trained; start
            from the same weights (`run.init`). None keeps nothing.
        families: of the world; latents of the others are free.
    """

    weights: Path | None = None
    families: tuple[str, ...] = ("bounce", "strike")


class ClipRows:
    """Rows of a source for training and validation, as a pure function of the step."""

    def __init__(self, config: ClipsConfig, run: RunConfig) -> None:
        self.config, self.run = config, run
        if config.folder is not None:
            stores = [RawStore(folder) for folder in (config.folder, *config.more)]
            self.source: TrainingSource = JoinedStores(stores) if config.more else stores[0]
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

    def of_families(self, rows: Sequence[int], families: Sequence[str]) -> Tensor:
        """bool [B]: which rows are clips of these families."""
        return torch.tensor([self.source.family(row) in families for row in rows])

    def by_family(self, values: Tensor) -> Iterator[tuple[str, Tensor]]:
        """What was found of the held-out clips [held_out], apart by family."""
        names = [self.source.family(row) for row in range(self.config.held_out)]
        for name in sorted(set(names)):
            yield name, values[torch.tensor([other == name for other in names], device=values.device)]

    def faulty(self, rows: Sequence[int]) -> list[str]:
        """Those of some rows whose sound is not finite; pictures are whole numbers."""
        return [self.source.where(row) for row in dict.fromkeys(rows) if not self._is_finite(row)]

    def _is_finite(self, row: int) -> bool:
        source = self.source
        sound = source.stem_window(row) if self.config.stems else source.waveforms([row])
        return bool(sound.isfinite().all())

    def faulty_of(self, step: int | None) -> list[str]:
        """See `Task.faulty`."""
        return self.faulty(range(self.config.held_out) if step is None else self.training(step))

    def finite(self, rows: Sequence[int]) -> list[int]:
        """Those of some rows whose sound is finite."""
        return [row for row in rows if self.source.waveforms([row]).isfinite().all()]

    def sample(self, step: int, batches: int) -> list[list[int]]:
        """Some batches of training rows, to calibrate on."""
        return [self.training(step + i) for i in range(batches)]


class Older:
    """The codec whose latents are kept."""

    def __init__(self, codec: VideoVAE | AudioVAE) -> None:
        self.codec = codec

    @classmethod
    def of(cls, kind: type[VideoVAE | AudioVAE], keep: KeepConfig, config: object) -> Older | None:
        """The codec that a recipe names, or None.

        Raises:
            PhonofilmError: no such weights, or of another configuration than the codec in training.
        """
        if keep.weights is None:
            return None
        codec = load_module(kind, keep.weights)
        if codec.config != config:
            raise PhonofilmError(f"{keep.weights} is another kind of codec: its latents cannot be kept")
        return cls(codec)

    @torch.no_grad()
    def kept(self, clips: Tensor, inputs: Tensor, encode: Callable[[Any, Tensor], Tensor]) -> Kept:
        """Its latents, before normalisation, of those clips [B] that are kept."""
        return Kept(clips, encode(self.codec.to(inputs.device), inputs[clips]).float())

    def restore(self, model: nn.Module) -> None:
        """Normalise the latents of a codec as its own."""
        for name in ("latent_mean", "latent_std"):
            getattr(model, name).copy_(getattr(self.codec, name))


def cut(total: int, window: int, generator: torch.Generator) -> int:
    """A random start for a window; 0 where the whole fits."""
    return int(torch.randint(max(1, total - window + 1), (), generator=generator))
