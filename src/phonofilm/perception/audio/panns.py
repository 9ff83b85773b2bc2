"""PANNs' Cnn14: 2048-d audio embeddings and AudioSet's 527 classes, the backbone of FD, KL and IS of PANNs.

Kong et al., "PANNs: large-scale pretrained audio neural networks for audio pattern recognition" (2020). The layout is
that of the published Cnn14_16k_mAP=0.438.pth; its fixed spectrogram layers are ignored by name and computed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phonofilm.perception.common.mel import slaney_bank

FFT, HOP, BANDS, LOW, HIGH = 512, 160, 64, 50.0, 8000.0


@dataclass(frozen=True)
class Cnn14Config:
    """Channels of the six blocks of convolutions, width of the embedding, and classes."""

    channels: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)
    embedding: int = 2048
    classes: int = 527


class ConvBlock(nn.Module):
    """Two 3x3 convolutions with batch norm and ReLU, then average pooling."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor, pool: int) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        return F.avg_pool2d(F.relu(self.bn2(self.conv2(x))), pool)


class Cnn14(nn.Module):
    """Log-mel float [B, T, 64] -> embeddings [B, 2048] and logits [B, 527]."""

    ignored: ClassVar[tuple[str, ...]] = ("spectrogram_extractor.", "logmel_extractor.")
    sample_rate: ClassVar[int] = 16_000

    def __init__(self, config: Cnn14Config | None = None) -> None:
        super().__init__()
        self.config = config = config or Cnn14Config()
        self.bn0 = nn.BatchNorm2d(BANDS)
        widths = (1, *config.channels)
        for number, channels in enumerate(config.channels, 1):
            self.add_module(f"conv_block{number}", ConvBlock(widths[number - 1], channels))
        self.fc1 = nn.Linear(config.channels[-1], config.embedding)
        self.fc_audioset = nn.Linear(config.embedding, config.classes)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        x = self.bn0(mel[..., None].transpose(1, 2)).permute(0, 3, 2, 1)  # [B, 1, T, bands]
        count = len(self.config.channels)
        for number in range(1, count + 1):
            x = self.get_submodule(f"conv_block{number}")(x, 2 if number < count else 1)
        x = x.mean(3)
        embeddings = F.relu(self.fc1(x.amax(2) + x.mean(2)))
        return embeddings, self.fc_audioset(embeddings)


def log_mel(waveform: Tensor) -> Tensor:
    """Mono float [..., N] at 16 kHz -> log-mel float32 [..., T, 64] in dB.

    Power spectra of centred periodic Hann windows of 512 every 160, bands of 50 to 8000 Hz on Slaney's scale with his
    normalisation.
    """
    window = torch.hann_window(FFT, dtype=torch.float64, device=waveform.device)
    spectrum = torch.stft(waveform.double(), FFT, HOP, window=window, pad_mode="reflect", return_complex=True)
    bank = slaney_bank(BANDS, LOW, HIGH, FFT, Cnn14.sample_rate).to(waveform.device)
    return (10 * torch.log10((spectrum.abs().square().mT @ bank).clamp_min(1e-10))).float()
