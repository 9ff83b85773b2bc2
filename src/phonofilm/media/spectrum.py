"""What sound looks like: a log-mel spectrogram for the eye, and its colours."""

from __future__ import annotations

import numpy as np

from phonofilm import mel

WINDOW_SECONDS = 0.04
RANGE_DB = 70.0
# dark to light with steadily rising lightness, so that louder always reads as brighter
STOPS = np.array(
    [
        [12, 12, 18],
        [35, 20, 70],
        [90, 26, 110],
        [155, 40, 110],
        [214, 71, 84],
        [247, 130, 60],
        [253, 196, 92],
        [252, 246, 214],
    ],
    np.float64,
)


def log_mel_picture(waveform: np.ndarray, sample_rate: int, width: int, bands: int) -> np.ndarray:
    """float32 [bands, width] in [0, 1], low frequencies last: the loudest bin is 1, 70 dB below it 0.

    Args:
        waveform: float32 [C, N]; channels are mixed.
        width: columns; column k is centred on (k + ½) / width of the duration.
    """
    mono = waveform.mean(axis=0)
    size = 1 << max(8, round(np.log2(sample_rate * WINDOW_SECONDS)))
    padded = np.pad(mono, size // 2)
    starts = ((np.arange(width) + 0.5) / width * len(mono)).astype(int)
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[np.minimum(starts, len(padded) - size)]
    power = np.abs(np.fft.rfft(windows * np.hanning(size).astype(np.float32), axis=1)) ** 2
    level = 10 * np.log10(power @ _triangles(sample_rate, size, bands).T + 1e-12)
    shown = np.clip(1 + (level - max(float(level.max()), -40.0)) / RANGE_DB, 0, 1)
    return shown.T[::-1].astype(np.float32)


def mel_position(hertz: float, sample_rate: int) -> float:
    """Height of a frequency in the picture, from 0 (bottom) to 1 (top)."""
    return float(mel.hertz_to_mel(hertz) / mel.hertz_to_mel(sample_rate / 2))


def coloured(values: np.ndarray) -> np.ndarray:
    """uint8 [..., 3] of values in [0, 1]."""
    at = np.linspace(0, 1, len(STOPS))
    return (
        np.stack([np.interp(values, at, STOPS[:, channel]) for channel in range(3)], axis=-1).round().astype(np.uint8)
    )


def _triangles(sample_rate: int, size: int, bands: int) -> np.ndarray:
    """[bands, size // 2 + 1] overlapping triangles, each as wide as its neighbours' centres (or one bin)."""
    edges = mel.band_edges(bands, 0, sample_rate / 2)
    bins = np.fft.rfftfreq(size, 1 / sample_rate)
    bin_width = sample_rate / size
    rising = (bins - edges[:-2, None]) / np.maximum(edges[1:-1] - edges[:-2], bin_width)[:, None]
    falling = (edges[2:, None] - bins) / np.maximum(edges[2:] - edges[1:-1], bin_width)[:, None]
    weights = np.maximum(0, np.minimum(rising, falling))
    # a band narrower than a bin takes its nearest one
    nearest_bin = np.abs(bins[None] - edges[1:-1, None]).argmin(axis=1)
    weights[np.arange(bands), nearest_bin] = np.maximum(weights[np.arange(bands), nearest_bin], 1e-3)
    return weights / weights.sum(axis=1, keepdims=True)
