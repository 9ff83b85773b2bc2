"""Each fault is measured as it was made, and what is like it but is none is not taken for it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import resample_poly

from phonofilm.signals.dissolves import dissolves
from phonofilm.signals.faults.channels import channels_apart
from phonofilm.signals.faults.picture import combed, crop_of, longest_run, picture_faults
from phonofilm.signals.faults.sound import click_times, clipped_share, cutoff_of, sound_faults
from phonofilm.signals.fingerprint import sound_distance, sound_fingerprint

RATE = 48_000


def pictures(count: int = 48, seed: int = 0, fine: float = 2, hold: int = 1) -> np.ndarray:
    """float32 [T, 64, 96] of a texture that glides by a pixel every `hold` frames."""
    texture = gaussian_filter(np.random.default_rng(seed).normal(size=(64, 192)), fine, mode="wrap")
    texture = ((texture - texture.min()) / np.ptp(texture)).astype(np.float32)
    return np.stack([np.roll(texture, -(step // hold), axis=1)[:, :96] for step in range(count)])


def noise(seconds: float = 1.0, seed: int = 1) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).normal(size=(2, round(seconds * RATE)))


def struck(seconds: float = 1.0) -> np.ndarray:
    """A bell that is struck: a sharp onset that is no click."""
    times = np.arange(round(seconds * RATE)) / RATE
    one = np.where(times > 0.4, np.sin(2 * np.pi * 1500 * times) * np.exp(-5 * (times - 0.4)), 0)
    return 0.5 * one[None] + 1e-4 * noise(seconds)[:1]


def test_the_longest_run():
    assert longest_run(np.array([0, 1, 1, 0, 1, 1, 1], bool)) == (4, 3)
    assert longest_run(np.zeros(3, bool)) == (0, 0)


def test_black_frames_are_told_and_a_dark_picture_is_not():
    film = pictures()
    film[10:22] = 0.01
    assert picture_faults(film, 24).black == pytest.approx(0.5)
    assert picture_faults(0.05 + 0.3 * pictures(), 24).black == 0


def test_a_picture_that_stands_still_is_told():
    film = pictures()
    film[12:37] = film[12]
    found = picture_faults(film, 24)
    assert found.frozen == pytest.approx(1.0)
    assert found.frozen_at == pytest.approx(0.5)
    assert picture_faults(pictures(), 24).frozen == 0


def pairs(frames: np.ndarray) -> np.ndarray:
    return np.stack([frames[:-1], frames[1:]], axis=1)


def test_woven_rows_are_told_from_whole_frames():
    film = (255 * pictures(96, fine=3)).astype(np.uint8)[::4]
    woven = film[::2].copy()
    woven[:, 1::2] = film[1::2, 1::2]
    assert combed(pairs(woven)) == 1
    assert combed(pairs(film)) == 0
    assert combed(pairs(np.repeat(film[:1], 5, axis=0))) == 0  # nothing moves


def test_what_comes_to_rest_is_not_frozen():
    film = pictures(60, hold=1)
    rest = np.stack([film[min(step, 20)] for step in range(60)])
    assert picture_faults(rest, 24).frozen > 1  # all at once
    slower = film[20] * 0.0 + np.linspace(0.0, 1.0, 30)[:, None, None] ** 0.02 * film[20]
    assert picture_faults(np.concatenate([slower, np.repeat(film[20:21], 60, axis=0)]).astype("f4"), 24).frozen == 0


def test_bars_are_cropped_and_a_dark_edge_is_not():
    film = pictures()
    film[:, :8] = film[:, -8:] = 0.0
    left, top, right, bottom = crop_of(film)
    assert (left, right) == (0, 1)
    assert top == pytest.approx(8 / 64, abs=1 / 64 + 1e-6)
    assert bottom == pytest.approx(56 / 64, abs=1 / 64 + 1e-6)
    night = pictures()
    night[:, :20] *= 0.1  # a night sky, on one side only
    assert crop_of(night) == (0, 0, 1, 1)
    assert crop_of(np.zeros((5, 64, 96), np.float32)) == (0, 0, 1, 1)


def test_silence_and_a_loud_sound():
    quiet = noise()
    quiet[:, RATE // 2 :] = 0
    assert sound_faults(quiet, RATE).silent == pytest.approx(0.5, abs=0.02)
    assert sound_faults(quiet, RATE).gap == pytest.approx(0.5, abs=0.02)
    assert sound_faults(noise(), RATE).silent == 0


def test_clipping_at_full_scale_and_below_it():
    loud = np.clip(8 * noise()[0], -1, 1)
    assert clipped_share(loud) > 0.1
    assert clipped_share(0.5 * loud) > 0.001  # turned down afterwards
    assert clipped_share(0.99 * noise()[0] / np.abs(noise()[0]).max()) < 1e-4
    assert clipped_share(0.9 * np.sin(np.arange(RATE) * 2 * np.pi * 200 / RATE)) < 5e-4


def test_clicks_are_told_from_what_is_struck():
    clicked = 0.05 * noise()[0]
    for at in (9_000, 20_000, 31_000):
        clicked[at] += 0.5
    assert click_times(clicked, RATE) == pytest.approx([9_000 / RATE, 20_000 / RATE, 31_000 / RATE], abs=1e-3)
    assert len(click_times(struck()[0], RATE)) == 0
    assert len(click_times(noise()[0], RATE)) == 0


def test_one_channel_written_twice():
    sound = noise()
    assert channels_apart(np.stack([sound[0], sound[0]])) < -100
    assert channels_apart(sound) > -3
    assert np.isnan(channels_apart(sound[:1]))


@pytest.mark.parametrize(("up", "down", "end"), [(3, 1, 8_000), (2, 1, 12_000), (6, 1, 4_000)])
def test_a_lower_rate_leaves_a_wall(up, down, end):
    low = np.random.default_rng(3).normal(size=RATE // up)
    assert cutoff_of(resample_poly(low, up, down)[None], RATE) == pytest.approx(end, rel=0.15)


def test_a_sound_that_falls_gently_has_no_wall():
    spectrum = np.fft.rfft(noise()[0]) / (1 + np.fft.rfftfreq(RATE, 1 / RATE) / 300) ** 2
    assert cutoff_of(np.fft.irfft(spectrum)[None], RATE) == RATE / 2
    assert cutoff_of(struck(), RATE) == RATE / 2


@pytest.mark.parametrize("length", [10, 18, 24])
def test_a_dissolve_is_found_where_it_is(length):
    one, two = pictures(80, 1, fine=6, hold=4), pictures(80, 2, fine=6, hold=4)
    share = np.clip((np.arange(80) - 30) / length, 0, 1)[:, None, None].astype(np.float32)
    mixed = (255 * (one * (1 - share) + two * share)).astype(np.uint8)[:, ::2, ::2]
    found = dissolves(mixed, 24)
    assert len(found) == 1
    assert abs(sum(found[0]) / 2 - (30 + length / 2)) <= 4


def test_motion_light_and_cuts_are_no_dissolves():
    glide = (255 * pictures(80, 1)).astype(np.uint8)[:, ::2, ::2]
    assert dissolves(glide, 24) == []
    assert dissolves((255 * pictures(80, 1, fine=6)).astype(np.uint8)[:, ::2, ::2], 24) == []
    cut = np.concatenate([glide[:40], (255 * pictures(40, 2)).astype(np.uint8)[:, ::2, ::2]])
    assert dissolves(cut, 24) == []


def test_a_fingerprint_survives_noise_and_level_and_tells_others_apart():
    def tune(seed: int) -> np.ndarray:
        draw = np.random.default_rng(seed)
        parts = [np.sin(2 * np.pi * draw.uniform(300, 3000) * np.arange(2000) / 8000) for _ in range(16)]
        return np.concatenate(parts) + 0.3 * draw.normal(size=32_000)

    first, heard = sound_fingerprint(tune(1))
    again, _ = sound_fingerprint(0.2 * tune(1)[1600:] + 0.01 * np.random.default_rng(9).normal(size=30_400))
    other, _ = sound_fingerprint(tune(2))
    assert first.shape == (len(heard), 32)
    assert heard.all()
    assert sound_distance(first, again) < 0.15
    assert sound_distance(first, other) > 0.35


def test_what_bursts_out_of_rest_is_not_frozen_and_what_was_held_back_is():
    film = pictures(60, fine=6)
    rest = np.repeat(film[:1], 30, axis=0)
    assert picture_faults(np.concatenate([rest, film[1:31]]), 24).frozen == 0, "a shot that rests, and then moves"
    assert picture_faults(np.concatenate([rest, film[30:]]), 24).frozen > 1, "made up for at once"
