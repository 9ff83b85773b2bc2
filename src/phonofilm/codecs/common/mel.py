"""Stereo log-mel spectrogram, causal, so that every frame has one well-defined end in time.

Frame i sees the samples before (i + 1)·hop and no others: a sound that starts at time t is heard
first in frame floor(t · sample_rate / hop), never earlier.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from phonofilm import mel


@dataclass(frozen=True)
class MelConfig:
    """How sound becomes a mel spectrogram (HTK scale, triangles of height one, power).

    Attributes:
        sample_rate: samples per second.
        hop: samples from one frame to the next (400 at 16 kHz: 40 frames a second).
        window: samples in the Hann window that ends where the frame ends.
        bins: mel bands.
        low, high: edges of the lowest and highest band in Hz.
        floor_db: power added before the logarithm, in dB below a full-scale sine; it maps to -1.
    """

    sample_rate: int = 16_000
    hop: int = 400
    window: int = 1024
    bins: int = 80
    low: float = 30.0
    high: float = 8_000.0
    floor_db: float = -80.0


def hertz_to_mel(hertz: Tensor) -> Tensor:
    """HTK's scale: 2595·log10(1 + f / 700), differentiable and on any device (elsewhere see `phonofilm.mel`)."""
    return 2595.0 * torch.log10(1.0 + hertz / 700.0)


def mel_to_hertz(mel: Tensor) -> Tensor:
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


def band_edges(config: MelConfig) -> Tensor:
    """float64 [bins + 2] in mel, evenly spaced: band b rises from edge b to b + 1 and falls to b + 2."""
    low, high = hertz_to_mel(torch.tensor([config.low, config.high], dtype=torch.float64)).tolist()
    return torch.linspace(low, high, config.bins + 2, dtype=torch.float64)


def interpolation(positions: Tensor, edges: Tensor) -> Tensor:
    """[bands, positions]: weights that read a spectrum on bands at these places of the mel scale, linearly."""
    place = ((positions - edges[1]) / (edges[1] - edges[0])).clamp(0, len(edges) - 3)
    bands = torch.arange(len(edges) - 2, dtype=place.dtype)[:, None]
    return (1 - (place - bands).abs()).clamp_min(0).float()


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # it is kept: one made while generating must also serve a later training
def filterbank(config: MelConfig) -> Tensor:
    """float32 [window // 2 + 1, bins]: weight of each FFT bin's power in each band."""
    bank = mel.filterbank(config.bins, config.low, config.high, config.window, config.sample_rate)
    return torch.from_numpy(bank).float()


def causal_frames(waveform: Tensor, config: MelConfig) -> Tensor:
    """[..., N] -> [..., ceil(N / hop), window]: the samples each frame sees, silence before the start."""
    missing = -waveform.shape[-1] % config.hop
    padded = F.pad(waveform, (config.window - config.hop, missing))
    return padded.unfold(-1, config.window, config.hop)


def log_mel(waveform: Tensor, config: MelConfig | None = None) -> Tensor:
    """Log-mel spectrogram of [B, C, N] samples in [-1, 1]: [B, C, bins, ceil(N / hop)].

    Normalised affinely so that `floor_db` is -1 and a full-scale sine at a band's centre is +1; the
    last hop is completed with silence.
    """
    config = config or MelConfig()
    window = torch.hann_window(config.window, device=waveform.device, dtype=waveform.dtype)
    spectrum = torch.fft.rfft(causal_frames(waveform, config) * (window * (2 / window.sum())))
    power = spectrum.abs().square() @ filterbank(config).to(waveform)
    return rearrange(normalise(power, config), "b c t m -> b c m t")


def normalise(power: Tensor, config: MelConfig) -> Tensor:
    """Power relative to a full-scale sine -> about [-1, 1]; `denormalise` undoes it."""
    decibels = 10.0 * torch.log10(power + 10.0 ** (config.floor_db / 10.0))
    return 1.0 - decibels * (2.0 / config.floor_db)


def denormalise(mel: Tensor, config: MelConfig) -> Tensor:
    """About [-1, 1] -> power relative to a full-scale sine, 0 at and below the floor."""
    power = 10.0 ** ((1.0 - mel) * (config.floor_db / 20.0))
    return (power - 10.0 ** (config.floor_db / 10.0)).clamp_min(0.0)
