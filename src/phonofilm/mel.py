"""Mel scales and triangular filterbanks, in the variants that published audio networks were trained on.

They differ in the scale (HTK's or Slaney's), in where the triangles are straight (on the mel or the hertz axis) and in
their height. A network fed the wrong one still gives numbers, only wrong ones.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Scale = Literal["htk", "slaney"]

_KNEE, _PER_HERTZ = 1000.0, 3 / 200  # Slaney's scale is linear up to 1 kHz, where it has 15 mel,
_PER_OCTAVE = 27 / math.log(6.4)  # and then has 27 mel for each factor of 6.4


def hertz_to_mel(hertz: ArrayLike, scale: Scale = "htk") -> Floats:
    """Frequencies on a mel scale: HTK's 2595·log10(1 + f/700), or Slaney's (Auditory Toolbox, 1998)."""
    hertz = np.asarray(hertz, dtype=np.float64)
    if scale == "htk":
        return np.asarray(2595 * np.log10(1 + hertz / 700))
    high = _KNEE * _PER_HERTZ + _PER_OCTAVE * np.log(np.maximum(hertz, _KNEE) / _KNEE)
    return np.where(hertz < _KNEE, hertz * _PER_HERTZ, high)


def mel_to_hertz(mel: ArrayLike, scale: Scale = "htk") -> Floats:
    """The inverse of `hertz_to_mel`."""
    mel = np.asarray(mel, dtype=np.float64)
    if scale == "htk":
        return np.asarray(700 * (10 ** (mel / 2595) - 1))
    knee = _KNEE * _PER_HERTZ
    return np.where(mel < knee, mel / _PER_HERTZ, _KNEE * np.exp((np.maximum(mel, knee) - knee) / _PER_OCTAVE))


def band_edges(bands: int, low: float, high: float, scale: Scale = "htk") -> Floats:
    """Frequencies [bands + 2] in hertz, evenly spaced in mel: band b has its foot, peak and foot at b, b + 1, b + 2."""
    ends = hertz_to_mel([low, high], scale)
    return mel_to_hertz(np.linspace(ends[0], ends[1], bands + 2), scale)


def triangles(points: ArrayLike, edges: ArrayLike) -> Floats:
    """Overlapping triangles of height 1 on one axis: [points, bands].

    Args:
        points: [F], where each spectral bin lies.
        edges: [bands + 2], ascending: foot, peak, foot of each triangle, shared by its neighbours.
    """
    points, edges = np.asarray(points, dtype=np.float64)[:, None], np.asarray(edges, dtype=np.float64)
    rising = (points - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - points) / (edges[2:] - edges[1:-1])
    return np.maximum(np.minimum(rising, falling), 0)


def filterbank(
    bands: int,
    low: float,
    high: float,
    fft: int,
    sample_rate: int,
    *,
    scale: Scale = "htk",
    straight: Literal["hertz", "mel"] = "hertz",
    unit_area: bool = False,
) -> Floats:
    """Weight of each bin of a spectrum of `fft` samples in each band: float64 [fft // 2 + 1, bands].

    Args:
        low, high: ends of the lowest and the highest band in hertz.
        straight: the axis on which the triangles are straight: hertz (torchaudio, librosa) or mel (Kaldi, AudioSet).
        unit_area: each band has area 1 in hertz (librosa's default) rather than height 1.
    """
    bins, edges = np.linspace(0, sample_rate / 2, fft // 2 + 1), band_edges(bands, low, high, scale)
    if straight == "mel":
        return triangles(hertz_to_mel(bins, scale), hertz_to_mel(edges, scale))
    bank = triangles(bins, edges)
    return bank * 2 / (edges[2:] - edges[:-2]) if unit_area else bank
