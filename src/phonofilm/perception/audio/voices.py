"""Whose voice it is: an embedding of 1.6 s of speech, in which one speaker lies near itself and far from others.

GE2E (Wan et al., "Generalized end-to-end loss for speaker verification", 2018), the weights of the package Resemblyzer
(Apache-2.0), of which nothing else is used: its own requirements are old.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phonofilm.perception.common import ported_checkpoints
from phonofilm.perception.common.mel import slaney_bank
from phonofilm.perception.common.optional_imports import mono, packaged

BANDS, WINDOW, HOP = 40, 400, 160
LEVEL = -30.0
"""dBFS that a quieter sound is raised to, as it was for the training."""


class VoiceEncoder(nn.Module):
    """Mel power float [B, T, 40] (see `mel_power`) -> unit vectors [B, 256], none of whose values is negative."""

    ignored: ClassVar[tuple[str, ...]] = ("similarity_",)
    sample_rate: ClassVar[int] = 16_000

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(BANDS, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    @staticmethod
    def load(device: str | torch.device = "cpu") -> VoiceEncoder:
        """Load the packaged weights.

        Raises:
            PhonofilmError: the package that they come in is not installed.
        """
        path = packaged("resemblyzer", "pretrained.pt", "telling voices apart")
        return ported_checkpoints.load(VoiceEncoder, path, device)

    def forward(self, mels: Tensor) -> Tensor:
        _, (hidden, _) = self.lstm(mels)
        return F.normalize(F.relu(self.linear(hidden[-1])), dim=-1)

    def embed(self, waveforms: np.ndarray) -> np.ndarray:
        """Pieces of speech of one length, float [B, N] at 16 kHz -> float32 [B, 256]."""
        with torch.inference_mode():
            found: np.ndarray = self(torch.stack([mel_power(piece) for piece in waveforms])).numpy()
        return found


def mel_power(waveform: np.ndarray) -> Tensor:
    """Mono float [N] at 16 kHz -> float32 [1 + N // 160, 40]: power of Slaney's bands, not its logarithm."""
    x = torch.from_numpy(mono(waveform))
    level = 10 * torch.log10(x.square().mean().clamp_min(1e-10))
    x = x * 10 ** (torch.clamp(LEVEL - level, min=0.0) / 20)
    window = torch.hann_window(WINDOW)
    spectrum = torch.stft(x, WINDOW, HOP, WINDOW, window, center=True, pad_mode="constant", return_complex=True)
    power = spectrum.abs().square().T
    return power @ slaney_bank(BANDS, 0.0, VoiceEncoder.sample_rate / 2, WINDOW, VoiceEncoder.sample_rate).to(power)
