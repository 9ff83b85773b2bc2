"""The instrument for synchrony, calibrated on small films whose truth is known."""

from functools import cache

import numpy as np
import pytest
from offset_scenes import SAMPLE_RATE, event_times, film, sound

from phonofilm.signals.motion import lucas_kanade, motion_of_flow, motion_of_frames
from phonofilm.signals.onsets import onset_impulses, onset_strength
from phonofilm.signals.sync.drift import drift
from phonofilm.signals.sync.offset import clip_offset, offset
from phonofilm.signals.time_series import Signal

MILLISECONDS = [
    0,
    10,
    -10,
    20,
    -20,
    25,
    -25,
    40,
    -40,
    80,
    -80,
    125,
    -125,
    250,
    -250,
    500,
    -500,
    1000,
    -1000,
    2000,
    -2000,
]


@cache
def scene(kind, seed, jitter=0.0, fps=25):
    """The motion and the hits of one film of 10 s; its sound is made for each offset anew, never padded."""
    frames, hits = film(np.random.default_rng(seed), kind, 10, fps, jitter=jitter)
    return motion_of_frames(frames, fps), hits


def heard(hits, seed, **knobs):
    return onset_strength(sound(np.random.default_rng(seed), hits, 10, **knobs), SAMPLE_RATE)


def knocks(hits, seed, **knobs):
    return onset_impulses(heard(hits, seed, **knobs))


def errors(truth, found):
    """(slope, mean error, deviation of the errors) in milliseconds."""
    slope = np.polyfit(truth, found, 1)[0]
    away = np.subtract(found, truth)
    return slope, away.mean(), away.std()


@pytest.mark.parametrize("kind", ["bounce", "strike", "flash"])
def test_offsets_lie_on_a_line_of_slope_one(kind):
    motion, hits = scene(kind, 7)
    found = [offset(heard(hits, 1, early=ms / 1000), motion) for ms in MILLISECONDS]
    slope, bias, spread = errors(MILLISECONDS, [f.milliseconds for f in found])
    assert slope == pytest.approx(1, abs=0.02)
    assert abs(bias) < 10
    assert spread < 10
    assert min(f.confidence for f in found) > 0.2


@pytest.mark.parametrize(
    ("jitter", "knobs"),
    [(1.0, {}), (2.0, {}), (0.0, {"snr": 10}), (0.0, {"music": True}), (2.0, {"snr": 10, "music": True})],
)
def test_jitter_noise_and_music_do_not_move_it(jitter, knobs):
    truth, found = [], []
    for seed, kind in enumerate(["bounce", "strike", "flash"]):
        motion, hits = scene(kind, 7, jitter)
        for ms in (-250, 25, 500):
            truth.append(ms)
            found.append(offset(heard(hits, seed, early=ms / 1000, **knobs), motion).milliseconds)
    slope, bias, spread = errors(truth, found)
    assert slope == pytest.approx(1, abs=0.02)
    assert abs(bias) < 10
    assert spread < 10


@pytest.mark.slow
@pytest.mark.parametrize("jitter", [0.0, 2.0])
@pytest.mark.parametrize("kind", ["bounce", "strike", "flash"])
def test_twenty_films_of_each_kind(kind, jitter):
    truth, found = [], []
    for seed in range(20):
        motion, hits = scene(kind, 100 + seed, jitter)
        truth.append(MILLISECONDS[seed])
        found.append(offset(heard(hits, seed, early=truth[-1] / 1000), motion).milliseconds)
    slope, bias, spread = errors(truth, found)
    assert slope == pytest.approx(1, abs=0.02)
    assert abs(bias) < 10
    assert spread < 10


def test_twelve_frames_a_second_still_tell_fractions_of_a_frame():
    motion, hits = scene("flash", 7, fps=12)
    found = [offset(heard(hits, 1, early=ms / 1000), motion).milliseconds for ms in (-80, -20, 0, 20, 80)]
    assert np.abs(np.subtract(found, (-80, -20, 0, 20, 80))).max() < 20


def test_positive_is_early_sound():
    frames, hits = film(np.random.default_rng(3), "flash", 6, 25)
    wave = sound(np.random.default_rng(3), hits, 6, early=0.3)
    found = clip_offset(np.stack([wave, -wave]), SAMPLE_RATE, np.repeat(frames[..., None], 3, axis=-1), 25)
    assert found.milliseconds == pytest.approx(300, abs=15)
    assert len(found.lags) == len(found.curve)


