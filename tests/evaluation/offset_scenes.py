"""Small films whose truth is known: things that bounce, strike and flash, with sound at exact times."""

import numpy as np
from scipy.ndimage import shift

SAMPLE_RATE = 16_000


def event_times(rng, start, end, least=0.35, most=1.1):
    times = [start + rng.uniform(0, most)]
    while times[-1] < end:
        times.append(times[-1] + rng.uniform(least, most))
    return np.array(times)


def ground(rng, size):
    """A still, textured background with a floor line."""
    coarse = rng.uniform(0.3, 0.5, (8, 8))
    y = np.linspace(0, 7, size)
    rows = np.array([np.interp(y, np.arange(8), column) for column in coarse.T]).T
    picture = np.array([np.interp(y, np.arange(8), row) for row in rows])
    picture[int(size * 0.9) :] = 0.15
    for _ in range(8):
        x0, y0 = rng.integers(0, size - size // 8, 2)
        picture[y0 : y0 + size // 16, x0 : x0 + size // 12] = rng.uniform(0.1, 0.8)
    return picture


def disc(size, y, x, radius):
    grid = np.arange(size)
    return np.clip(radius + 0.5 - np.hypot(grid[:, None] - y, grid[None] - x), 0, 1)


def film(rng, kind, seconds, fps, size=64, jitter=0.0):
    """uint8 [T, H, W] and the times of its events, some of which lie before 0 or after the end."""
    hits = event_times(rng, -4, seconds + 4)
    still, still_x = ground(rng, size), rng.uniform(0.2, 0.8) * size
    pace = rng.uniform(-0.3, 0.3) * size
    frames = []
    for t in np.arange(round(seconds * fps)) / fps:
        picture = still
        k = np.searchsorted(hits, t)
        before, after = hits[k - 1], hits[k]
        if kind == "bounce":
            height = 120 * size / 64 * (t - before) * (after - t)
            x = size * 0.15 + abs((still_x + pace * t) % (1.4 * size) - 0.7 * size)
            radius = size / 12
            mask = disc(size, size * 0.9 - radius - height, x, radius)
            picture = picture * (1 - mask) + 0.95 * mask
        elif kind == "strike":
            away = min(t - before, after - t, 0.15) / 0.15
            y = size * (0.8 - 0.3 * np.sin(np.pi / 2 * away))
            mask = disc(size, y, still_x, size / 14)
            picture = picture * (1 - mask) + 0.05 * mask
        elif kind == "flash":
            picture = picture + 0.4 * np.exp(-(t - before) / 0.1) * disc(size, size / 2, still_x, size / 5)
        if jitter:
            picture = shift(picture, rng.uniform(-jitter, jitter, 2), order=1, mode="nearest")
        frames.append(np.clip(255 * picture + rng.normal(0, 1, picture.shape), 0, 255))
    return np.array(frames).astype(np.uint8), hits


def sound(rng, hits, seconds, early=0.0, speed=1.0, snr=None, music=False):
    """float64 [N]: a struck sound at each (time − early) / speed, with noise and a tune if asked for."""
    wave = np.zeros(round(seconds * SAMPLE_RATE))
    for hit in (hits - early) / speed:
        gain, pitch = rng.uniform(0.3, 1), rng.uniform(300, 1500)
        add(wave, hit, lambda t, g=gain, p=pitch: g * sum(partial(t, p, m) for m in (1, 2.76, 5.4)))
    power = np.mean(wave**2)
    if music:
        for beat in np.arange(rng.uniform(0, 0.5), seconds, 0.5):
            pitch = 220 * 2 ** (rng.integers(0, 12) / 12)
            add(
                wave,
                beat,
                lambda t, p=pitch: 0.15 * np.sin(2 * np.pi * p * t) * np.minimum(t / 0.02, 1) * np.exp(-4 * t),
            )
    if snr is not None:
        wave += rng.normal(0, np.sqrt(power / 10 ** (snr / 10)), len(wave))
    return wave


def partial(t, pitch, multiple):
    return np.sin(2 * np.pi * pitch * multiple * t) * np.exp(-t * 12 * multiple) / multiple


def add(wave, start, note, lasts=1.0):
    """Put a note, a function of the time since its start, where it belongs to within a fraction of a sample."""
    first = max(0, int(np.ceil(start * SAMPLE_RATE)))
    last = min(len(wave), int((start + lasts) * SAMPLE_RATE))
    if first < last:
        wave[first:last] += note(np.arange(first, last) / SAMPLE_RATE - start)
