"""Our own small sync network: how far sound and picture are apart, as a distribution over lags of 40 ms.

Two encoders, picture and sound, each give an embedding 25 times a second that knows only its half second (and the
level of the whole, which norms divide by); every picture is compared with every sound within reach, and the evidence
of all pairs at one lag is added up. So it is built (after SyncNet, Chung & Zisserman 2016, and the matching of
Synchformer, Iashin 2024, yet without a transformer over the pair) for three reasons: a shifted clip moves the evidence
and changes little else, so there is no lag that it prefers and one training window serves clips of any length;
evidence of independent moments adds, as logarithms of likelihoods do; and embeddings of one modality are found once, so
that a control with strange sound costs next to nothing.

It takes a million parameters, grey pictures of 64x64 and mono sound of 16 kHz. Its weights ship
(`recipes/syncnet.toml`), trained on Foley World and on the film Big Buck Bunny; what it can and cannot do is measured
in docs/metrics.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from phonofilm.checkpoint import load_module
from phonofilm.perception.common.mel import mel_bank
from phonofilm.weights.shipped import shipped_file

RATE = 25
"""Embeddings a second, and pictures: 40 ms are a class of the answer."""

SAMPLE_RATE, HOP, FFT = 16_000, 160, 512
STEPS = SAMPLE_RATE // HOP // RATE


@dataclass(frozen=True)
class SyncNetConfig:
    """The network's shape.

    Attributes:
        size: side of the pictures in pixels. fold: side of the squares that become channels first.
        spatial: channels of the picture's stages, each halving its side.
        width: channels along time. blocks: convolutions along time in each encoder, with a kernel of `kernel`.
        bands: mel bands. heads, dim: an embedding is `heads` unit vectors of `dim`.
        reach: largest offset in seconds either way that is learnt and answered.
    """

    size: int = 64
    fold: int = 8
    spatial: tuple[int, ...] = (48, 96)
    width: int = 128
    blocks: int = 3
    kernel: int = 5
    bands: int = 64
    heads: int = 8
    dim: int = 16
    reach: float = 1.0

    @property
    def lags(self) -> int:
        """Classes to each side of zero."""
        return round(self.reach * RATE)


class Residual(nn.Module):
    """x + conv(gelu(norm(x))) along time, [B, C, T]."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.conv = nn.Conv1d(width, width, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(F.gelu(self.norm(x)))


class Vision(nn.Module):
    """Grey pictures [B, T, S, S] in [-1, 1] at 25 a second -> [B, T, heads·dim]."""

    def __init__(self, config: SyncNetConfig) -> None:
        super().__init__()
        self.fold = config.fold
        widths = config.spatial
        # motion is in the channels from the first layer on: what a picture gives to itself and to both neighbours
        self.stem = nn.Linear(config.fold**2, 3 * widths[0])
        self.stages = nn.ModuleList(
            nn.Sequential(nn.GroupNorm(1, a), nn.GELU(), nn.Conv2d(a, b, 3, stride=2, padding=1))
            for a, b in pairwise(widths)
        )
        side = config.size // config.fold // 2 ** len(self.stages)
        self.entry = nn.Linear(widths[-1] * side**2, config.width)
        self.blocks = nn.ModuleList(Residual(config.width, config.kernel) for _ in range(config.blocks))
        self.exit = nn.Conv1d(config.width, config.heads * config.dim, 1)

    def forward(self, frames: Tensor) -> Tensor:
        count = len(frames)
        folded = rearrange(frames, "b t (h p) (w q) -> b t h w (p q)", p=self.fold, q=self.fold)
        before, now, after = self.stem(folded).chunk(3, dim=-1)
        before = torch.cat([before[:, :1], before[:, :-1]], dim=1)
        after = torch.cat([after[:, 1:], after[:, -1:]], dim=1)
        x = rearrange(before + now + after, "b t h w c -> (b t) c h w")
        for stage in self.stages:
            x = stage(x)
        x = rearrange(self.entry(F.gelu(x.flatten(1))), "(b t) c -> b c t", b=count)
        for block in self.blocks:
            x = block(x)
        return self.exit(x).transpose(1, 2)


class Hearing(nn.Module):
    """Log-mel [B, bands, 4·T] at 100 Hz -> [B, T, heads·dim]."""

    def __init__(self, config: SyncNetConfig) -> None:
        super().__init__()
        self.entry = nn.Conv1d(config.bands, config.width, 5, padding=2)
        self.slow = nn.ModuleList([nn.Conv1d(config.width, config.width, 7, stride=STEPS, padding=3)])
        self.blocks = nn.ModuleList(Residual(config.width, config.kernel) for _ in range(config.blocks))
        self.exit = nn.Conv1d(config.width, config.heads * config.dim, 1)

    def forward(self, mel: Tensor) -> Tensor:
        x = F.gelu(self.entry(mel))
        for layer in (*self.slow, *self.blocks):
            x = layer(x)
        return self.exit(x).transpose(1, 2)


