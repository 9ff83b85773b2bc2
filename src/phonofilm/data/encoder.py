"""From clips to what a generator sees: the frozen codecs and the text encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from phonofilm.checkpoint import file_sha256, load_module
from phonofilm.codecs.audio_vae import AudioVAE
from phonofilm.codecs.common.mel import log_mel
from phonofilm.codecs.video_vae import VideoVAE
from phonofilm.data.clips import STEMS, ClipBatch, ClipSource, to_model_frames, to_model_samples
from phonofilm.data.manifest import ClipRecord
from phonofilm.errors import PhonofilmError
from phonofilm.precision import autocast
from phonofilm.types import Geometry, Grid, Text
from phonofilm.weights import codecs_folder

AUDIBLE = 1e-3
"""Peak from which a stem is not silence."""


class TextStates(Protocol):
    """What is asked of a text encoder."""

    def encode(self, prompts: Sequence[str]) -> Text:
        """Token states, padded to the longest prompt."""


@dataclass(frozen=True)
class Encoder:
    """The three frozen translators of a clip, and the hashes of their weights."""

    video: VideoVAE
    audio: AudioVAE
    text: TextStates
    hashes: dict[str, str]

    @staticmethod
    def load(codecs: str | Path, device: str = "cpu") -> Encoder:
        """The codecs that ship ("nano"), or those of a folder with video_vae and audio_vae; and the text encoder.

        Raises:
            PhonofilmError: missing or corrupt weights.
        """
        from phonofilm.codecs.text import TextEncoder

        folder = codecs_folder(codecs)
        paths = {name: folder / f"{name}.safetensors" for name in ("video_vae", "audio_vae")}
        video = load_module(VideoVAE, paths["video_vae"], device)
        audio = load_module(AudioVAE, paths["audio_vae"], device)
        hashes = {name: file_sha256(path) for name, path in paths.items()}
        text = TextEncoder.load(device)
        return Encoder(video, audio, text, {**hashes, "text": text.digest})

    def grid(self, clips: ClipSource) -> Grid:
        """The grid of a source's clips; all of them have the same."""
        frames = clips.frames([0]).shape
        video, audio = self.video.config, self.audio.config
        geometry = Geometry(
            video_time=video.time,
            video_space=video.space,
            sample_rate=clips.sample_rate,
            mel_hop=audio.mel.hop,
            audio_time=audio.time,
            audio_head=audio.head,
        )
        if audio.mel.sample_rate != clips.sample_rate:
            raise PhonofilmError(f"the clips have {clips.sample_rate} Hz, the audio codec {audio.mel.sample_rate} Hz")
        return Grid(frames[1], frames[2], frames[3], Fraction(clips.fps), geometry)

    @torch.inference_mode()
    def encode(self, clips: ClipBatch, grid: Grid, stems: Tensor | None = None) -> dict[str, Tensor]:
        """One batch as the tensors of a shard; with stems [B, S, 2, N] their latents in place of the mix's.

        Returns:
            float16 video [B, C, T, H, W], audio [B, C, T] or [B, S, C, T], text [B, L, D], and for stems stem_text
            [B, S, L, D]; int32 lengths of the texts [B] and [B, S].
        """
        device = next(self.video.parameters()).device
        with autocast(device):
            frames = to_model_frames(clips.frames.to(device), grid.model_frames)
            video, _ = self.video.encode(frames)
        sound = clips.waveform if stems is None else stems
        audio = self.sound(sound.reshape(-1, *sound.shape[-2:]), grid)
        text = self.text.encode([record.caption for record in clips.records])
        found = {
            "video": video.half().cpu(),
            "audio": audio.reshape(*sound.shape[:-2], *audio.shape[1:]),
            "text": text.states.half().cpu(),
            "text_length": text.mask.sum(1).int().cpu(),
        }
        if stems is None:
            return found
        said = self.text.encode([prompt for record in clips.records for prompt in stem_prompts(record)])
        split = (len(clips.records), len(STEMS))
        found["stem_text"] = said.states.half().cpu().unflatten(0, split)
        found["stem_text_length"] = said.mask.sum(1).int().cpu().unflatten(0, split)
        return found

    @torch.inference_mode()
    def sound(self, waveforms: Tensor, grid: Grid) -> Tensor:
        """Sounds [B, 2, N] as float16 latents [B, C, T]; silence is encoded once."""
        device = next(self.audio.parameters()).device
        samples = to_model_samples(waveforms, grid.mel_frames * grid.geometry.mel_hop)
        heard = samples.abs().amax(dim=(1, 2)) > AUDIBLE
        worked = torch.cat([torch.zeros_like(samples[:1]), samples[heard]]).to(device)
        latents = self.audio.encode(log_mel(worked, self.audio.config.mel))[0].half().cpu()
        where = torch.zeros(len(samples), dtype=torch.long)
        where[heard] = torch.arange(1, len(latents))
        return latents[where]

    def silence(self, grid: Grid) -> Tensor:
        """The latents of silence, float16 [C, T]."""
        return self.sound(torch.zeros(1, 2, grid.samples), grid)[0]


def stem_prompts(record: ClipRecord) -> tuple[str, ...]:
    """What each stem's own prompt says, or the whole caption where the stems have none."""
    said = record.params.get("said")
    given: Mapping[str, str] = said if isinstance(said, Mapping) else {}
    return tuple(given.get(name, record.caption) for name in STEMS)
