"""PaSST: 768-d audio embeddings and AudioSet's 527 classes, the backbone of FD, KL and IS of PaSST.

Koutini et al., "Efficient training of audio transformers with patchout" (2022). The layout is that of the published
passt-s-f128-p16-s10-ap.476-swa.pt; the head of the distillation token is not used and ignored by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from phonofilm.perception.common.attention import Mlp, attend
from phonofilm.perception.common.mel import mel_bank

WINDOW = 320_000
"""Samples at 32 kHz that it hears at once, 10 s."""

FFT, WIDTH, HOP, BANDS, LOW, HIGH = 1024, 800, 320, 128, 0.0, 15_000.0


@dataclass(frozen=True)
class PaSSTConfig:
    """The small model: patches of 16 by 16 every 10, over 128 bands and 998 frames."""

    width: int = 768
    depth: int = 12
    heads: int = 12
    classes: int = 527
    patch: int = 16
    stride: int = 10
    frames: int = 998


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        return self.proj(attend(q, k, v, self.heads))


class Block(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn, self.mlp = Attention(width, heads), Mlp(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PaSST(nn.Module):
    """Log-mel float [B, 128, T] -> embeddings [B, 768] and logits [B, 527]."""

    ignored: ClassVar[tuple[str, ...]] = ("head_dist.",)
    sample_rate: ClassVar[int] = 32_000

    def __init__(self, config: PaSSTConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PaSSTConfig()
        width = config.width
        self.cls_token, self.dist_token = (nn.Parameter(torch.zeros(1, 1, width)) for _ in range(2))
        self.new_pos_embed = nn.Parameter(torch.zeros(1, 2, width))
        self.freq_new_pos_embed = nn.Parameter(torch.zeros(1, width, BANDS // config.stride, 1))
        self.time_new_pos_embed = nn.Parameter(torch.zeros(1, width, 1, config.frames // config.stride))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, width, config.patch, config.stride)})
        self.blocks = nn.Sequential(*[Block(width, config.heads) for _ in range(config.depth)])
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, config.classes))

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        x = self.patch_embed["proj"](mel[:, None])
        x = x + self.time_new_pos_embed[..., : x.shape[-1]] + self.freq_new_pos_embed
        special = torch.cat([self.cls_token, self.dist_token], 1) + self.new_pos_embed
        x = torch.cat([special.expand(len(x), -1, -1), rearrange(x, "b d f t -> b (f t) d")], 1)
        embeddings = self.norm(self.blocks(x))[:, :2].mean(1)
        return embeddings, self.head(embeddings)


def log_mel(waveform: Tensor) -> Tensor:
    """Mono float [..., N] at 32 kHz -> normalised log-mel float32 [..., 128, T].

    Pre-emphasis by 0.97, power spectra of centred symmetric Hann windows of 800 every 320, Kaldi's bands of 0 to
    15000 Hz, (log(mel + 1e-5) + 4.5) / 5.
    """
    x = waveform.double()
    x = x[..., 1:] - 0.97 * x[..., :-1]
    window = torch.hann_window(WIDTH, periodic=False, dtype=torch.float64, device=x.device)
    spectrum = torch.stft(x, FFT, HOP, WIDTH, window, pad_mode="reflect", return_complex=True)
    bank = mel_bank(BANDS, LOW, HIGH, FFT, PaSST.sample_rate, kaldi=True).to(x.device)
    return (((spectrum.abs().square().mT @ bank + 1e-5).log() + 4.5) / 5).mT.float()


def ten_seconds(waveform: Tensor) -> Tensor:
    """The first 10 s of a sound [N] at 32 kHz, or all of it and silence after it, as av-benchmark hears it."""
    return F.pad(waveform[:WINDOW], (0, max(WINDOW - waveform.shape[-1], 0)))
