"""Triangular mel filterbanks and framing, in the variants that published audio networks were trained on.

They differ in where the triangles are straight (on the mel or on the hertz axis) and in the constant
of the mel scale; a network fed the wrong one still gives numbers, only wrong ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def hertz_to_mel(hertz: Tensor | float, *, kaldi: bool = False) -> Tensor:
    """The HTK mel scale: 2595·log10(1 + f/700), or 1127·ln(1 + f/700) as Kaldi and AudioSet round it."""
    hertz = torch.as_tensor(hertz, dtype=torch.float64)
    return 1127.0 * torch.log1p(hertz / 700.0) if kaldi else 2595.0 * torch.log10(1.0 + hertz / 700.0)


def mel_to_hertz(mel: Tensor) -> Tensor:
    """The inverse of `hertz_to_mel` (2595)."""
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


def triangles(points: Tensor, edges: Tensor) -> Tensor:
    """Overlapping triangles of height 1 on one axis.

    Args:
        points: float64 [F], where each spectral bin lies.
        edges: float64 [bands + 2], ascending: foot, peak, foot of each triangle, shared by its neighbours.

    Returns:
        float64 [F, bands].
    """
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (points[:, None] - lower) / (centre - lower)
    falling = (upper - points[:, None]) / (upper - centre)
    return torch.minimum(rising, falling).clamp_min(0.0)


def mel_bank(bands: int, low: float, high: float, fft: int, sample_rate: int, *, kaldi: bool = False) -> Tensor:
    """float64 [fft // 2 + 1, bands]: HTK mel bands from `low` to `high` hertz, without area normalisation.

    Args:
        kaldi: triangles straight on the mel axis (Kaldi, AudioSet's VGGish) rather than on the hertz
            axis (torchaudio's default).
    """
    bins = torch.linspace(0.0, sample_rate / 2, fft // 2 + 1, dtype=torch.float64)
    ends = hertz_to_mel(torch.tensor([low, high]), kaldi=kaldi)
    edges = torch.linspace(float(ends[0]), float(ends[1]), bands + 2, dtype=torch.float64)
    return triangles(hertz_to_mel(bins, kaldi=True), edges) if kaldi else triangles(bins, mel_to_hertz(edges))


def slaney_bank(bands: int, low: float, high: float, fft: int, sample_rate: int) -> Tensor:
    """float64 [fft // 2 + 1, bands]: bands on Slaney's mel scale, each of area 1 in hertz (librosa's default).

    The scale is linear to 1 kHz (3 mel per 200 Hz) and logarithmic above it (27 mel per factor of 6.4).
    """
    bins = torch.linspace(0.0, sample_rate / 2, fft // 2 + 1, dtype=torch.float64)
    ends = [f * 3 / 200 if f < 1000 else 15 + 27 * math.log(f / 1000) / math.log(6.4) for f in (low, high)]
    mel = torch.linspace(ends[0], ends[1], bands + 2, dtype=torch.float64)
    edges = torch.where(mel < 15, mel * 200 / 3, 1000 * torch.exp((mel - 15) * math.log(6.4) / 27))
    return triangles(bins, edges) * 2 / (edges[2:] - edges[:-2])


def frames(waveform: Tensor, window: int, hop: int) -> Tensor:
    """[..., N] -> [..., 1 + (N - window) // hop, window], the incomplete tail dropped; none if too short."""
    if waveform.shape[-1] < window:
        return waveform.new_zeros(*waveform.shape[:-1], 0, window)
    return waveform.unfold(-1, window, hop)


def kaldi_log_mel(waveform: Tensor, bands: int, sample_rate: int) -> Tensor:
    """Log mel energies as Kaldi's `compute-fbank-feats` gives them with its defaults and a Hann window.

    25 ms frames every 10 ms, each freed of its mean, pre-emphasised by 0.97 and windowed by a
    symmetric Hann window; power spectrum; bands from 20 Hz to half the sample rate; natural log.

    Args:
        waveform: float [..., N].

    Returns:
        float32 [..., T, bands].
    """
    window, hop = sample_rate * 25 // 1000, sample_rate * 10 // 1000
    fft = 2 ** math.ceil(math.log2(window))
    if waveform.shape[-1] < window:
        return waveform.new_zeros(*waveform.shape[:-1], 0, bands, dtype=torch.float32)
    x = frames(waveform.float(), window, hop)
    x = x - x.mean(-1, keepdim=True)
    x = x - 0.97 * torch.cat([x[..., :1], x[..., :-1]], -1)
    x = x * torch.hann_window(window, periodic=False, device=x.device)
    power = torch.fft.rfft(x, fft).abs().square()
    bank = mel_bank(bands, 20.0, sample_rate / 2, fft, sample_rate, kaldi=True).to(power)
    # Kaldi leaves the Nyquist bin out; its weight is 0 here as well, up to rounding.
    return (power @ bank).clamp_min(torch.finfo(torch.float32).eps).log()
