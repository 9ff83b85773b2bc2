"""CLAP: sound and English text in one space, the backbone of the CLAP scores.

Wu et al., "Large-scale contrastive language-audio pretraining" (2023), LAION's unfused HTSAT, through transformers.
Which checkpoint it is can flip a ranking: results name it. Sound longer than 10 s is heard in windows of 10 s that
cover it, where the published code takes one at random.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from phonofilm.errors import PhonofilmError
from phonofilm.perception.common.mel import slaney_bank
from phonofilm.perception.common.optional_imports import mono
from phonofilm.perception.common.transformers_checkpoints import Words, load_pretrained

WINDOW = 480_000
"""Samples that it hears at once, 10 s."""

FFT, HOP, BANDS, LOW, HIGH = 1024, 480, 64, 50.0, 14_000.0


class Clap:
    """Sound and text to unit vectors."""

    sample_rate: ClassVar[int] = 48_000

    def __init__(self, network: Any, words: Words) -> None:
        self._network, self._words = network, words

    @staticmethod
    def load(folder: str | Path, device: str = "cpu") -> Clap:
        """Build it from a folder in transformers' layout.

        Raises:
            PhonofilmError: the folder does not hold a CLAP, or one with feature fusion, which hears otherwise.
        """
        from transformers import ClapModel

        network = load_pretrained(ClapModel, folder, ("clap",), device)
        if network.config.audio_config.enable_fusion:
            raise PhonofilmError(f"{folder} holds a fused CLAP; take an unfused one, as laion/clap-htsat-unfused")
        # RoBERTa counts positions from its padding token on
        text = network.config.text_config
        return Clap(network, Words(folder, text.max_position_embeddings - text.pad_token_id - 1))

    def sound(self, waveform: np.ndarray) -> Tensor:
        """float [N] at 48 kHz -> float32 [D], the direction of the mean over windows."""
        mel = log_mel_windows(torch.from_numpy(mono(waveform)))
        with torch.inference_mode():
            heard = self._network.audio_model(input_features=mel[:, None]).pooler_output
            each = F.normalize(self._network.audio_projection(heard), dim=-1)
            return F.normalize(each.mean(0), dim=-1)

    def text(self, prompt: str) -> tuple[Tensor, int]:
        """float32 [D], and the tokens that did not fit."""
        ids, cut = self._words(prompt)
        with torch.inference_mode():
            read = self._network.text_model(input_ids=ids).pooler_output
            return F.normalize(self._network.text_projection(read), dim=-1)[0], cut


def window_starts(samples: int) -> list[int]:
    """First samples of the windows of 10 s that cover a sound, the last one moved back to end with it."""
    return [min(start, max(samples - WINDOW, 0)) for start in range(0, max(samples, 1), WINDOW)]


def log_mel_windows(waveform: Tensor) -> Tensor:
    """Mono float [N] at 48 kHz -> log-mel float32 [windows, 1001, 64] in dB.

    A shorter sound is repeated as often as it fits whole and padded with zeros ("repeatpad"). Power spectra of
    centred periodic Hann windows, 64 bands of 50 to 14000 Hz on Slaney's scale with his normalisation.

    Raises:
        ValueError: there is no sound.
    """
    if not len(waveform):
        raise ValueError("CLAP needs sound")
    if len(waveform) < WINDOW:
        waveform = waveform.repeat(WINDOW // len(waveform))
        waveform = F.pad(waveform, (0, WINDOW - len(waveform)))
    x = torch.stack([waveform[start : start + WINDOW] for start in window_starts(len(waveform))]).double()
    window = torch.hann_window(FFT, dtype=torch.float64)
    spectrum = torch.stft(x, FFT, HOP, window=window, center=True, pad_mode="reflect", return_complex=True)
    bank = slaney_bank(BANDS, LOW, HIGH, FFT, Clap.sample_rate)
    power = spectrum.abs().square().mT @ bank
    return (10.0 * torch.log10(power.clamp_min(1e-10))).float()
