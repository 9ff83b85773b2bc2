"""Convolutions that never look ahead, with their memory as an argument.

`y, past = conv(x, past)`: `past` is the input a later call still needs; None means "start of clip".
For every legal chunking, the concatenated outputs equal one call on the whole.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Start = Literal["repeat", "zeros"]


def join_past(x: Tensor, past: Tensor | None, reach: int, start: Start = "repeat") -> Tensor:
    """Put the remembered input, or at the start of a clip `reach` made-up steps, before x [B, C, T, ...]."""
    if past is not None:
        return torch.cat([past, x], dim=2) if past.shape[2] else x
    if reach == 0:
        return x
    first = x[:, :, :1] if start == "repeat" else torch.zeros_like(x[:, :, :1])
    return torch.cat([first] * reach + [x], dim=2)  # copies rather than expand(), which would lose channels_last


def keep_past(joined: Tensor, length: int) -> Tensor:
    """The last `length` steps of [B, C, T, ...], which the next call needs."""
    return joined[:, :, joined.shape[2] - length :].clone()  # a view would keep the whole chunk alive


def check_steps(steps: int, stride: int, begins: bool, head: int = 1) -> None:
    """A strided layer takes head + stride·n steps at the start of a clip, and stride·n steps afterwards."""
    if steps < 1 or (begins and steps < head) or (steps - head * begins) % stride:
        legal = f"{head} + {stride}·n" if begins else f"{stride}·n"
        raise ValueError(f"{steps} steps given where a causal layer of stride {stride} takes {legal}")


class CausalConv1d(nn.Conv1d):
    """Causal convolution over time: x [B, C, T], past -> (y [B, D, T'], past).

    With stride s the first `head` steps make an output of their own, then every s steps make one more:
    T = head + s·n gives T' = 1 + n at the start of a clip, T = s·n gives T' = n afterwards.
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, *, stride: int = 1, dilation: int = 1,
        groups: int = 1, bias: bool = True, start: Start = "repeat", head: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(channels_in, channels_out, kernel, stride, 0, dilation, groups, bias)
        self.reach = (kernel - 1) * dilation
        self.start: Start = start
        self.head = head
        if not 1 <= head <= min(stride, self.reach + 1):
            raise ValueError(f"a first output of {head} steps does not fit a stride of {stride}")
        if stride > self.reach + 1:
            raise ValueError(f"a stride of {stride} would skip input: the kernel spans {self.reach + 1} steps")

    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        stride = self.stride[0]
        check_steps(x.shape[2], stride, past is None, self.head)
        joined = join_past(x, past, self.reach + 1 - self.head, self.start)
        return super().forward(joined), keep_past(joined, self.reach + 1 - stride)


class CausalConv3d(nn.Conv3d):
    """Convolution causal in time and centred ("same", zeros outside) in space, odd spatial kernels.

    x [B, C, T, H, W], past -> (y [B, D, T', H, W], past); strides in time as in `CausalConv1d`.
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel: tuple[int, int, int], *, stride: int = 1,
        groups: int = 1, bias: bool = True, start: Start = "repeat",
    ) -> None:  # fmt: skip
        padding = (0, kernel[1] // 2, kernel[2] // 2)
        super().__init__(channels_in, channels_out, kernel, (stride, 1, 1), padding, 1, groups, bias)
        self.reach = kernel[0] - 1
        self.start: Start = start
        if stride > kernel[0]:
            raise ValueError(f"a stride of {stride} would skip input: the kernel spans {kernel[0]} steps")

    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        stride = self.stride[0]
        check_steps(x.shape[2], stride, past is None)
        joined = join_past(x, past, self.reach, self.start)
        return F.conv3d(joined, self.weight, self.bias, self.stride, self.padding, 1, self.groups), keep_past(
            joined, self.reach + 1 - stride
        )
