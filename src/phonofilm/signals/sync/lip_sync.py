"""LSE-D and LSE-C: SyncNet's distance and confidence between lips and voice (Chung and Zisserman 2016; Wav2Lip)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from phonofilm.signals.validation import Floats, pairs


@dataclass(frozen=True, eq=False)
class LipSync:
    """How well the lips of one clip fit its voice.

    Attributes:
        offset: in frames of 25 fps, positive = audio early.
        distance: LSE-D, the mean feature distance at the best offset; lower is better.
        confidence: LSE-C, the median over offsets less that minimum; higher is better.
        curve: float64 [2·shift + 1], mean distance with the audio taken −shift … +shift frames later.
    """

    offset: int
    distance: float
    confidence: float
    curve: Floats


def lip_sync(audio: ArrayLike, video: ArrayLike, shift: int = 15) -> LipSync:
    """LSE-C and LSE-D from SyncNet features [T, D] of one clip, one row per frame of 25 fps.

    As published: the audio is padded with zeros at both ends, and the distance is torch's, with its 1e-6.

    Raises:
        ValueError: audio and video that do not pair, or NaN.
    """
    sound, picture = pairs(audio, video, names=("audio features", "video features"))
    if shift < 1:
        raise ValueError(f"lip sync needs a range of at least 1 frame, not {shift}")
    padded = np.pad(sound, ((shift, shift), (0, 0)))
    curve = np.stack([_distance(picture, padded[s : s + len(picture)]) for s in range(2 * shift + 1)])
    best = int(curve.argmin())
    return LipSync(shift - best, float(curve[best]), float(np.median(curve) - curve[best]), curve)


def _distance(first: Floats, second: Floats) -> np.float64:
    return np.linalg.norm(first - second + 1e-6, axis=1).mean()
