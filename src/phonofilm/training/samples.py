"""What validation shows of a generator: truth, and films, sounds and pictures made from the same captions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from phonofilm.checkpoint import load_module
from phonofilm.codecs.audio_vae import AudioVAE
from phonofilm.codecs.video_vae import VideoVAE
from phonofilm.codecs.vocoder import Vocoder
from phonofilm.media import write_clip
from phonofilm.sampling import Denoiser, Given, Guided, draw_noise, euler, flow_sigmas
from phonofilm.training.pictures import save_frames, save_mels
from phonofilm.types import Clip, Latents, Text

if TYPE_CHECKING:
    from phonofilm.training.tasks_generator import GeneratorTask


@dataclass(frozen=True)
class SamplesConfig:
    """Samples at each validation.

    Attributes:
        count: held-out captions to render; 0 renders none.
        codecs: folder with video_vae, audio_vae and vocoder weights.
        steps, shift: of the sampler.
    """

    count: int = 0
    codecs: Path | None = None
    steps: int = 24
    shift: float = 3.0


def write_samples(config: SamplesConfig, task: GeneratorTask, model: nn.Module, stem: Path) -> None:
    """Write `{stem}.png` (frames: truth, text → film, sound → film), `{stem}-mel.png` (mels: truth, text → film,
    film → sound) and one MP4 for each caption.
    """
    rows = list(range(min(config.count, task.recipe.data.held_out)))
    device = next(model.parameters()).device
    batch = {name: tensor.to(device) for name, tensor in task.read(rows).items()}
    truth = Latents(batch["video"].float(), batch["audio"].float())
    text = Text(batch["text"], batch["mask"])
    guided = Guided(Denoiser(model, task.recipe.prediction), text, text, task.positions)

    def sample(keep_video: bool, keep_audio: bool) -> Latents:
        def masked(tensor: Tensor, keep: bool) -> Tensor:
            return torch.full((len(rows), *(1 for _ in tensor.shape[1:])), keep, device=device)

        mask = Latents(masked(batch["video"], keep_video), masked(batch["audio"], keep_audio))
        noise = Latents(*(draw_noise(getattr(truth, s).shape[1:], rows, s).to(device) for s in ("video", "audio")))
        return euler(guided, noise, flow_sigmas(config.steps, config.shift), Given(truth, mask))

    joint, foley, animate = sample(False, False), sample(True, False), sample(False, True)
    if config.codecs is None:
        return
    films = [_pictures(config.codecs, latents.video) for latents in (truth, joint, animate)]
    mels = [_mels(config.codecs, latents.audio) for latents in (truth, joint, foley)]
    save_frames(stem.with_suffix(".png"), *films)
    save_mels(stem.with_name(f"{stem.name}-mel.png"), *mels)
    vocoder = load_module(Vocoder, config.codecs / "vocoder.safetensors")
    waveforms = vocoder(mels[1])[0][..., : task.grid.samples].clamp(-1, 1)
    for row, (film, waveform) in enumerate(zip(films[1], waveforms, strict=True)):
        frames = ((film[:, : task.grid.frames] + 1) * 127.5).round().byte().permute(1, 2, 3, 0)
        clip = Clip(frames.numpy(), task.grid.fps, waveform.float().numpy(), task.grid.sample_rate)
        write_clip(clip, stem.with_name(f"{stem.name}-{row}.mp4"))


def _pictures(codecs: Path, latents: Tensor | None) -> Tensor:
    codec = load_module(VideoVAE, codecs / "video_vae.safetensors")
    return codec.decode(latents.float().cpu())[0].float()  # type: ignore[union-attr]


def _mels(codecs: Path, latents: Tensor | None) -> Tensor:
    codec = load_module(AudioVAE, codecs / "audio_vae.safetensors")
    return codec.decode(latents.float().cpu())[0].float()  # type: ignore[union-attr]