class SyncNet(nn.Module):
    """Pictures and sound of the same moments -> logits over `offset_grid`; positive = audio early."""

    def __init__(self, config: SyncNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or SyncNetConfig()
        self.vision = Vision(self.config)
        self.hearing = Hearing(self.config)
        self.evidence = nn.Conv2d(self.config.heads, 16, 3, padding=1)
        self.weigh = nn.Conv2d(16, 1, 1)

    @staticmethod
    def load(path: Path | None = None, device: str | torch.device = "cpu") -> SyncNet:
        """The weights that ship, or others.

        Raises:
            PhonofilmError: the file is missing, damaged, or of another network; or what ships is not what shipped.
        """
        return load_module(SyncNet, path or shipped_file("syncnet"), device)

    def forward(self, frames: Tensor, mel: Tensor) -> Tensor:
        """Pictures [B, T, S, S] (see `prepare_frames`) and log-mel [B, bands, 4·T] -> logits [B, 2·lags + 1]."""
        return self.compare(self.vision(frames), self.hearing(mel))

    def compare(self, seen: Tensor, heard: Tensor, lags: int | None = None) -> Tensor:
        """Embeddings [B, T, heads·dim] of both, cut to the shorter -> logits [B, 2·lags + 1].

        Args:
            lags: classes to each side of zero, `config.lags` unless given.

        Raises:
            ValueError: no moment is left at the largest lag.
        """
        lags = self.config.lags if lags is None else lags
        time = min(seen.shape[1], heard.shape[1])
        if time <= lags:
            raise ValueError(f"{time / RATE:g} s are too short to look for offsets of {lags / RATE:g} s")
        seen, heard = (self._units(x[:, :time]) for x in (seen, heard))
        # lag j - lags stands for sound that comes that much early: what is seen at t was heard at t - lag
        around = F.pad(heard, (0, 0, lags, lags)).unfold(2, 2 * lags + 1, 1).flip(-1)
        alike = torch.einsum("bhtd,bhtdj->bhtj", seen, around)
        evidence = self.weigh(F.gelu(self.evidence(alike))).squeeze(1)
        there = _there(time, lags).to(evidence)
        # the mean over the moments that both have, times all moments: lags with fewer of them are not put back
        return (evidence * there).sum(1) / there.sum(0) * time

    def _units(self, x: Tensor) -> Tensor:
        return F.normalize(rearrange(x, "b t (h d) -> b h t d", h=self.config.heads), dim=-1)


@lru_cache(maxsize=64)
def _there(time: int, lags: int) -> Tensor:
    """float [T, 2·lags + 1]: whether what is seen at t has a sound at t - lag."""
    heard = torch.arange(time)[:, None] - torch.arange(-lags, lags + 1)
    return ((heard >= 0) & (heard < time)).float()


def offset_grid(lags: int) -> np.ndarray:
    """float64 [2·lags + 1]: offset in seconds of each class, positive = audio early."""
    return np.arange(-lags, lags + 1) / RATE


def prepare_frames(frames: np.ndarray | Tensor, fps: float = RATE, size: int = 64) -> Tensor:
    """uint8 [T, H, W, 3] -> grey float32 [t, size, size] in [-1, 1] at 25 a second: the nearest picture, squashed."""
    count = max(1, round(len(frames) / fps * RATE))
    index = np.minimum(np.rint(np.arange(count) * fps / RATE).astype(int), len(frames) - 1)
    kept, place = np.unique(index, return_inverse=True)  # slow film is shrunk once a picture
    small = [_grey(torch.as_tensor(frames[part]), size) for part in np.array_split(kept, -(-len(kept) // 64))]
    return torch.cat(small)[torch.from_numpy(place)]


def _grey(frames: Tensor, size: int) -> Tensor:
    """uint8 [T, H, W, 3] -> [T, size, size] in [-1, 1], by Rec. 601."""
    grey = frames.float() @ frames.new_tensor([0.299, 0.587, 0.114], dtype=torch.float32)
    if grey.shape[1:] != (size, size):
        larger = min(grey.shape[1:]) >= size
        grey = F.interpolate(grey[:, None], (size, size), mode="bilinear", antialias=larger, align_corners=False)[:, 0]
    return grey.clamp(0, 255) / 127.5 - 1


def log_mel(waveform: Tensor, bands: int = 64) -> Tensor:
    """Mono float [..., N] at 16 kHz -> [..., bands, 4·t] at 100 Hz, t whole 25ths, of zero mean and unit spread.

    Frames are centred: step 4·k stands for the moment of picture k. The loudness of the whole is taken out.
    """
    steps = waveform.shape[-1] // (HOP * STEPS) * STEPS
    flat = waveform.reshape(-1, waveform.shape[-1])
    window = torch.hann_window(400, device=waveform.device, dtype=waveform.dtype)
    spectrum = torch.stft(flat, FFT, HOP, 400, window, center=True, pad_mode="constant", return_complex=True)
    power = mel_bank(bands, 30.0, 8000.0, FFT, SAMPLE_RATE).to(waveform).T @ spectrum.abs().square()
    power = power[..., :steps]
    loud = power.amax(dim=(-2, -1), keepdim=True).clamp_min(1e-8)
    mel = torch.log(power / loud + 1e-6)
    mel = (mel - mel.mean((-2, -1), keepdim=True)) / mel.std((-2, -1), keepdim=True).clamp_min(1e-3)
    return mel.reshape(*waveform.shape[:-1], bands, steps)
