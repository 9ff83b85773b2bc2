"""Rows of two moments woven together: told through noise, and not seen in films that are tiny, noisy or hardly move."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from phonofilm.signals.faults.picture import combed


def pictures(count: int, seed: int = 0, fine: float = 2) -> np.ndarray:
    """float32 [T, 64, 96], 0 … 1, of a texture that glides by a pixel a frame."""
    texture = gaussian_filter(np.random.default_rng(seed).normal(size=(64, 192)), fine, mode="wrap")
    texture = ((texture - texture.min()) / np.ptp(texture)).astype(np.float32)
    return np.stack([np.roll(texture, -step, axis=1)[:, :96] for step in range(count)])


def pairs(frames: np.ndarray) -> np.ndarray:
    return np.stack([frames[:-1], frames[1:]], axis=1)


def test_a_tiny_or_noisy_film_and_one_that_hardly_moves_are_not_woven():
    noise = np.random.default_rng(8).normal(0, 12, (24, 64, 96))
    smooth = 255 * pictures(24, seed=22, fine=5)
    assert combed(pairs(np.clip(smooth + noise, 0, 255).astype(np.uint8))) == 0
    tiny = (255 * pictures(24, fine=5)).astype(np.uint8)[:, :32, :48]
    assert combed(pairs(tiny)) == 0
    still = (255 * pictures(24, fine=3)).astype(np.uint8)
    still[2:] = still[1]
    woven = still.copy()
    woven[1, 1::2] = still[0, 1::2]
    assert combed(pairs(woven)) == 0, "of two pairs nothing is told"


def test_combs_are_told_through_noise_and_in_either_order_of_fields():
    noise = np.random.default_rng(8).normal(0, 3, (24, 64, 96))
    film = (255 * pictures(192, fine=3)).astype(np.uint8)[::4]
    for first, second in ((0, 1), (1, 0)):
        woven = film[::2].copy()
        woven[:, first::2] = film[::2][:, first::2]
        woven[:, second::2] = film[1::2][:, second::2]
        assert combed(pairs(np.clip(woven + noise, 0, 255).astype(np.uint8))) > 0.8
