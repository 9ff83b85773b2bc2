"""Foley World: its truth is exact, and picture and sound both follow from it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch

from phonofilm import world
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.foley_world import audio_events, visual_events
from phonofilm.evaluation.foley_world.metrics import match
from phonofilm.world.common.palette import COLOURS

FAMILIES = world.FAMILIES
SCORED = ("bounce", "strike")  # families whose events `evaluation` tells from the clip alone


def some(family):
    truths = [world.sample(family, 900 + seed) for seed in range(12)]
    return truths, world.clips(truths)


@pytest.fixture(scope="module", params=SCORED)
def scenes(request):
    return some(request.param)


def test_the_same_seed_gives_the_same_film_and_another_seed_another():
    for family in FAMILIES:
        first, again, other = (world.render([world.sample(family, seed)]) for seed in (3, 3, 4))
        assert (first.frames == again.frames).all()
        assert (first.waveform == again.waveform).all()
        assert not (first.frames == other.frames).all()


def test_a_clip_is_the_same_to_the_last_bit_in_any_batch_and_with_any_number_of_threads():
    truths = [world.sample(FAMILIES[seed % len(FAMILIES)], seed, 1.0) for seed in range(6)]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        together = world.render(truths, 32)
        torch.set_num_threads(1)
        for index, truth in enumerate(truths):
            alone = world.render([truth], 32)
            assert (alone.frames[0] == together.frames[index]).all()
            for name, stem in alone.stems.items():
                assert stem[0].numpy().tobytes() == together.stems[name][index].numpy().tobytes()
            assert alone.waveform[0].numpy().tobytes() == together.waveform[index].numpy().tobytes()
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("size", "fps", "rate"), [((96, 64), 25, 44_100), ((64, 128), "30000/1001", 48_000), (48, 12, 16_000)]
)
def test_any_size_and_rate_and_picture_and_sound_end_together(family, size, fps, rate):
    clip = world.clips([world.sample(family, 1, seconds=2.5)], size, fps, rate)[0]
    width, height = (size, size) if isinstance(size, int) else size
    assert clip.frames.shape[1:] == (height, width, 3)
    assert abs(clip.picture_seconds - clip.sound_seconds) * rate <= 1


def test_what_is_heard_and_seen_is_what_the_truth_says(scenes):
    truths, clips = scenes
    for tell in ("heard", "seen"):
        hits = found = true = 0
        for truth, clip in zip(truths, clips, strict=True):
            if tell == "heard":
                times = [o.time for o in audio_events.onsets(clip.waveform, clip.sample_rate)]
            elif truth.family == "strike":
                times = [s.time for s in visual_events.strikes(clip.frames, 12, COLOURS)]
            else:
                times = [s.time for s in visual_events.impacts(clip.frames, 12)]
            events = [event.time for event in truth.events]
            hits, found, true = hits + len(match(times, events, 0.06)), found + len(times), true + len(events)
        assert hits / found >= 0.95, tell
        assert hits / true >= 0.95, tell


def test_sound_comes_from_where_the_source_is_seen(scenes):
    truths, clips = scenes
    for truth, clip in zip(truths, clips, strict=True):
        for event in truth.events:
            if abs(event.pan) > 0.2:
                assert audio_events.pan(clip.waveform, clip.sample_rate, event.time) * event.pan > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_stems_add_up_and_nothing_clips(family):
    for clip in world.clips([world.sample(family, 900 + seed) for seed in range(6)]):
        np.testing.assert_allclose(sum(clip.stems.values()), clip.waveform, atol=1e-6)
        assert 0.02 < np.abs(clip.waveform).max() <= 1


def test_captions_name_what_is_in_the_scene(scenes):
    truths, _ = scenes
    for truth in truths:
        if truth.family == "bounce":
            for thing in truth.params["objects"]:
                assert f"{thing['colour']} {thing['material']} {thing['shape']}" in truth.caption.lower()
        else:
            assert truth.params["instrument"] in truth.caption
            assert all(colour in truth.caption.lower() for colour in truth.params["colours"])


@pytest.mark.parametrize("family", FAMILIES)
def test_truth_is_plain_data_and_captions_vary(family):
    truths = [world.sample(family, seed) for seed in range(40)]
    json.dumps([dict(truth.params) for truth in truths])
    assert len({truth.caption for truth in truths}) > 25
    assert not [t.caption for t in truths if re.search(r"[{}]|  | [,.;]|\.\.", t.caption)]
    assert all(t.caption[0].isupper() and t.caption.endswith(".") for t in truths)


@pytest.mark.parametrize("family", FAMILIES)
def test_events_lie_in_the_scene_and_in_order(family):
    for truth in (world.sample(family, seed) for seed in range(40)):
        times = [event.time for event in truth.events]
        assert times == sorted(times)
        assert 0 <= times[0] <= times[-1] < truth.seconds
        for event in truth.events:
            assert event.box is None or (
                0 <= event.box[0] < event.box[2] <= 1 and 0 <= event.box[1] < event.box[3] <= 1
            )
            assert event.pan is None or -1 <= event.pan <= 1
            assert event.end is None or event.time <= event.end <= truth.seconds
            assert event.box is not None or event.loudness is not None


def test_a_faller_moves_as_gravity_says():
    for seed in range(5):
        truth = world.sample("bounce", seed)
        first = min(event.time for event in truth.events)
        height = truth.tracks["path"][: int(first * 240) - 4, 0, 1]
        acceleration = np.diff(height, 2) * 240**2
        np.testing.assert_allclose(acceleration, truth.params["room"]["gravity"], rtol=0.02)


def test_notes_sound_at_their_pitch():
    from phonofilm.evaluation.foley_world.detect import PITCHES

    truth = world.sample("strike", 5)
    clip = world.clips([truth])[0]
    for event in truth.events:
        assert audio_events.note(clip.waveform, 16_000, event.time, PITCHES) == event.label


def test_an_unknown_family_is_refused_in_one_line():
    with pytest.raises(PhonofilmError, match="no scene family 'opera'; choose from bounce"):
        world.sample("opera", 0)
