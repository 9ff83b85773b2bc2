"""The mel spectrogram that LTX-2's audio VAE was trained on: magnitudes on Slaney's scale, centred windows."""

from __future__ import annotations

from functools import lru_cache

import torch
from einops import rearrange
from torch import Tensor

from phonofilm import mel

WINDOW = 1024
FLOOR = 1e-5


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def filterbank(sample_rate: int, bins: int) -> Tensor:
    """float32 [WINDOW // 2 + 1, bins]: triangles of unit area over 0 Hz to half the rate."""
    bank = mel.filterbank(bins, 0, sample_rate / 2, WINDOW, sample_rate, scale="slaney", unit_area=True)
    return torch.from_numpy(bank).float()


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
    power = spectrum.abs().mT @ filterbank(sample_rate, bins).to(flat.device)
    return rearrange(power.clamp_min(FLOOR).log(), "(b c) t m -> b c t m", b=batch)
