"""What validation shows of a generator: truth, and films, sounds and pictures made from the same captions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from phonofilm.checkpoint import read_metadata
from phonofilm.choices import SamplerName
from phonofilm.codecs.loading import load_codecs
from phonofilm.codecs.pixels import to_frames
from phonofilm.sampling import SAMPLERS, Denoiser, Given, Guidance, Guided, draw_noise, flow_sigmas, steps_for
from phonofilm.training.tasks.previews import save_frames, save_mels
from phonofilm.types import Clip, Latents, Text
from phonofilm.weights import codecs_folder

if TYPE_CHECKING:
    from phonofilm.training.tasks.generator import GeneratorTask


@dataclass(frozen=True)
class SamplingConfig:
    """How weights want to be sampled: what a backend does unless a request says otherwise.

    Attributes:
        sampler, steps: which one, and network evaluations.
        shift: of the noise schedule.
        guidance, modality_guidance: (video, audio) scales; 1 is none.
        rescale: how far guided estimates keep the standard deviation of unguided ones.
        student: whether guidance and the length of a step are inputs of the network (see `sampling.Student`).
    """

    sampler: SamplerName = "euler"
    steps: int = 24
    shift: float = 3.0
    guidance: tuple[float, float] = (1.0, 1.0)
    modality_guidance: tuple[float, float] = (1.0, 1.0)
    rescale: float = 0.0
    student: bool = False


@dataclass(frozen=True)
class SamplesConfig:
    """Samples at each validation.

    Attributes:
        count: held-out captions to render; 0 renders none.
        codecs: "nano" for those that ship, or a folder with video_vae, audio_vae and vocoder weights.
    """

    count: int = 0
    codecs: str = "nano"


def check_codecs(codecs: str) -> None:
    """Raise a PhonofilmError unless the weights that samples are decoded with are all there."""
    for name in ("video_vae", "audio_vae", "vocoder"):
        read_metadata(codecs_folder(codecs) / f"{name}.safetensors")


def write_samples(task: GeneratorTask, model: nn.Module, stem: Path) -> None:
    """Write `{stem}.png` (frames: truth, text → film, sound → film), `{stem}-mel.png` (mels of all stems: truth,
    text → film, film → sound) and one MP4 for each caption.
    """
    recipe = task.recipe
    rows = list(range(min(recipe.samples.count, recipe.data.held_out)))
    device = next(model.parameters()).device
    batch = {name: tensor.to(device) for name, tensor in task.read(rows).items()}
    truth = Latents(batch["video"].float(), batch["audio"].float())
    text = Text(batch["text"], batch["mask"])
    empty = task.store.text([None] * len(rows))
    scales = Guidance(recipe.sampling.guidance, recipe.sampling.modality_guidance, recipe.sampling.rescale)
    negative = Text(empty.states.to(device), empty.mask.to(device))
    guided = Guided(Denoiser(model, recipe.prediction), text, negative, task.positions, scales)

    def sample(keep_video: bool, keep_audio: bool) -> Latents:
        def masked(tensor: Tensor, keep: bool) -> Tensor:
            return torch.full((len(rows), *(1 for _ in tensor.shape[1:])), keep, device=device)

        mask = Latents(masked(batch["video"], keep_video), masked(batch["audio"], keep_audio))
        noise = Latents(*(draw_noise(getattr(truth, s).shape[1:], rows, s).to(device) for s in ("video", "audio")))
        way = recipe.sampling
        sigmas = flow_sigmas(steps_for(way.sampler, way.steps), way.shift)
        return SAMPLERS[way.sampler](guided, noise, sigmas, Given(truth, mask))

    joint, foley, animate = sample(False, False), sample(True, False), sample(False, True)
    with torch.autocast(device.type, enabled=False):  # a vocoder's phases need float32
        _write(task, (truth, joint, foley, animate), stem)


def _write(task: GeneratorTask, made: tuple[Latents, Latents, Latents, Latents], stem: Path) -> None:
    """Decode truth, joint, foley and animate, and write them."""
    from phonofilm.media import write_clip

    codecs, (truth, joint, foley, animate) = codecs_folder(task.recipe.samples.codecs), made
    video, audio, vocoder = load_codecs(codecs)
    films = [video.decode(x.video.cpu())[0] for x in (truth, joint, animate) if x.video is not None]
    mels = [audio.decode(x.audio.flatten(0, 1).cpu())[0] for x in (truth, joint, foley) if x.audio is not None]
    save_frames(stem.with_suffix(".png"), *films)
    save_mels(stem.with_name(f"{stem.name}-mel.png"), *mels)
    sounds = vocoder(mels[1])[0][..., : task.grid.samples].unflatten(0, (-1, task.stems))
    waveforms = sounds.sum(1).clamp(-1, 1)
    for row, (film, waveform) in enumerate(zip(films[1], waveforms, strict=True)):
        clip = Clip(to_frames(film[:, : task.grid.frames]), task.grid.fps, waveform.numpy(), task.grid.sample_rate)
        write_clip(clip, stem.with_name(f"{stem.name}-{row}.mp4"))
