"""Synchformer: how far picture and sound are apart, in 21 classes from -2 to +2 s.

Iashin et al., "Synchformer: efficient synchronization from sparse cues" (2024). The layout is that of
the published 24-01-04T16-39-21 checkpoint, which MMAudio and av-benchmark also distribute.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from phonofilm.perception.audio.ast import SpectrogramTransformer, SpectrogramTransformerConfig
from phonofilm.perception.common.attention import attend
from phonofilm.perception.common.frames import centre_crop, normalise, short_side, to_tensor
from phonofilm.perception.common.mel import mel_bank
from phonofilm.perception.vision.motionformer import MotionFormer, MotionFormerConfig

FPS = 25
SAMPLE_RATE = 16_000
SEGMENT_FRAMES, STEP_FRAMES = 16, 8
SEGMENT_SAMPLES, STEP_SAMPLES = 10_240, 5_120
MEL_FRAMES = 66
MEL_MEAN, MEL_STD = -4.2677393, 4.5689974


@dataclass(frozen=True)
class SynchformerConfig:
    """Both feature extractors, and the transformer that compares them."""

    vision: MotionFormerConfig = field(default_factory=MotionFormerConfig)
    audio: SpectrogramTransformerConfig = field(default_factory=SpectrogramTransformerConfig)
    segments: int = 14
    depth: int = 3
    heads: int = 8
    classes: int = 21

    @property
    def width(self) -> int:
        return self.vision.width

    @property
    def positions(self) -> int:
        return 2 + self.segments * (self.vision.times + self.audio.times)


class Attention(nn.Module):
    """Attention with separate projections."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.key = nn.Linear(width, width)
        self.query = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(attend(self.query(x), self.key(x), self.value(x), self.heads))


class Block(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(width)
        self.ln2 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class Comparison(nn.Module):
    """Reads `OFF vision MOD audio` as one sequence and answers at the first token."""

    def __init__(self, config: SynchformerConfig) -> None:
        super().__init__()
        width = config.width
        self.OFF_tok = nn.Parameter(torch.randn(1, 1, width))
        self.MOD_tok = nn.Parameter(torch.randn(1, 1, width))
        self.vis_in_lnorm = nn.LayerNorm(width)
        self.aud_in_lnorm = nn.LayerNorm(width)
        self.pos_emb_cfg = nn.ParameterDict({"pos_emb": nn.Parameter(torch.randn(1, config.positions, width))})
        self.blocks = nn.Sequential(*[Block(width, config.heads) for _ in range(config.depth)])
        self.ln_f = nn.LayerNorm(width)
        self.off_head = nn.Linear(width, config.classes)

    def forward(self, vision: Tensor, audio: Tensor) -> Tensor:
        offset, modality = (token.expand(len(vision), -1, -1) for token in (self.OFF_tok, self.MOD_tok))
        x = torch.cat([offset, self.vis_in_lnorm(vision), modality, self.aud_in_lnorm(audio)], 1)
        x = self.blocks(x + self.pos_emb_cfg["pos_emb"])
        return self.off_head(self.ln_f(x)[:, 0])


class Synchformer(nn.Module):
    """The whole model: `vision`, `audio`, and `compare`, which needs exactly 14 segments (4.8 s) of both."""

    ignored: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: SynchformerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SynchformerConfig()
        self.vfeat_extractor = MotionFormer(config.vision)
        self.afeat_extractor = SpectrogramTransformer(config.audio)
        self.vproj = nn.Linear(config.width, config.width)
        self.aproj = nn.Linear(config.audio.width, config.width)
        self.transformer = Comparison(config)

    def vision(self, segments: Tensor) -> Tensor:
        """Segments float [B, S, 16, 3, 224, 224] in [-1, 1] (see `frame_segments`) -> [B, S, 8, 768]."""
        features = self.vfeat_extractor(rearrange(segments, "b s t c h w -> (b s) c t h w"))
        return rearrange(features, "(b s) t d -> b s t d", b=len(segments))

    def audio(self, mel: Tensor) -> Tensor:
        """Segments float [B, S, 128, 66] (see `mel_segments`) -> [B, S, 6, 768]."""
        features = self.afeat_extractor(rearrange(mel, "b s f t -> (b s) f t"))
        return rearrange(features, "(b s) t d -> b s t d", b=len(mel))

    def compare(self, vision: Tensor, audio: Tensor) -> Tensor:
        """Features [B, 14, 8, 768] and [B, 14, 6, 768] -> logits [B, 21] over `offset_grid()`.

        Raises:
            ValueError: the model knows positions for another number of segments.
        """
        if not vision.shape[1] == audio.shape[1] == self.config.segments:
            found = f"{vision.shape[1]} of picture and {audio.shape[1]} of sound"
            raise ValueError(f"Synchformer compares {self.config.segments} segments of each, not {found}")
        vision, audio = (rearrange(x, "b s t d -> b (s t) d") for x in (vision, audio))
        return self.transformer(self.vproj(vision), self.aproj(audio))


def offset_grid(classes: int = 21) -> Tensor:
    """The offset in seconds that each class stands for, float32 [classes]; positive means early sound."""
    return torch.linspace(-2.0, 2.0, classes)


def prepare_frames(frames: np.ndarray | Tensor) -> Tensor:
    """uint8 [T, H, W, 3] at 25 fps -> float32 [T, 3, 224, 224] in [-1, 1]: short side to 224, middle kept."""
    return normalise(centre_crop(short_side(to_tensor(frames), 224), 224), (0.5,) * 3, (0.5,) * 3)


def frame_segments(frames: Tensor) -> Tensor:
    """[T, ...] at 25 fps -> [S, 16, ...], a segment of 0.64 s every 0.32 s, the incomplete tail dropped."""
    if len(frames) < SEGMENT_FRAMES:
        return frames.new_zeros(0, SEGMENT_FRAMES, *frames.shape[1:])
    return frames.unfold(0, SEGMENT_FRAMES, STEP_FRAMES).movedim(-1, 1)


def mel_segments(waveform: Tensor) -> Tensor:
    """Mono float [..., N] at 16 kHz -> normalised log-mel [..., S, 128, 66] of segments as in `frame_segments`.

    Each segment of 0.64 s is transformed by itself, mirrored at its own ends: power spectra of periodic
    Hann windows of 25 ms every 10 ms (FFT 1024), 128 HTK bands up to 8 kHz, log(x + 1e-6); 65 frames and
    one of zeros, then (x + 4.2677) / (2·4.569).
    """
    if waveform.shape[-1] < SEGMENT_SAMPLES:
        return waveform.new_zeros(*waveform.shape[:-1], 0, 128, MEL_FRAMES)
    x = waveform.unfold(-1, SEGMENT_SAMPLES, STEP_SAMPLES)
    window = torch.hann_window(400, device=x.device, dtype=x.dtype)
    flat = x.reshape(-1, SEGMENT_SAMPLES)
    spectrum = torch.stft(flat, 1024, 160, 400, window, center=True, pad_mode="reflect", return_complex=True)
    bank = mel_bank(128, 0.0, SAMPLE_RATE / 2, 1024, SAMPLE_RATE).to(x)
    log_mel = torch.log(bank.T @ spectrum.abs().square() + 1e-6)
    padded = F.pad(log_mel, (0, MEL_FRAMES - log_mel.shape[-1]))
    return ((padded - MEL_MEAN) / (2 * MEL_STD)).reshape(*x.shape[:-1], 128, MEL_FRAMES)
