"""Cut-outs and jumps: found where they are put, and not in pauses, fades and edited film."""

import numpy as np
import pytest

from phonofilm.signals.dropouts import (
    Dropouts,
    lone_share,
    picture_dropouts,
    shared_cuts,
    sound_dropouts,
)

RATE, FPS, SECONDS = 8000, 25, 6


def steady():
    return np.random.default_rng(0).normal(0, 0.1, (2, SECONDS * RATE))


def scenes(cut=None):
    """Grey pictures with texture; another texture from the frame `cut` on."""
    rng = np.random.default_rng(1)
    first, second = rng.uniform(0.2, 0.8, (2, 24, 24)).repeat(2, 1).repeat(2, 2)
    return np.stack([first if cut is None or k < cut else second for k in range(SECONDS * FPS)]).astype(np.float32)


def muted(every):
    sound, share = steady(), 0.0
    for start in np.arange(every, SECONDS, every + 0.4):
        sound[:, round(start * RATE) : round((start + 0.4) * RATE)] = 0
        share += min(0.4, SECONDS - start) / SECONDS
    return sound, share


@pytest.mark.parametrize("every", [0.5, 1.0, 2.0])
def test_muting_is_the_share_of_time_that_was_muted(every):
    sound, share = muted(every)
    found = lone_share(sound_dropouts(sound, RATE), picture_dropouts(scenes(), FPS))
    assert found == pytest.approx(share, abs=0.015)


def test_black_over_sound_is_lone_and_black_with_silence_is_a_shared_cut():
    pictures, sound = scenes(), steady()
    pictures[50:60] = 0
    alone = picture_dropouts(pictures, FPS)
    np.testing.assert_allclose(alone.gaps, [[2.0, 2.4]])
    assert lone_share(sound_dropouts(sound, RATE), alone) == pytest.approx(0.4 / SECONDS, abs=0.005)
    assert shared_cuts(sound_dropouts(sound, RATE), alone) == 0
    sound[:, 2 * RATE : round(2.4 * RATE)] = 0
    both = sound_dropouts(sound, RATE)
    assert lone_share(both, alone) < 0.01
    assert shared_cuts(both, alone) == pytest.approx(1 / SECONDS)


def test_a_cut_counts_only_where_the_sound_jumps_too():
    pictures, sound = picture_dropouts(scenes(cut=75), FPS), steady()
    assert pictures.jumps.tolist() == [3.0]
    assert shared_cuts(sound_dropouts(sound, RATE), pictures) == 0
    sound[:, 3 * RATE :] *= 0.1
    assert shared_cuts(sound_dropouts(sound, RATE), pictures) == pytest.approx(1 / SECONDS)


def test_what_fades_or_was_silent_all_along_is_no_cut_out():
    fading = steady() * np.exp(-np.arange(SECONDS * RATE) / (0.25 * RATE))
    assert not len(sound_dropouts(fading, RATE).gaps)
    assert not len(sound_dropouts(np.zeros((1, 3 * RATE)), RATE).gaps)
    dark = scenes()
    dark[:40] = 0
    assert not len(picture_dropouts(dark, FPS).gaps)
    empty = Dropouts(np.zeros((0, 2)), np.zeros(0), 0.0)
    assert lone_share(empty, empty) == shared_cuts(empty, empty) == 0


def test_a_tail_that_is_cut_off_is_a_gap_where_tails_count():
    times = np.arange(SECONDS * RATE) / RATE
    fading = steady() * 10 ** (-30 * times / 20)  # 30 dB a second, from -20 dBFS
    assert len(sound_dropouts(fading, RATE, tails=True).gaps) == 0, "a tail that fades by itself"
    cut = fading.copy()
    cut[:, round(1.5 * RATE) : 2 * RATE] = 0  # at -65 dBFS
    assert len(sound_dropouts(cut, RATE).gaps) == 0
    assert sound_dropouts(cut, RATE, tails=True).gaps[0, 0] == pytest.approx(1.5, abs=0.02)
