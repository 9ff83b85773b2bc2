"""Small films that are made for a test: scenes of moving texture, with a voice of their own each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from phonofilm.media import write_clip
from phonofilm.types import Clip

FPS, RATE, SIZE = 12, 16_000, (96, 64)


def scene(seed: int, seconds: float = 2.0) -> np.ndarray:
    """uint8 [T, 64, 96, 3]: a texture that glides."""
    width, height = SIZE
    random = np.random.default_rng(seed)
    texture = gaussian_filter(random.normal(size=(height, 2 * width, 3)), (5, 5, 0), mode="wrap")
    texture = (255 * (texture - texture.min()) / np.ptp(texture)).astype(np.uint8)
    steps = np.arange(round(seconds * FPS))
    return np.stack([np.roll(texture, -(int(step) // 2), axis=1)[:, :width] for step in steps])


def voice(seed: int, seconds: float = 2.0) -> np.ndarray:
    """float32 [2, N]: band-limited noise that swells and fades, panned."""
    random = np.random.default_rng(1000 + seed)
    count = round(seconds * RATE)
    noise = random.normal(size=count)
    swell = np.interp(np.arange(count), np.linspace(0, count, 12), random.uniform(0.05, 1.0, 12))
    mono = 0.1 * noise * swell
    return np.stack([mono, 0.6 * np.roll(mono, 3)]).astype(np.float32)


def film(path: Path, *seeds: int, seconds: float = 2.0, sound: np.ndarray | None = None, silent: bool = False) -> Path:
    """A film of scenes, cut hard."""
    frames = np.concatenate([scene(seed, seconds) for seed in seeds])
    heard = np.concatenate([voice(seed, seconds) for seed in seeds], axis=1) if sound is None else sound
    clip = Clip(frames=frames, fps=FPS, waveform=None if silent else heard, sample_rate=None if silent else RATE)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(clip, path)
    return path
