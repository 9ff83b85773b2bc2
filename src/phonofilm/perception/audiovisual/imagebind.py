"""ImageBind: picture, film and sound in one space, the backbone of the ImageBind score.

Girdhar et al., "ImageBind: one embedding space to bind them all" (2023). The layout is that of the
published imagebind_huge.pth (CC-BY-NC 4.0); its other modalities are ignored by name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from phonofilm.perception.common.attention import Mlp, MultiheadAttention
from phonofilm.perception.common.frames import (
    CLIP_MEAN,
    CLIP_STD,
    centre_crop,
    normalise,
    short_side,
    three_crops,
    to_tensor,
)
from phonofilm.perception.common.mel import kaldi_log_mel

SAMPLE_RATE = 16_000
CLIP_SECONDS = 2
BANDS, MEL_FRAMES = 128, 204
MEL_MEAN, MEL_STD = -4.268, 9.138


@dataclass(frozen=True)
class TrunkConfig:
    width: int
    depth: int
    heads: int


@dataclass(frozen=True)
class ImageBindConfig:
    """The huge model: ViT-H over 2-frame tubes, ViT-B over mel patches."""

    vision: TrunkConfig = field(default_factory=lambda: TrunkConfig(1280, 32, 16))
    audio: TrunkConfig = field(default_factory=lambda: TrunkConfig(768, 12, 12))
    embedding: int = 1024
    size: int = 224
    patch: int = 14
    mel_patch: int = 16
    mel_stride: int = 10

    @property
    def vision_patches(self) -> int:
        return (self.size // self.patch) ** 2

    @property
    def audio_patches(self) -> int:
        rows, columns = ((n - self.mel_patch) // self.mel_stride + 1 for n in (BANDS, MEL_FRAMES))
        return rows * columns


class Block(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, config: TrunkConfig, extra: bool, causal: bool = False) -> None:
        super().__init__()
        self.attn = MultiheadAttention(config.width, config.heads, extra, causal)
        self.norm_1 = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp = Mlp(config.width, 4 * config.width)
        self.norm_2 = nn.LayerNorm(config.width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm_1(x))
        return x + self.mlp(self.norm_2(x))


class Trunk(nn.Module):
    """The blocks of one modality, behind a norm for vision and with bias tokens for audio."""

    def __init__(self, config: TrunkConfig, norm: bool, extra: bool, causal: bool = False) -> None:
        super().__init__()
        before = nn.LayerNorm(config.width, eps=1e-6) if norm else nn.Identity()
        self.pre_transformer_layer = nn.Sequential(before)
        self.blocks = nn.Sequential(*[Block(config, extra, causal) for _ in range(config.depth)])

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.pre_transformer_layer(x))


class Stem(nn.Module):
    """Patches, class token and learned positions."""

    def __init__(self, width: int, patches: int, stem: nn.ModuleDict) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.rgbt_stem = stem
        self.pos_embedding_helper = nn.ParameterDict({"pos_embed": torch.zeros(1, 1 + patches, width)})

    def forward(self, patches: Tensor) -> Tensor:
        """[B, N, D] -> [B, 1 + N, D]."""
        return torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], 1) + self.positions

    @property
    def positions(self) -> Tensor:
        return self.pos_embedding_helper["pos_embed"]


class VisionStem(Stem):
    """Clips [B, 3, 2, 224, 224] -> tokens [B, 257, D]."""

    def __init__(self, config: ImageBindConfig) -> None:
        tube = (2, config.patch, config.patch)
        proj = nn.Sequential(nn.Identity(), nn.Conv3d(3, config.vision.width, tube, tube, bias=False))
        super().__init__(config.vision.width, config.vision_patches, nn.ModuleDict({"proj": proj}))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(rearrange(self.rgbt_stem["proj"](x), "b d t h w -> b (t h w) d"))


class AudioStem(Stem):
    """Log-mel [B, 1, 128, 204] -> tokens [B, 229, D]."""

    def __init__(self, config: ImageBindConfig) -> None:
        width = config.audio.width
        proj = nn.Conv2d(1, width, config.mel_patch, config.mel_stride, bias=False)
        stem = nn.ModuleDict({"proj": proj, "norm_layer": nn.LayerNorm(width)})
        super().__init__(width, config.audio_patches, stem)

    def forward(self, x: Tensor) -> Tensor:
        patches = rearrange(self.rgbt_stem["proj"](x), "b d h w -> b (h w) d")
        return super().forward(self.rgbt_stem["norm_layer"](patches))


class Head(nn.Sequential):
    """Norm, class token, projection."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__(nn.LayerNorm(width, eps=1e-6), nn.Identity(), nn.Linear(width, embedding, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:, 0])


