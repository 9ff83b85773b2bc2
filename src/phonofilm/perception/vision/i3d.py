"""I3D: Inception-v1 inflated to space-time, the backbone of the Frechet video distance.

Carreira & Zisserman, "Quo vadis, action recognition?" (2017). The layout is that of the published
pytorch-i3d checkpoint (rgb_imagenet.pt), whose weights are not those of i3d_torchscript.pt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from phonofilm.perception.common.frames import centre_crop, short_side, to_tensor
from phonofilm.perception.common.padding import pad_same

SIZE = 224
Triple = tuple[int, int, int]
# Output channels of the branches: 1x1, (1x1 -> 3x3), (1x1 -> 3x3), pool -> 1x1.
Branches = tuple[int, int, int, int, int, int]


@dataclass(frozen=True)
class I3DConfig:
    """Number of classes, input channels, and the space-time window that is averaged before the logits."""

    classes: int = 400
    channels: int = 3
    average: Triple = (2, 7, 7)


MIXED: dict[str, Branches] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


class Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, channels: int, width: int, kernel: Triple = (1, 1, 1), stride: Triple = (1, 1, 1)) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv3d = nn.Conv3d(channels, width, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(width, eps=1e-5, momentum=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv3d(pad_same(x, self.kernel, self.stride))))


class Pool(nn.Module):
    """Max-pooling over a SAME-padded input; the padding counts as zeros."""

    def __init__(self, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """The Inception block: four branches side by side."""

    def __init__(self, channels: int, branches: Branches) -> None:
        super().__init__()
        straight, narrow1, wide1, narrow2, wide2, pooled = branches
        self.b0 = Unit(channels, straight)
        self.b1a = Unit(channels, narrow1)
        self.b1b = Unit(narrow1, wide1, (3, 3, 3))
        self.b2a = Unit(channels, narrow2)
        self.b2b = Unit(narrow2, wide2, (3, 3, 3))
        self.b3a = Pool((3, 3, 3), (1, 1, 1))
        self.b3b = Unit(channels, pooled)
        self.width = straight + wide1 + wide2 + pooled

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], 1)


class Logits(nn.Module):
    """The classifier, a 1x1x1 convolution with bias."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(channels, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3d(x)


class I3D(nn.Module):
    """Frames float [B, 3, T, 224, 224] in [-1, 1] -> Kinetics logits [B, 400]; T at least 9."""

    ignored: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: I3DConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or I3DConfig()
        self.Conv3d_1a_7x7 = Unit(config.channels, 64, (7, 7, 7), (2, 2, 2))
        self.MaxPool3d_2a_3x3 = Pool((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit(64, 64)
        self.Conv3d_2c_3x3 = Unit(64, 192, (3, 3, 3))
        self.MaxPool3d_3a_3x3 = Pool((1, 3, 3), (1, 2, 2))
        width = 192
        for name, branches in MIXED.items():
            if name == "Mixed_4b":
                self.MaxPool3d_4a_3x3 = Pool((3, 3, 3), (2, 2, 2))
            if name == "Mixed_5b":
                self.MaxPool3d_5a_2x2 = Pool((2, 2, 2), (2, 2, 2))
            block = Mixed(width, branches)
            self.add_module(name, block)
            width = block.width
        self.logits = Logits(width, config.classes)

    def pooled(self, x: Tensor) -> Tensor:
        """Frames as above -> average-pooled features [B, 1024, T'], before dropout and classifier."""
        for name, layer in self.named_children():
            if name != "logits":
                x = layer(x)
        return rearrange(F.avg_pool3d(x, self.config.average, 1), "b c t 1 1 -> b c t")

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.pooled(x))

    def classify(self, pooled: Tensor) -> Tensor:
        """Pooled features [B, 1024, T'] -> logits averaged over time [B, classes]."""
        return self.logits(pooled[..., None, None]).mean((2, 3, 4))


def prepare_stack(frames: np.ndarray | Tensor) -> Tensor:
    """uint8 [T, H, W, 3] -> float32 [3, T, 224, 224] in [-1, 1]: short side to 256 (bilinear), middle 224 kept."""
    x = centre_crop(short_side(to_tensor(frames), 256, "bilinear"), SIZE)
    return rearrange(2 * x / 255 - 1, "t c h w -> c t h w")


def prepare_flow(flow: np.ndarray) -> Tensor:
    """Flow float [T, H, W, 2] in pixels -> float32 [2, T, 224, 224]: at 256 pixels of the short side, within ± 20 of
    them, in 8 bits, the middle kept.
    """
    x = rearrange(torch.from_numpy(flow).float(), "t h w c -> t c h w")
    scale = 256 / min(x.shape[-2:])
    x = F.interpolate(x, [max(256, round(side * scale)) for side in x.shape[-2:]], mode="bilinear") * scale
    levels = (128 + 255 / 40 * centre_crop(x, SIZE).clamp(-20, 20)).round()
    return rearrange(2 * levels / 255 - 1, "t c h w -> c t h w")


def prepare_frames(frames: np.ndarray | Tensor, recipe: Literal["squash", "crop"] = "squash") -> Tensor:
    """uint8 [T, H, W, 3] -> float32 [3, T, 224, 224] in [-1, 1], scaled bilinearly without antialiasing.

    The recipe is part of an FVD's name: "squash" scales both sides to 224 (cd-fvd), "crop" scales the
    shorter side to 224 and keeps the middle (VideoGPT).
    """
    x = to_tensor(frames)
    scale = SIZE / min(x.shape[-2:])
    size = [SIZE, SIZE] if recipe == "squash" else [max(SIZE, math.ceil(side * scale)) for side in x.shape[-2:]]
    x = F.interpolate(x, size, mode="bilinear", align_corners=False)
    top, left = ((side - SIZE) // 2 for side in size)
    return rearrange(x[..., top : top + SIZE, left : left + SIZE] / 127.5 - 1.0, "t c h w -> c t h w")
