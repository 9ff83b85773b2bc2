"""The video autoencoder's task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from phonofilm.codecs.video_loss import VideoLossConfig, video_loss
from phonofilm.codecs.video_vae import VideoVAE, VideoVAEConfig
from phonofilm.data.building import sets_text
from phonofilm.data.clips import to_model_frames
from phonofilm.errors import PhonofilmError
from phonofilm.training.optim.optimizers import OptimConfig
from phonofilm.training.tasks.base import Batch, RunConfig, generator_for
from phonofilm.training.tasks.codec_base import ClipRows, ClipsConfig, KeepConfig, Older
from phonofilm.training.tasks.crops import Crops
from phonofilm.training.tasks.previews import save_frames


@dataclass(frozen=True)
class VideoVAERecipe:
    """recipes/video_vae.toml"""

    kind: Literal["video_vae"]
    run: RunConfig
    optim: OptimConfig = field(default_factory=OptimConfig)
    data: ClipsConfig = field(default_factory=ClipsConfig)
    model: VideoVAEConfig = field(default_factory=VideoVAEConfig)
    loss: VideoLossConfig = field(default_factory=VideoLossConfig)
    keep: KeepConfig = field(default_factory=KeepConfig)


class VideoVAETask:
    """Random windows of clips through the autoencoder."""

    Recipe = VideoVAERecipe
    filename = "video_vae.safetensors"
    free_at_resume: ClassVar[frozenset[str]] = frozenset()
    may_be_fresh: ClassVar[tuple[str, ...]] = ()

    def __init__(self, recipe: VideoVAERecipe) -> None:
        if recipe.data.window % recipe.model.time != 1:
            raise PhonofilmError(f"data.window must be 1 + {recipe.model.time}·n frames, not {recipe.data.window}")
        self.recipe = recipe
        self.clips = ClipRows(recipe.data, recipe.run)
        self.older = Older.of(VideoVAE, recipe.keep, recipe.model)
        data = recipe.data
        self.crops = Crops(self.clips.source.shape(), data.window, data.crop, data.moving if data.crop else 0.0)

    def build(self) -> VideoVAE:
        return VideoVAE(self.recipe.model)

    def batch(self, step: int) -> Batch:
        """frames uint8 [B, window, H, W, 3], a random crop of each clip; keep bool [B], whose latents are kept."""
        rows, source = self.clips.training(step), self.clips.source
        generator = generator_for("window", self.recipe.run.seed, step)
        cuts = []
        for row in rows:
            box = self.crops.draw(row, lambda row=row: source.window(row), generator)  # type: ignore[misc]
            cut = box.cut(source.window(row, box.start, box.start + box.frames))
            mirrored = self.recipe.data.flip and float(torch.rand((), generator=generator)) < 0.5
            cuts.append(cut.flip(2) if mirrored else cut)
        return {"frames": torch.stack(cuts), "keep": self.clips.of_families(rows, self.recipe.keep.families)}

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        frames = to_model_frames(batch["frames"], self.recipe.data.window)
        kept = self.older and self.older.kept(batch["keep"], frames, lambda codec, x: codec.encode_raw(x)[0])
        return video_loss(model, frames, generator, self.recipe.loss, kept)  # type: ignore[arg-type]

    def faulty(self, step: int | None) -> list[str]:
        """None: pictures are whole numbers."""
        return []

    def validate(self, model: nn.Module, step: int, folder: Path) -> dict[str, float]:
        """PSNR in dB of held-out clips, over all pixels and weighted by how much they change, and by family."""
        squares, moving, last = [], [], None
        for frames in self._whole(self.clips.held_out(), model):
            decoded = model.decode(model.encode(frames)[0])[0].float()  # type: ignore[operator]
            error = (decoded - frames).square().mean(1) / 4
            change = frames.diff(dim=2).abs().mean(1).flatten(1) + 1e-6
            squares.append(error.mean(dim=(1, 2, 3)))
            moving.append((error[:, 1:].flatten(1) * change).sum(1) / change.sum(1))
            last = frames, decoded
        if last is not None:
            save_frames(folder / f"{step:07d}.png", last[0][:4], last[1][:4])
        found = {"psnr": _decibel(torch.cat(squares)), "psnr_moving": _decibel(torch.cat(moving))}
        found |= {f"psnr_{name}": _decibel(part) for name, part in self.clips.by_family(torch.cat(squares))}
        return found

    def finish(self, model: nn.Module) -> None:
        """Latents of whole training clips get unit variance; kept ones, the scale that they had."""
        if self.older is not None:
            self.older.restore(model)
            return
        model.calibrate(self._whole(self.clips.sample(0, 16), model))  # type: ignore[operator]

    def compile(self, model: nn.Module) -> None:
        for name in ("encode_raw", "decode_raw"):
            setattr(model, name, torch.compile(getattr(model, name)))

    def provenance(self) -> dict[str, str]:
        return {"data": self.clips.source.digest(), **sets_text(self.clips.source)}

    def _whole(self, batches: list[list[int]], model: nn.Module) -> Iterator[Tensor]:
        device = next(model.parameters()).device
        for rows in batches:
            frames = self.clips.source.frames(rows)
            time = self.recipe.model.time
            count = frames.shape[1] + (1 - frames.shape[1]) % time
            yield to_model_frames(frames, count).to(device)


def _decibel(squares: Tensor) -> float:
    """PSNR of each clip, averaged."""
    return float((-10 * squares.clamp_min(1e-10).log10()).mean())
