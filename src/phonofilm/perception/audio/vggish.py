"""VGGish: 128-d audio embeddings, the backbone of the Frechet audio distance.

Hershey et al., "CNN architectures for large-scale audio classification" (2017). The layout is that of
the published torchvggish checkpoint, without PCA and without the last ReLU, as FAD is computed today.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn

from phonofilm.perception.common.mel import frames, mel_bank


@dataclass(frozen=True)
class VGGishConfig:
    """Channels per convolution stage, width of the two hidden layers and of the embedding."""

    stages: tuple[tuple[int, ...], ...] = ((64,), (128,), (256, 256), (512, 512))
    hidden: int = 4096
    embedding: int = 128
    frames: int = 96
    bands: int = 64


class VGGish(nn.Module):
    """Log-mel examples float [N, 96, 64] -> embeddings [N, 128]."""

    ignored: ClassVar[tuple[str, ...]] = ("pproc.",)
    sample_rate: ClassVar[int] = 16_000

    def __init__(self, config: VGGishConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or VGGishConfig()
        layers: list[nn.Module] = []
        channels = 1
        for stage in config.stages:
            for width in stage:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        flat = channels * (config.frames >> len(config.stages)) * (config.bands >> len(config.stages))
        self.embeddings = nn.Sequential(
            nn.Linear(flat, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.embedding),
        )

    def forward(self, examples: Tensor) -> Tensor:
        x = self.features(rearrange(examples, "n t f -> n 1 t f"))
        # The weights come from TensorFlow, which flattens channels last.
        return self.embeddings(rearrange(x, "n c t f -> n (t f c)"))


def log_mel_examples(waveform: Tensor) -> Tensor:
    """Cut a mono waveform into VGGish's examples of 0.96 s.

    Magnitude spectra of 25 ms periodic Hann windows every 10 ms (FFT 512), 64 HTK bands of
    125-7500 Hz, log(mel + 0.01); 96 frames to an example, the incomplete tail dropped.

    Args:
        waveform: float [N] at 16 kHz in [-1, 1].

    Returns:
        float32 [N // 15360 or so, 96, 64]; no example if the sound is shorter than 0.975 s.
    """
    if waveform.shape[-1] < 400 + 95 * 160:
        return waveform.new_zeros(0, 96, 64, dtype=torch.float32)
    x = frames(waveform.double(), 400, 160) * torch.hann_window(400, dtype=torch.float64, device=waveform.device)
    bank = mel_bank(64, 125.0, 7500.0, 512, VGGish.sample_rate, kaldi=True).to(waveform.device)
    log_mel = torch.log(torch.fft.rfft(x, 512).abs() @ bank + 0.01)
    count = len(log_mel) // 96
    return rearrange(log_mel[: count * 96], "(n t) f -> n t f", t=96).float()
