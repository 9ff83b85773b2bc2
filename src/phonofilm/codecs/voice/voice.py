"""The voice of the vocoder: pulses at the pitch that the mel tells, in place of the bank where speech is voiced."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from phonofilm.codecs.common.convnext import Pasts
from phonofilm.codecs.common.mel import MelConfig
from phonofilm.codecs.voice.attacks import LimitState, envelope, limited
from phonofilm.codecs.voice.bands import BandCorrection, BandState
from phonofilm.codecs.voice.pulses import PulseState, pulse_train
from phonofilm.codecs.voice.tracker import Tracker, VoiceConfig

SHARES = 0.25, 0.75
"""Shares, as the tracker gives them, up to which a band is all the bank's, and from which it is all the voice's."""


class Heard(NamedTuple):
    """What the tracker says of T frames, all of which it has seen the `ahead` frames after."""

    mel: Tensor  # [B, 2, bins, T]
    hertz: Tensor  # [B, T]
    share: Tensor  # [B, T, bins]


class VoiceState(NamedTuple):
    """What a later call needs; None before any frame could be spoken of."""

    pasts: Pasts
    waiting: Tensor  # [B, 2, bins, up to `ahead`]: frames not spoken of yet
    frames: int
    pulses: PulseState | None = None
    loudness: Tensor | None = None  # of the last updates, [B, n]
    bands: BandState | None = None
    limit: LimitState | None = None


class Voice(nn.Module):
    """Tracker, pulses and the correction of the bands."""

    def __init__(self, mel: MelConfig, config: VoiceConfig) -> None:
        super().__init__()
        self.mel, self.config = mel, config
        self.tracker = Tracker(config, mel)
        self.bands = BandCorrection(mel)

    @property
    def delay(self) -> int:
        """Mel frames that must follow a hop before its samples are known."""
        return self.config.ahead + self.bands.spread

    def listen(self, mel: Tensor, state: VoiceState | None = None) -> tuple[Heard, VoiceState]:
        """Track [B, 2, bins, T]; at the start of a clip the last `ahead` frames must wait."""
        pitch, share, pasts = self.tracker(mel, state.pasts if state else None)
        ahead, done = self.config.ahead, state.frames if state else 0
        skipped = min(max(0, ahead - done), mel.shape[-1])
        frames = mel if state is None else torch.cat([state.waiting, mel], dim=-1)
        count = mel.shape[-1] - skipped
        shares = ((share[:, skipped:].sigmoid() - SHARES[0]) / (SHARES[1] - SHARES[0])).clamp(0, 1)
        heard = Heard(frames[..., :count], self.tracker.hertz(pitch[:, skipped:]), shares)
        after = VoiceState(pasts, frames[..., count:].clone(), done + mel.shape[-1])
        return heard, after if state is None else state._replace(
            pasts=after.pasts, waiting=after.waiting, frames=after.frames
        )

    def speak(self, bank: Tensor, loudness: Tensor, heard: Heard, state: VoiceState) -> tuple[Tensor, VoiceState]:
        """What the bank makes of `heard.mel`, [B, 2, T·hop], with the voice in it and every band at its level.

        loudness: of the bank, [B, any number of updates in each hop].
        """
        exact = torch.float32 if bank.device.type == "mps" else torch.float64
        train, pulses = pulse_train(
            heard.hertz.to(exact), self.mel.hop, self.mel.sample_rate, self.config.top, state.pulses
        )
        step = train.shape[1] // loudness.shape[1]
        rising, past = envelope(loudness, step, self.mel.sample_rate, state.loudness)
        sound, bands = self.bands(bank, (train * rising)[:, None], heard.mel, heard.share, state.bands)
        sound, limit = limited(sound, loudness, step, state.limit)
        return sound, state._replace(pulses=pulses, loudness=past, bands=bands, limit=limit)
