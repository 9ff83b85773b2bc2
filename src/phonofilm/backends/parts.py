"""The parts of a model of ours: five networks that must belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.backends.levels import LevelExperts, open_experts
from phonofilm.checkpoint import load_module, read_metadata
from phonofilm.choices import STEMS, Stem
from phonofilm.codecs.audio_vae import AudioVAE
from phonofilm.codecs.loading import load_codecs
from phonofilm.codecs.text import TextEncoder
from phonofilm.codecs.video_vae import VideoVAE
from phonofilm.codecs.vocoder import Vocoder
from phonofilm.errors import PhonofilmError
from phonofilm.model.transformer import AVTransformer
from phonofilm.sampling.denoiser import Network
from phonofilm.types import Geometry
from phonofilm.weights import digest, locate, part_files


@dataclass(frozen=True)
class Parts:
    """Transformer, codecs and text encoder, all on one device, and what is known about them.

    Attributes:
        trained: the grid and the sampling that the transformer's weights name.
        weights: one hash over all weights.
        levels: where the transformer is two experts by noise level, of which one is in memory; else None.
    """

    transformer: AVTransformer
    video_vae: VideoVAE
    audio_vae: AudioVAE
    vocoder: Vocoder
    text: TextEncoder
    trained: ModelDefaults
    weights: str
    levels: LevelExperts | None = None

    @staticmethod
    def load(model: str | Path, device: torch.device, boundary: float | None = None) -> Parts:
        """Read a model by its name or the folder of its weights; `boundary` is as in `levels.open_experts`.

        Raises:
            PhonofilmError: a part that is missing, corrupt, of another network, or that does not fit.
        """
        folder = locate(model)
        files = part_files(folder)
        transformer = load_module(AVTransformer, files["transformer"], device)
        transformer.requires_grad_(False)
        video_vae, audio_vae, vocoder = load_codecs(files["vocoder"].parent, device)
        text = TextEncoder.load(device)
        _check(folder, transformer, video_vae, audio_vae, vocoder, text)
        metadata = read_metadata(files["transformer"])
        geometry = _geometry(transformer, video_vae, audio_vae)
        trained = ModelDefaults.read(metadata, geometry, str(folder), stems_of(transformer, folder))
        levels = open_experts(transformer, folder, trained, boundary)
        weights = digest(folder) if boundary is None else f"{digest(folder)}@{boundary:g}"
        return Parts(transformer, video_vae, audio_vae, vocoder, text, trained, weights, levels)

    @property
    def network(self) -> Network:
        """The transformer, or its experts by noise level."""
        return self.transformer if self.levels is None else self.levels

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of the video and of the audio latents."""
        return self.transformer.config.video.channels, self.transformer.config.audio.channels


def stems_of(transformer: AVTransformer, folder: Path) -> tuple[Stem, ...]:
    """The kinds of sound that a network keeps apart; none for a mix.

    Raises:
        PhonofilmError: as many as have no names.
    """
    count = transformer.config.audio.stems
    if count not in (1, len(STEMS)):
        raise PhonofilmError(f"the weights in {folder} have {count} stems; 1 (a mix) or {len(STEMS)} are known")
    return STEMS if count > 1 else ()


def _geometry(transformer: AVTransformer, video_vae: VideoVAE, audio_vae: AudioVAE) -> Geometry:
    time, rows, columns = transformer.config.video.patch
    mel = audio_vae.config.mel
    return Geometry(
        video_time=video_vae.config.time,
        video_space=video_vae.config.space,
        patch=(time, rows, columns),
        sample_rate=mel.sample_rate,
        mel_hop=mel.hop,
        audio_time=audio_vae.config.time,
        audio_head=audio_vae.config.head,
    )


def _check(
    folder: Path,
    transformer: AVTransformer,
    video_vae: VideoVAE,
    audio_vae: AudioVAE,
    vocoder: Vocoder,
    text: TextEncoder,
) -> None:
    streams = transformer.config
    pairs = {
        "video latents": (streams.video.channels, video_vae.config.channels),
        "audio latents": (streams.audio.channels, audio_vae.config.latents),
        "mel spectrograms": (vocoder.config.mel, audio_vae.config.mel),
        "text states": (streams.video.text_width, text.width),
    }
    for what, (one, other) in pairs.items():
        if one != other:
            raise PhonofilmError(f"the weights in {folder} do not belong together: {what} are {one} and {other}")
