"""What control modules are told of a clip of a latent store: its events, its loudness, or what its picture shows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from phonofilm.checkpoint import load_module
from phonofilm.codecs.audio_vae import AudioVAE
from phonofilm.codecs.common.mel import MelConfig, denormalise
from phonofilm.codecs.pixels import to_frames
from phonofilm.codecs.video_vae import VideoVAE
from phonofilm.control.hits import Hit
from phonofilm.control.inputs.features import as_a_whole, by_moment
from phonofilm.control.inputs.files import ControlConfig
from phonofilm.control.inputs.sync import at_tokens
from phonofilm.control.onset.detect import to_strength
from phonofilm.control.timing import hits_signal, power_signal
from phonofilm.data.latents import LatentStore
from phonofilm.data.manifest import read_manifest
from phonofilm.errors import PhonofilmError
from phonofilm.perception.audiovisual.syncnet import RATE, SyncNet
from phonofilm.types import Event, Grid
from phonofilm.weights import codecs_folder

LEAST = 0.02
"""Strength of a hit whose event is very soft: a hit of none would be none."""


@dataclass(frozen=True)
class SignalsConfig:
    """How signals are found.

    Attributes:
        kinds: of events that are hits.
        codecs: those of the latents, by name or folder: sound and picture are decoded to be measured.
    """

    kinds: tuple[str, ...] = ("impact", "strike", "flash", "debris", "lightning", "hop")
    codecs: str = "nano-128"


class Signals:
    """What a module is told of each row of a store; what was decoded once is kept."""

    def __init__(self, control: ControlConfig, config: SignalsConfig, store: LatentStore, grid: Grid) -> None:
        self.control, self.config, self.store, self.grid = control, config, store, grid
        self.bounds = grid.positions().audio
        self._kept: dict[int, Tensor] = {}

    def of(self, rows: list[int]) -> Tensor:
        """float32 [B, tokens of one stem, width], or [B, 8, width] of a picture as a whole."""
        for row in rows:
            if row not in self._kept:
                self._kept[row] = self._of(row)[0]
        return torch.stack([self._kept[row] for row in rows])

    def _of(self, row: int) -> Tensor:
        match self.control.hears:
            case "hits":
                hits = hits_of(self._records[row], self.config.kinds, float(self.grid.seconds))
                return hits_signal(hits, self.bounds, self.control.slots)
            case "follow":
                return self._loudness(row)
            case "sync":
                return at_tokens(self._features(row), float(RATE), self.bounds)
            case "semantic":
                return as_a_whole(self._features(row))

    @torch.no_grad()
    @torch.autocast("cpu", enabled=False)
    def _loudness(self, row: int) -> Tensor:
        latents = self.store.latents("audio", [row])[0].float()
        mel, _ = self._audio.decode(latents)
        config = self._audio.config.mel
        power = mel_power(mel, config).sum(0).numpy()  # of the stems, which are added
        return power_signal(power, config.sample_rate / config.hop, self.bounds, self.control.slots)

    @torch.no_grad()
    @torch.autocast("cpu", enabled=False)
    def _features(self, row: int) -> Tensor:
        pixels, _ = self._video.decode(self.store.latents("video", [row]).float())
        return by_moment(self._looks, to_frames(pixels[0, :, : self.grid.frames]), self.grid.fps)

    @cached_property
    def _records(self) -> list[tuple[Event, ...]]:
        """Of each row its events."""
        found = [record for folder in self.store.folders for record in read_manifest(folder / "manifest.jsonl")]
        if not any(record.events for record in found):
            raise PhonofilmError(f"{self.store.folder} knows no events of its clips; hits are learnt from events")
        return [record.events for record in found]

    @cached_property
    def _audio(self) -> AudioVAE:
        return load_module(AudioVAE, codecs_folder(self.config.codecs) / "audio_vae.safetensors")

    @cached_property
    def _video(self) -> VideoVAE:
        return load_module(VideoVAE, codecs_folder(self.config.codecs) / "video_vae.safetensors")

    @cached_property
    def _looks(self) -> SyncNet:
        return SyncNet.load()


def hits_of(events: tuple[Event, ...], kinds: tuple[str, ...], seconds: float) -> list[Hit]:
    """The events of these kinds within a clip, as strong as they are loud."""
    return [
        Hit(event.time, max(LEAST, to_strength(event.loudness)))
        for event in events
        if event.kind in kinds and event.loudness is not None and 0 <= event.time < seconds
    ]


def mel_power(mel: Tensor, config: MelConfig) -> Tensor:
    """Log-mel spectrograms [B, C, bins, frames] of the codec to the mean power [B, frames] that their sound has, about.

    Bands overlap so that they add up to the whole; a full-scale sine, which is 0 dB there, has a power of a half. A
    frame's window ends where the frame ends: what it tells is a frame late, against loudness measured on samples.
    """
    power = denormalise(mel, config).sum(2).mean(1) / 2
    return torch.cat([power[:, 1:], power[:, -1:]], 1)
