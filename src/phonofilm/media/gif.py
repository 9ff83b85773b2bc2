"""Animated GIF: the picture alone, for pages that play nothing else."""

from __future__ import annotations

import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from phonofilm.media.resample import resample_frames
from phonofilm.types import Clip, nearest

PILLOW_ERRORS = (
    OSError, ValueError, ArithmeticError, MemoryError, EOFError, SyntaxError, IndexError, struct.error,
    Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
"""What Pillow raises of damaged files, besides its own errors, which are all of these kinds."""

SAMPLED = 1_000_000
FASTEST = 50  # frames a second; browsers play anything faster at 10


def slowed(clip: Clip) -> Clip:
    """The clip at a rate that GIF can play."""
    if clip.frames is None or clip.fps is None or clip.fps <= FASTEST:
        return clip
    return clip.with_(frames=resample_frames(clip.frames, clip.fps, Fraction(FASTEST)), fps=Fraction(FASTEST))


def write_gif(clip: Clip, path: Path, comment: str = "") -> None:
    """Write the frames of a clip with one palette for all, endlessly looping; a comment takes the metadata.

    GIF counts time in hundredths of a second: each frame ends at the hundredth nearest to its true end,
    so that rounding never adds up.
    """
    frames, fps = clip.picture
    palette = _palette(frames)
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames]
    ends = [nearest(Fraction(100 * index) / fps) for index in range(len(images) + 1)]
    milliseconds = [10 * (end - start) for start, end in pairwise(ends)]
    images[0].save(
        path,
        format="GIF",
        save_all=True,
        append_images=images[1:],
        duration=milliseconds,
        loop=0,
        comment=comment.encode(),
        optimize=False,
    )


def gif_comment(path: Path) -> str:
    """The comment that `write_gif` left, or an empty text where there is none that can be read."""
    try:
        with Image.open(path) as image:
            comment = image.info.get("comment", b"")
    except PILLOW_ERRORS:
        return ""
    return comment.decode("utf-8", "replace")


def _palette(frames: np.ndarray) -> Image.Image:
    """256 colours that serve all frames: every frame gives the same number of its pixels."""
    pixels = frames.reshape(len(frames), -1, 3)
    stride = max(1, pixels.shape[1] * len(frames) // SAMPLED)
    return Image.fromarray(pixels[:, ::stride].copy()).quantize(256, method=Image.Quantize.MEDIANCUT)
