"""The vocoder's last step: a source is cut into the mel's own windows, and every band gets the level it should have.

The phases stay those of the source, which is where a vocoder errs least: with magnitudes that the mel tells and true
phases, speech is judged as the recording is. One step of the iteration of Griffin and Lim ("Signal estimation from
modified short-time Fourier transform", 1984), in bands.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from phonofilm.codecs.common.mel import MelConfig, band_edges, denormalise, filterbank, hertz_to_mel, interpolation

LEAST = 1e-12
"""Power below which a band is silent."""
LEAST_SHARE = 1e-6
"""Of a band, of pulses and of the bank: both are mixed by the logarithms of their shares."""
MOST = 1e4
"""Largest factor on a band's power."""


class BandState(NamedTuple):
    """Samples of both sources that later windows see, what is still ringing, and frames so far."""

    bank: Tensor  # [B, 2, window - hop]
    pulses: Tensor  # [B, 1, window - hop]
    tail: Tensor  # [B, 2, spread·hop]
    frames: int


class BandCorrection(nn.Module):
    """Mixes pulses into what the bank makes, band by band, and gives each band the mel's level; `spread` hops late."""

    to_bins: Tensor
    to_bands: Tensor
    window: Tensor
    weight: Tensor

    def __init__(self, mel: MelConfig) -> None:
        super().__init__()
        self.mel = mel
        self.spread = -(-(mel.window - mel.hop) // mel.hop)
        bins = torch.linspace(0, mel.sample_rate / 2, mel.window // 2 + 1, dtype=torch.float64)
        window = torch.hann_window(mel.window)
        self.register_buffer("to_bins", interpolation(hertz_to_mel(bins), band_edges(mel)), persistent=False)
        self.register_buffer("to_bands", filterbank(mel).clone(), persistent=False)
        self.register_buffer("window", window, persistent=False)
        segments = self._segments(window.square())
        self.register_buffer("weight", segments.sum(0), persistent=False)

    def forward(
        self, bank: Tensor, pulses: Tensor, mel: Tensor, share: Tensor, state: BandState | None = None
    ) -> tuple[Tensor, BandState]:
        """Sources [B, 2, T·hop] and [B, 1, T·hop], mel [B, 2, bins, T], share [B, T, bins] in [0, 1] -> waveform.

        At the start of a clip the first `spread` hops are still missing: [B, 2, (T - spread)·hop], else T·hop.
        """
        hop, frames = self.mel.hop, mel.shape[-1]
        bank, pulses = self._with_past(bank, state and state.bank), self._with_past(pulses, state and state.pulses)
        wanted = rearrange(denormalise(mel, self.mel), "b c m t -> b c t m").clamp_min(LEAST).log()
        share = share[:, None].clamp(LEAST_SHARE, 1 - LEAST_SHARE)
        sung, rest = self._spectrum(pulses), self._spectrum(bank)
        level = (wanted + share.log() - self._power(sung).log()) / 2
        mixed = sung * (level @ self.to_bins).exp() + rest * ((1 - share).log() / 2 @ self.to_bins).exp()
        gain = (wanted - self._power(mixed).log()).clamp_max(math.log(MOST)) / 2
        made = torch.fft.irfft(mixed * (gain @ self.to_bins).exp(), n=self.mel.window) * self.window

        done = state.frames if state else 0
        sound, tail = self._overlap(made, state.tail if state else None)
        keep = self.mel.window - hop
        after = BandState(bank[..., -keep:].clone(), pulses[..., -keep:].clone(), tail, done + frames)
        return sound[..., max(0, self.spread - done) * hop :], after

    def _with_past(self, sound: Tensor, past: Tensor | None) -> Tensor:
        missing = self.mel.window - self.mel.hop
        return F.pad(sound, (missing, 0)) if past is None else torch.cat([past, sound], dim=-1)

    def _spectrum(self, sound: Tensor) -> Tensor:
        """[B, C, window - hop + T·hop] -> complex [B, C, T, window / 2 + 1], in units of the mel."""
        frames = sound.unfold(-1, self.mel.window, self.mel.hop)
        return torch.fft.rfft(frames * self.window) * (2 / self.window.sum())

    def _power(self, spectrum: Tensor) -> Tensor:
        """[..., bins of the FFT] -> [..., bands]"""
        return ((spectrum.real.square() + spectrum.imag.square()) @ self.to_bands).clamp_min(LEAST)

    def _segments(self, frames: Tensor) -> Tensor:
        """[..., window] -> [spread + 1, ..., hop]: what a frame adds to each of the hops it lies in."""
        whole = (self.spread + 1) * self.mel.hop
        parts = F.pad(frames, (whole - self.mel.window, 0)).unflatten(-1, (self.spread + 1, self.mel.hop))
        return parts.movedim(-2, 0)

    def _overlap(self, frames: Tensor, tail: Tensor | None) -> tuple[Tensor, Tensor]:
        """Frames [B, C, T, window] -> the T hops that are complete with them [B, C, T·hop], and what is not yet."""
        parts = self._segments(frames * (self.window.sum() / 2))
        count = frames.shape[2]
        total = frames.new_zeros(*frames.shape[:2], count + self.spread, self.mel.hop)
        if tail is not None:
            total[:, :, : self.spread] = tail.unflatten(-1, (self.spread, self.mel.hop))
        for place, part in enumerate(parts):
            total[:, :, place : place + count] += part
        complete, rest = total[:, :, :count] / self.weight, total[:, :, count:]
        return complete.flatten(2), rest.flatten(2).clone()