class LogitScale(nn.Module):
    """Multiplication by a learned temperature, at most 100."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("log_logit_scale", torch.tensor(20.0).log())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.get_buffer("log_logit_scale").exp().clamp_max(100.0)


class ImageBind(nn.Module):
    """The vision and audio parts: `vision`, `audio`, and `*_raw` before normalisation."""

    ignored: ClassVar[tuple[str, ...]] = tuple(
        f"modality_{part}.{modality}."
        for part in ("preprocessors", "trunks", "heads", "postprocessors")
        for modality in ("text", "depth", "thermal", "imu")
    )

    def __init__(self, config: ImageBindConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ImageBindConfig()
        self.modality_preprocessors = nn.ModuleDict({"vision": VisionStem(config), "audio": AudioStem(config)})
        self.modality_trunks = nn.ModuleDict(
            {
                "vision": Trunk(config.vision, norm=True, extra=False),
                "audio": Trunk(config.audio, norm=False, extra=True),
            }
        )
        heads = {name: Head(trunk.width, config.embedding) for name, trunk in self._trunks().items()}
        self.modality_heads = nn.ModuleDict(heads)
        self.modality_postprocessors = nn.ModuleDict({"audio": nn.Sequential(nn.Identity(), LogitScale())})

    def _trunks(self) -> dict[str, TrunkConfig]:
        return {"vision": self.config.vision, "audio": self.config.audio}

    def _raw(self, modality: str, x: Tensor) -> Tensor:
        tokens = self.modality_preprocessors[modality](x)
        return self.modality_heads[modality](self.modality_trunks[modality](tokens))

    def vision_raw(self, x: Tensor) -> Tensor:
        """Images float [B, 3, 224, 224] or 2-frame clips [B, 3, 2, 224, 224] -> [B, 1024] before normalisation."""
        x = repeat(x, "b c h w -> b c t h w", t=2) if x.ndim == 4 else x
        return self._raw("vision", x)

    def audio_raw(self, mel: Tensor) -> Tensor:
        """Normalised log-mel float [B, 1, 128, 204] -> [B, 1024] before normalisation."""
        return self._raw("audio", mel)

    def vision(self, x: Tensor) -> Tensor:
        """Images or clips as in `vision_raw` -> unit vectors [B, 1024]."""
        return F.normalize(self.vision_raw(x), dim=-1)

    def audio(self, mel: Tensor) -> Tensor:
        """Log-mel as in `audio_raw` -> unit vectors times the learned temperature [B, 1024]."""
        return self.modality_postprocessors["audio"](F.normalize(self.audio_raw(mel), dim=-1))


def prepare_frames(frames: np.ndarray | Tensor, crops: bool = False) -> Tensor:
    """uint8 [T, H, W, 3] -> float32 [T, 3, 224, 224], or [3, T, 3, 224, 224] with three crops along the longer side."""
    x = normalise(short_side(to_tensor(frames), 224), CLIP_MEAN, CLIP_STD)
    return three_crops(x, 224) if crops else centre_crop(x, 224)


def clip_starts(seconds: float, clips: int = 3) -> tuple[float, ...]:
    """Starts of `clips` clips of 2 s spread evenly over a sound (pytorchvideo's constant-clips sampler)."""
    step = max(seconds - CLIP_SECONDS, 0.0) / max(clips - 1, 1)
    return tuple(step * index for index in range(clips))


def log_mel_clips(waveform: Tensor, clips: int = 3) -> Tensor:
    """Mono float [N] at 16 kHz -> normalised log-mel float32 [clips, 1, 128, 204] of clips of 2 s.

    Each clip is freed of its own mean before Kaldi's filterbank; 198 frames are padded with zeros to
    204 before (x + 4.268) / 9.138.
    """
    pieces = []
    for start in clip_starts(waveform.shape[-1] / SAMPLE_RATE, clips):
        first = int(start * SAMPLE_RATE)
        piece = waveform[first : first + CLIP_SECONDS * SAMPLE_RATE].float()
        mel = kaldi_log_mel(piece - piece.mean(), BANDS, SAMPLE_RATE)[:MEL_FRAMES]
        pieces.append(F.pad(mel.T, (0, MEL_FRAMES - len(mel))))
    return (torch.stack(pieces)[:, None] - MEL_MEAN) / MEL_STD
