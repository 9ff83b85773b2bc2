"""What passes by is followed in the picture and in the sound, and told from what passes another way."""

from __future__ import annotations

import numpy as np
import pytest

from phonofilm.signals.sync.alignment import COURSES, align, share_of_time
from phonofilm.signals.sync.courses import COLUMNS, LONGEST, picture_courses, sound_courses
from phonofilm.signals.sync.cues import picture_cues, sound_cues

RATE, FPS, SECONDS = 16_000, 24.0, 4.0


def place(times, speed=1.0, middle=2.0):
    """Of something that comes nearer as it goes, −1 … 1 in the picture."""
    return speed * (times - middle) + 0.06 * (times - middle) ** 2


def passing_sound(late=0.0, speed=1.0, middle=2.0):
    times = np.arange(round(SECONDS * RATE)) / RATE
    pan = np.clip(place(times - late, speed, middle), -1, 1)
    tone = sum(np.sin(2 * np.pi * 90 * k * times) / k for k in range(1, 12)) * (1.2 - np.abs(pan)) * 0.1
    angle = (pan + 1) * np.pi / 4
    return np.stack([tone * np.cos(angle), tone * np.sin(angle)])


def passing_picture(speed=1.0, middle=2.0):
    x = (np.arange(64) + 0.5) / 64 * 2 - 1
    images = np.full((96, 64, 64), 0.3, np.float32)
    for image, at in zip(images, place(np.arange(96) / FPS, speed, middle), strict=True):
        image[40:50] += 0.5 * np.clip((0.3 - np.abs(x - at)) / 0.03, 0, 1)
    return images


def test_a_course_is_when_each_column_is_crossed():
    clock = np.arange(0, SECONDS, 0.001)
    truth = np.interp(COLUMNS, place(clock), clock)
    for found, within in (
        (sound_courses(passing_sound(), RATE), 0.02),
        (picture_courses(passing_picture(), FPS), 0.03),
    ):
        assert len(found) >= 1
        assert np.nanmax(np.abs(found[0] - truth)) < within


@pytest.mark.parametrize("late", [-0.4, 0.0, 0.25])
def test_the_lag_of_what_passes_by_is_known(late):
    sound, picture = cues(passing_sound(late), passing_picture())
    found = align(sound, picture)
    assert (found.known, found.cue) == (True, "courses")
    assert found.milliseconds == pytest.approx(-1000 * late - COURSES.bias, abs=20)


@pytest.mark.parametrize(("speed", "middle"), [(-1.0, 2.0), (1.25, 2.1)])
def test_what_passes_another_way_or_faster_is_not(speed, middle):
    sound, picture = cues(passing_sound(0.0, speed, middle), passing_picture())
    assert not align(sound, picture).known


def cues(waveform, images):
    still = np.zeros((len(images) - 1, 16, 2))
    picture = picture_cues(still, still[..., 0], images, np.zeros(0, np.int64), FPS)
    return sound_cues(waveform, RATE), picture


def test_one_channel_stillness_silence_and_length_have_no_courses():
    assert len(sound_courses(passing_sound()[:1], RATE)) == 0
    assert len(sound_courses(np.zeros((2, 4 * RATE)), RATE)) == 0
    assert len(sound_courses(np.tile(passing_sound(), 4), RATE)) == 0
    assert len(picture_courses(np.full((96, 64, 64), 0.5, np.float32), FPS)) == 0
    assert len(picture_courses(np.zeros((int(LONGEST * FPS) + 24, 64, 64), np.float32), FPS)) == 0


def test_the_share_of_time_is_small_for_knocks_and_large_for_a_voice():
    rng = np.random.default_rng(0)
    knocks = np.zeros(800)
    knocks[100:800:200] = 1
    assert share_of_time(knocks, 200, 0.03) < 0.1
    assert share_of_time(np.abs(rng.standard_normal(800)), 200, 0.03) > 0.2
    assert share_of_time(np.zeros(800), 200, 0.03) == 0