def test_confidence_tells_chance_and_rhythm_from_a_fit():
    motion, hits = scene("flash", 7)
    fits = offset(heard(hits, 1), motion).confidence
    others = event_times(np.random.default_rng(99), 0, 10)
    assert offset(heard(others, 1), motion).confidence < 0.5 * fits
    clicks = Signal(np.tile([1.0] + [0.0] * 99, 20), 200)
    assert offset(clicks, clicks).confidence < 0.2  # every beat fits as well


def test_one_great_change_does_not_outvote_the_many_that_fit():
    rng = np.random.default_rng(0)
    events = rng.choice(np.arange(25, 225), 6, replace=False)
    picture = 0.3 * rng.random(250)
    picture[events] += 1
    picture[120] += 12  # a cut that was not recognised, a lamp
    clicks = np.zeros(2000)
    clicks[8 * events] = 1
    found = offset(Signal(clicks, 200), Signal(picture, 25))
    assert abs(found.milliseconds) < 10
    assert found.confidence > 0.2


@pytest.mark.parametrize("kind", ["bounce", "strike"])
def test_drift_is_the_factor_less_one(kind):
    motion, hits = scene(kind, 7)
    truth = np.array([-0.4, -0.25, -0.1, -0.05, -0.025, 0, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75])
    found = np.array([drift(knocks(hits, 1, speed=1 + x), motion).change for x in truth])
    assert np.polyfit(truth, found, 1)[0] == pytest.approx(1, abs=0.02)
    assert np.abs(found - truth).max() < 0.015
    assert (np.diff(found) > 0).all()


def test_flow_is_measured_to_a_tenth_of_a_pixel():
    rng = np.random.default_rng(0)
    spectrum = np.fft.fft2(rng.normal(size=(64, 64)))
    y, x = np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64), indexing="ij")
    soft = spectrum * np.exp(-((x**2 + y**2) * 120))
    picture = np.fft.ifft2(soft).real
    picture = (picture - picture.min()) / np.ptp(picture)
    moved = np.fft.ifft2(np.fft.fft2(picture) * np.exp(-2j * np.pi * (2.3 * x - 1.2 * y))).real
    flow = lucas_kanade(picture[None].astype(np.float32), moved[None].astype(np.float32))[0, 10:-10, 10:-10]
    np.testing.assert_allclose(np.median(flow, axis=(0, 1)), [2.3, -1.2], atol=0.1)


def test_flow_of_another_network_can_be_given():
    frames, hits = film(np.random.default_rng(5), "bounce", 6, 25)
    images = frames.astype(np.float32) / 255
    flow = lucas_kanade(images[:-1], images[1:])
    found = offset(onset_strength(sound(np.random.default_rng(5), hits, 6, early=0.1), SAMPLE_RATE),
                   motion_of_flow(flow, images, 25))  # fmt: skip
    assert found.milliseconds == pytest.approx(100, abs=20)
    with pytest.raises(ValueError, match="do not fit"):
        motion_of_flow(flow[:-1], images, 25)


def test_nothing_to_compare_is_said():
    still = np.full((50, 32, 32, 3), 128, np.uint8)
    wave = sound(np.random.default_rng(0), np.array([0.5, 1.1]), 2)
    with pytest.raises(ValueError, match="nothing moves"):
        clip_offset(wave, SAMPLE_RATE, still, 25)
    moving = still.copy()
    moving[20:, 8:20, 8:20] = 255
    with pytest.raises(ValueError, match="no onset in the sound"):
        clip_offset(np.zeros(32_000), SAMPLE_RATE, moving, 25)
    with pytest.raises(ValueError, match="at least 4 frames"):
        motion_of_frames(still[:3], 25)
    with pytest.raises(ValueError, match="too small"):
        motion_of_frames(still[:, :8], 25)
    with pytest.raises(ValueError, match="speeds must hold 1"):
        drift(Signal(np.ones(9), 10), Signal(np.ones(9), 10), speeds=(1.1, 2))
    with pytest.raises(ValueError, match="positive rate"):
        Signal(np.ones(3), 0)
