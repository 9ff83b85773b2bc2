"""AV-Align: intersection over union of audio onsets and peaks of optical flow (Yariv et al. 2023, arXiv 2309.16429).

Range 0 … 1, higher is better. Known failures: it goes blind under one pixel of camera jitter, and its window of one
frame to either side is as coarse as the frame rate (±40 ms at 25 fps).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from phonofilm.signals.validation import Floats, vector

Variant = Literal["tempotokens", "javisbench"]


def flow_peaks(flow: ArrayLike, fps: float, variant: Variant = "tempotokens") -> Floats:
    """Times in seconds of the strict local maxima of mean flow magnitude [T] in pixels.

    "tempotokens" leaves out peaks below 0.1 pixel, "javisbench" keeps them all.
    """
    values = vector(flow, "flow")
    least = {"tempotokens": 0.1, "javisbench": -np.inf}[_known(variant)]
    inner = values[1:-1]
    peaks = (inner > values[:-2]) & (inner > values[2:]) & (inner >= least) if len(values) > 2 else np.zeros(0, bool)
    return (np.flatnonzero(peaks) + 1) / _positive(fps)


def av_align(audio_peaks: ArrayLike, video_peaks: ArrayLike, fps: float, variant: Variant = "tempotokens") -> float:
    """AV-Align of one clip from times in seconds of its audio onsets and flow peaks.

    A hit is an audio onset strictly within one frame of any flow peak; IoU = hits / (onsets + peaks − hits).
    "javisbench" adds 1e-6 to the denominator.

    Raises:
        ValueError: neither an onset nor a peak, where the ratio has no value; report such clips as n/a.
    """
    sounds, moves = vector(audio_peaks, "audio peaks", least=0), vector(video_peaks, "video peaks", least=0)
    softening = {"tempotokens": 0.0, "javisbench": 1e-6}[_known(variant)]
    if not len(sounds) + len(moves):
        raise ValueError("AV-Align has no value for a clip with neither audio onsets nor flow peaks")
    window = 1 / _positive(fps)
    near = (moves[None] - window < sounds[:, None]) & (sounds[:, None] < moves[None] + window)
    hits = int(near.any(axis=1).sum())
    return hits / (len(sounds) + len(moves) - hits + softening)


def _known(variant: Variant) -> Variant:
    if variant not in ("tempotokens", "javisbench"):
        raise ValueError(f"unknown AV-Align variant {variant!r}: choose tempotokens or javisbench")
    return variant


def _positive(fps: float) -> float:
    if not fps > 0:
        raise ValueError(f"the frame rate must be positive, not {fps}")
    return float(fps)
