"""Other rates and sizes move nothing in time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonofilm.media import mix, resample_audio, resample_frames, resize_frames
from phonofilm.media.resample import on_clock
from phonofilm.types import nearest

RATES = [8_000, 16_000, 22_050, 44_100, 48_000]


@settings(max_examples=40)
@given(st.sampled_from(RATES), st.sampled_from(RATES), st.floats(100, 3000))
def test_a_tone_stays_in_place(rate: int, other: int, hertz: float) -> None:
    def tone(r: int) -> np.ndarray:
        t = np.arange(r) / r
        return (np.sin(2 * np.pi * hertz * t) * np.hanning(r))[None].astype(np.float32)

    resampled = resample_audio(tone(rate), rate, other)
    assert resampled.shape == (1, other)
    assert np.abs(resampled - tone(other)).max() < 1e-3


def test_what_cannot_be_kept_is_removed() -> None:
    t = np.arange(48_000) / 48_000
    high = np.sin(2 * np.pi * 12_000 * t)[None].astype(np.float32)
    assert np.abs(resample_audio(high, 48_000, 16_000)[:, 500:-500]).max() < 1e-3


@given(st.integers(1, 50), st.sampled_from([12, 15, 24, 25, 30]), st.sampled_from([8, 12, 25, 30]))
def test_each_tick_shows_the_frame_on_show(count: int, old: int, new: int) -> None:
    frames = np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(3, -1)
    shown = resample_frames(frames, Fraction(old), Fraction(new))[:, 0, 0, 0]
    assert len(shown) == max(1, nearest(Fraction(count * new, old)))
    assert all(index == min(tick * old // new, count - 1) for tick, index in enumerate(shown))


@given(st.lists(st.integers(0, 200), min_size=1, max_size=20, unique=True).map(sorted), st.integers(1, 30))
def test_clock_agrees_with_a_search_by_hand(stamps: list[int], fps: int) -> None:
    times = [stamp / 10 for stamp in stamps]
    shown = on_clock(times, times[-1] + 0.5, Fraction(fps), slack=1e-6)
    for tick, index in enumerate(shown):
        before = [k for k, time in enumerate(times) if time <= tick / fps + 1e-6]
        assert index == (before[-1] if before else 0)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7, 8])
def test_mixing_never_clips_and_keeps_sides(channels: int) -> None:
    loud = np.ones((channels, 4), np.float32)
    for wanted in (1, 2):
        assert mix(loud, wanted).shape == (wanted, 4)
        assert mix(loud, wanted).max() <= 1 + 1e-6
    if channels > 1:
        left = np.zeros((channels, 4), np.float32)
        left[0] = 1
        assert mix(left, 2)[0].max() > 0.2 > mix(left, 2)[1].max()
    with pytest.raises(ValueError, match="1 or 2 channels"):
        mix(np.zeros((4, 4), np.float32), 3)


def test_resizing_crops_or_stretches() -> None:
    frames = np.zeros((2, 20, 40, 3), np.uint8)
    frames[:, :, :10] = 255  # a white bar that a square crop cuts off
    assert resize_frames(frames, (8, 8)).shape == (2, 8, 8, 3)
    assert resize_frames(frames, (20, 20)).max() < 20
    assert resize_frames(frames, (20, 20), crop=False)[0, 10, 2, 0] > 250
