"""Clips whose truth is exact."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from phonofilm.types import Clip, nearest, rational


def flash_and_beep(fps: float | Fraction = 12, sample_rate: int = 16_000, seconds: float = 2.0, size: int = 64) -> Clip:
    """Grey film in which one white frame and the start of one beep in both channels fall together, half-way."""
    rate = rational(fps)
    count = nearest(Fraction(seconds) * rate)
    frames = np.full((count, size, size, 3), 30, np.uint8)
    frames[count // 2] = 230
    waveform = np.zeros((2, nearest(count / rate * sample_rate)), np.float32)
    start = nearest(count // 2 / rate * sample_rate)
    t = np.arange(sample_rate // 10) / sample_rate
    waveform[:, start : start + len(t)] = 0.5 * np.sin(2 * np.pi * 1000 * t) * np.exp(-40 * t)
    return Clip(frames, rate, waveform, sample_rate, prompt="a flash and a beep")


def noise(frames: int = 6, width: int = 48, height: int = 32, channels: int = 2, sample_rate: int = 16_000) -> Clip:
    """Random pixels and samples: whatever comes back equal was kept without loss."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    sound = rng.uniform(-1, 1, (channels, sample_rate * frames // 12)).astype(np.float32)
    return Clip(pixels, Fraction(12), sound, sample_rate)
