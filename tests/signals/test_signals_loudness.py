"""What gives way under speech, and what is held below a ceiling: piece by piece as in one, and by the numbers."""

from __future__ import annotations

import numpy as np
import pytest

from phonofilm.media.resample import resample_audio
from phonofilm.media.sound.loudness import loudness
from phonofilm.signals import limiting
from phonofilm.signals.ducking import Ducked, Ducking, ducking_gain
from phonofilm.signals.limiting import limited

RATE = 16_000


def test_the_gain_goes_down_under_words_and_comes_back():
    side = np.zeros((2, 4 * RATE), np.float32)
    side[:, RATE : 2 * RATE] = 0.1 * np.sin(2 * np.pi * 300 * np.arange(RATE) / RATE)
    how = Ducking(depth=12, attack=0.05, release=0.4, hold=0.3)
    gain, _ = ducking_gain(side, RATE, how)
    level = 20 * np.log10(gain)
    assert gain.shape == (4 * RATE,)
    assert np.abs(level[:RATE]).max() < 1e-6
    assert level[round(1.05 * RATE) - 1] == pytest.approx(-12 * (1 - np.exp(-1)), abs=0.2)
    assert level[round(1.5 * RATE) : round(2.3 * RATE)].max() < -11.9  # held through pauses
    assert level[round(2.7 * RATE) - 1] == pytest.approx(-12 * np.exp(-1), abs=0.5)
    assert level[-1] > -0.3
    assert np.abs(np.diff(level)).max() < 12 / (0.05 * RATE)  # no click


def test_a_gain_in_pieces_is_the_gain_of_the_whole():
    side = np.random.default_rng(0).normal(0, 0.01, (1, RATE)).astype(np.float32)
    side[:, RATE // 3 : RATE // 2] *= 30
    how = Ducking(threshold=-30)
    whole, _ = ducking_gain(side, RATE, how)
    state, parts = Ducked(), []
    for piece in np.array_split(side, 13, axis=1):
        part, state = ducking_gain(piece, RATE, how, state)
        parts.append(part)
    assert np.array_equal(np.concatenate(parts), whole)


def test_no_value_between_samples_is_above_the_ceiling():
    time = np.arange(3 * RATE) / RATE
    sound = np.stack([1.6 * np.sin(2 * np.pi * 3999 * time + 0.7), 0.4 * np.sin(2 * np.pi * 200 * time)])
    sound[:, RATE:] *= 0.3
    sound[:, :160] *= np.hanning(320)[:160]
    made = np.concatenate(list(limited(lambda a, b: sound[:, a:b], 3 * RATE, RATE, -1.0)), axis=1)
    fine = resample_audio(made, RATE, 16 * RATE)[:, 16 * 100 : -16 * 100]
    assert 20 * np.log10(np.abs(fine).max()) < -1.0
    assert loudness([made], RATE).true_peak < -1.0
    assert 20 * np.log10(np.abs(fine).max()) > -1.5  # and no lower than it must be
    assert np.allclose(made[:, 2 * RATE :], sound[:, 2 * RATE :], atol=1e-6)  # what is soft stays as it is


def test_limiting_in_blocks_is_limiting_the_whole(monkeypatch):
    sound = np.random.default_rng(1).normal(0, 0.7, (2, 5000))
    whole = np.concatenate(list(limited(lambda a, b: sound[:, a:b], 5000, RATE)), axis=1)
    monkeypatch.setattr(limiting, "BLOCK", 1700)
    blocks = np.concatenate(list(limited(lambda a, b: sound[:, a:b], 5000, RATE)), axis=1)
    assert np.allclose(blocks, whole, atol=1e-6)


@pytest.mark.parametrize("rate", [24_000, 48_000])
def test_loudness_is_that_of_another_meter(rate):
    import pyloudnorm

    random = np.random.default_rng(2)
    sound = np.cumsum(random.normal(0, 0.01, (2, 6 * rate)), axis=1)
    sound = np.diff(sound, axis=1) * np.repeat([0.1, 1.0, 3.0], 2 * rate)[1:]
    pieces = np.array_split(sound.astype(np.float32), 17, axis=1)
    other = pyloudnorm.Meter(rate).integrated_loudness(sound.T)
    assert loudness(pieces, rate).integrated == pytest.approx(other, abs=0.1)


def test_a_reference_tone_and_silence():
    tone = np.sin(2 * np.pi * 997 * np.arange(5 * 48_000) / 48_000).astype(np.float32)
    found = loudness([0.1 * np.stack([tone, tone])], 48_000)
    assert found.integrated == pytest.approx(-20.0, abs=0.1)  # EBU Tech 3341: 997 Hz in both channels
    assert found.true_peak == pytest.approx(-20.0, abs=0.1)
    assert loudness([np.zeros((2, 48_000), np.float32)], 48_000).silent
    assert loudness([], 48_000).silent
    assert loudness([0.1 * tone[None, :1000]], 48_000).silent  # shorter than the gate
