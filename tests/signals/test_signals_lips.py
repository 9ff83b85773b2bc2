"""A voice is found where the mouth that speaks it was, and another mouth tells nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from phonofilm.signals.sync.lips import lip_offset

RATE, FPS, SECONDS = 16_000, 24.0, 5.0


def syllables(seed: int) -> np.ndarray:
    """A curve of 100 values a second that opens and closes about four times a second, 0 … 1."""
    values = gaussian_filter1d(np.random.default_rng(seed).normal(size=round(SECONDS * 100)), 5)
    return np.clip((values - values.min()) / np.ptp(values), 0, 1)


def spoken(curve: np.ndarray, seconds_late: float) -> np.ndarray:
    times = np.arange(round(SECONDS * RATE)) / RATE - seconds_late
    level = np.interp(times, (np.arange(len(curve)) + 0.5) / 100, curve)
    return level * np.random.default_rng(9).normal(size=len(times))


def mouth(curve: np.ndarray) -> np.ndarray:
    times = (np.arange(round(SECONDS * FPS)) + 0.5) / FPS
    return np.interp(times, (np.arange(len(curve)) + 0.5) / 100, curve)


@pytest.mark.parametrize("late", [-0.2, -0.05, 0.0, 0.12, 0.3])
def test_the_offset_has_its_sign_and_size(late):
    found = lip_offset(mouth(syllables(1)), FPS, spoken(syllables(1), late), RATE)
    assert found.known
    assert found.confidence > 0.5
    assert found.milliseconds == pytest.approx(-1000 * late, abs=15)


def test_another_mouth_tells_nothing_and_faces_that_are_lost_for_a_while_do():
    known = [lip_offset(mouth(syllables(seed)), FPS, spoken(syllables(seed + 50), 0), RATE).known for seed in range(20)]
    assert sum(known) <= 2
    opening = mouth(syllables(1))
    opening[30:40] = np.nan
    assert lip_offset(opening, FPS, spoken(syllables(1), 0.1), RATE).milliseconds == pytest.approx(-100, abs=20)


def test_what_cannot_be_compared_is_said():
    with pytest.raises(ValueError, match="does not change"):
        lip_offset(np.full(120, 0.1), FPS, spoken(syllables(1), 0), RATE)
    with pytest.raises(ValueError, match="too little of a face"):
        lip_offset(np.full(120, np.nan), FPS, spoken(syllables(1), 0), RATE)
    with pytest.raises(ValueError, match="too little of a face"):
        lip_offset(mouth(syllables(1))[:20], FPS, spoken(syllables(1), 0), RATE)
