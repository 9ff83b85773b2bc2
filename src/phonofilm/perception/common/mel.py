"""Mel filterbanks as tensors, framing, and Kaldi's log-mel; the scales themselves are in `phonofilm.mel`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from phonofilm import mel


def mel_bank(bands: int, low: float, high: float, fft: int, sample_rate: int, *, kaldi: bool = False) -> Tensor:
    """float64 [fft // 2 + 1, bands]: HTK mel bands from `low` to `high` hertz, without area normalisation.

    Args:
        kaldi: triangles straight on the mel axis (Kaldi, AudioSet's VGGish) rather than on the hertz
            axis (torchaudio's default).
    """
    bank = mel.filterbank(bands, low, high, fft, sample_rate, straight="mel" if kaldi else "hertz")
    return torch.from_numpy(bank)


def slaney_bank(bands: int, low: float, high: float, fft: int, sample_rate: int) -> Tensor:
    """float64 [fft // 2 + 1, bands]: bands on Slaney's mel scale, each of area 1 in hertz (librosa's default)."""
    return torch.from_numpy(mel.filterbank(bands, low, high, fft, sample_rate, scale="slaney", unit_area=True))


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
