"""The mel spectrogram that LTX-2's audio VAE was trained on: magnitudes on Slaney's scale, centred windows."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from einops import rearrange
from torch import Tensor

WINDOW = 1024
FLOOR = 1e-5
_LINEAR_STEP, _LOG_START = 200 / 3, 1000.0
_LOG_STEP = math.log(6.4) / 27


def slaney_to_hertz(mel: Tensor) -> Tensor:
    """Slaney's scale (Auditory Toolbox, 1998): linear up to 1 kHz, then 27 bands for each factor of 6.4."""
    start = _LOG_START / _LINEAR_STEP
    return torch.where(mel < start, mel * _LINEAR_STEP, _LOG_START * torch.exp(_LOG_STEP * (mel - start)))


def hertz_to_slaney(hertz: float) -> float:
    """The inverse of `slaney_to_hertz`, for one value."""
    start = _LOG_START / _LINEAR_STEP
    return hertz / _LINEAR_STEP if hertz < _LOG_START else start + math.log(hertz / _LOG_START) / _LOG_STEP


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def filterbank(sample_rate: int, bins: int) -> Tensor:
    """float32 [WINDOW // 2 + 1, bins]: triangles of unit area over 0 Hz to half the rate."""
    top = hertz_to_slaney(sample_rate / 2)
    edges = slaney_to_hertz(torch.linspace(0, top, bins + 2, dtype=torch.float64))
    hertz = torch.linspace(0, sample_rate / 2, WINDOW // 2 + 1, dtype=torch.float64)[:, None]
    rising = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    triangles = torch.minimum(rising, falling).clamp_min(0)
    return (triangles * 2 / (edges[2:] - edges[:-2])).float()


def log_mel(waveform: Tensor, sample_rate: int, hop: int, bins: int) -> Tensor:
    """Log magnitudes [B, C, frames, bins] of float32 [B, C, N], where frames = 1 + N // hop.

    Frame i is centred on sample i·hop; at the ends the sound is mirrored, or continued with silence where it is
    shorter than half a window.
    """
    batch, half = waveform.shape[0], WINDOW // 2
    if waveform.shape[-1] <= half:
        waveform = torch.nn.functional.pad(waveform, (0, half + 1 - waveform.shape[-1]))
    window = torch.hann_window(WINDOW, device=waveform.device)
    flat = rearrange(waveform.float(), "b c n -> (b c) n")
    spectrum = torch.stft(flat, WINDOW, hop, window=window, center=True, pad_mode="reflect", return_complex=True)
    mel = spectrum.abs().mT @ filterbank(sample_rate, bins).to(flat.device)
    return rearrange(mel.clamp_min(FLOOR).log(), "(b c) t m -> b c t m", b=batch)
