"""Where training crops of pictures are cut: anywhere, or where something moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

COARSE = 4
"""Pixels, per side, to one that motion is looked for in."""
VISIBLE = 25
"""Change from frame to frame, of 255, that counts as a whole."""


@dataclass(frozen=True)
class Box:
    """A part of a clip: first frame, top and left, and how many of each."""

    start: int
    top: int
    left: int
    frames: int
    height: int
    width: int

    def cut(self, frames: Tensor) -> Tensor:
        """The part's pixels, of its frames [frames, H, W, 3] alone."""
        return frames[:, self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True)
class Crops:
    """Boxes of one size in clips of one shape, drawn at random.

    Attributes:
        shape: frames, height and width of the clips.
        window: frames of a box. side: its height and width in pixels, None for the whole picture.
        moving: share of boxes that lie where something moves.
    """

    shape: tuple[int, int, int]
    window: int
    side: int | None
    moving: float
    _scores: dict[int, Tensor] = field(default_factory=dict)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Frames, height and width of a box; a clip that is smaller is taken whole."""
        frames, height, width = self.shape
        side = self.side or max(height, width)
        return min(self.window, frames), min(side, height), min(side, width)

    def draw(self, row: int, read: Callable[[], Tensor], generator: torch.Generator) -> Box:
        """A box of clip `row`, whose frames uint8 [T, H, W, 3] are read once, to see where it moves."""
        most = [whole - part for whole, part in zip(self.shape, self.sizes, strict=True)]
        chosen, *draws = torch.rand(4, generator=generator).tolist()
        place = [int(draw * (last + 1)) for draw, last in zip(draws, most, strict=True)]
        if chosen < self.moving and any(most):
            if row not in self._scores:
                self._scores[row] = motion(read(), self.sizes)
            score = self._scores[row].float()
            drawn = int(torch.multinomial(score.flatten(), 1, generator=generator))
            rows, columns = score.shape[1:]
            found = (drawn // (rows * columns), drawn // columns % rows * COARSE, drawn % columns * COARSE)
            place = [min(one, last) for one, last in zip(found, most, strict=True)]
        start, top, left = place
        return Box(start, top, left, *self.sizes)


def motion(frames: Tensor, sizes: tuple[int, int, int]) -> Tensor:
    """How much of each box of a clip [T, H, W, 3] changes: float16 [starts, tops, lefts], every `COARSE` pixels."""
    small = frames[:, COARSE // 2 :: COARSE, COARSE // 2 :: COARSE].to(torch.int16)
    changes = ((small[1:] - small[:-1]).abs().amax(-1).float() / VISIBLE).clamp_max(1)
    box = [min(size // COARSE, n) for size, n in zip(sizes[1:], changes.shape[1:], strict=True)]
    score = F.avg_pool2d(changes, box, stride=1)
    long = min(max(sizes[0] - 1, 1), len(changes))
    score = F.avg_pool1d(score.flatten(1).T, long, stride=1).T.unflatten(1, score.shape[1:])
    return (score if score.any() else torch.ones_like(score)).half()
