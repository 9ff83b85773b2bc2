"""A made sound, or picture, against the true clip's: the same is 1, late is not, and nothing is 0."""

from __future__ import annotations

import numpy as np
import pytest

from phonofilm import world
from phonofilm.evaluation.foley_world.edition2.against import onset_f1, sight_f1
from phonofilm.evaluation.foley_world.edition2.asked import Asked
from phonofilm.evaluation.foley_world.edition2.score import Heard, Seen

SEED = 91_500_000


@pytest.fixture(scope="module", params=["strike", "blast"])
def scene(request):
    for seed in range(SEED, SEED + 20):
        truth = world.sample(request.param, seed, 2.0, edition=2)
        asked = Asked.of(truth)
        if "effects" not in asked.silent:
            clip = world.clips([truth], 128, 24, 24_000)[0]
            if Heard.of(clip).onsets:
                return clip, asked
    raise AssertionError("none of twenty scenes sounds")


def test_sound_against_the_true_sound(scene):
    clip, asked = scene
    true, effects = Heard.of(clip), clip.stems["effects"]
    assert onset_f1(Heard.of(clip), true, asked) == 1
    late = np.roll(effects, round(0.2 * 24_000), axis=1)
    assert onset_f1(Heard.of(clip.with_(stems={**clip.stems, "effects": late})), true, asked) < 0.5
    silent = {**clip.stems, "effects": np.zeros_like(effects)}
    assert onset_f1(Heard.of(clip.with_(stems=silent)), true, asked) == 0


def test_picture_against_the_true_picture(scene):
    clip, asked = scene
    true = Seen(clip.frames, 24.0)
    assert sight_f1(Seen(clip.frames.copy(), 24.0), true, asked) == 1
    still = np.repeat(clip.frames[:1], len(clip.frames), 0)
    assert sight_f1(Seen(still, 24.0), true, asked) == 0
    assert sight_f1(Seen(np.roll(clip.frames, 6, 0), 24.0), true, asked) < 0.7


def test_families_without_single_moments_have_none():
    asked = Asked("talk", frozenset({"talk"}))
    nothing = Heard(*[np.zeros((2, 24_000), np.float32)] * 4, 24_000)
    assert onset_f1(nothing, nothing, asked) is None
    assert onset_f1(nothing, nothing, Asked("strike", frozenset(), silent=frozenset({"effects"}))) is None
    assert onset_f1(nothing, nothing, Asked("strike", frozenset())) is None, "nothing is to be heard"
