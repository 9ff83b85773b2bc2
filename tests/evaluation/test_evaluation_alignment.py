"""Signed offset and drift that know what they know, and a picture's repeats and blur."""

from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
import pytest

from phonofilm import world
from phonofilm.evaluation.distortions import distort
from phonofilm.evaluation.features.decoded_clip import Film
from phonofilm.evaluation.features.signal import blur, motion, onsets, stillness, sync, synchrony
from phonofilm.evaluation.metrics.spatial import is_mono
from phonofilm.evaluation.metrics.vbench import blur_effect, repeated_frames
from phonofilm.evaluation.statistics import Interval, of_few_clips
from phonofilm.signals.onsets import onset_scores
from phonofilm.signals.sync.alignment import align
from phonofilm.signals.sync.cues import picture_cues_from, sound_cues_from

SEED = 41_000_000


@pytest.fixture(scope="module")
def clips():
    truths = [world.sample(family, SEED + i) for family in ("bounce", "strike") for i in range(3)]
    return world.clips(truths, 64, 24)


@pytest.fixture(scope="module")
def kept(clips):
    return [(motion(Film(clip)), onsets(Film(clip))) for clip in clips]


def paired(picture, sound):
    return synchrony(sound_cues_from(sound), picture_cues_from(picture))


def test_clips_in_sync_are_known_to_be_and_without_bias(kept):
    found = [paired(picture, sound) for picture, sound in kept]
    assert all(row["offset"][1] for row in found)
    assert abs(np.median([row["offset"][0] for row in found])) < 10
    known = [row["drift"][0] for row in found if row["drift"][1]]
    assert len(known) >= 3
    assert abs(np.median(known)) < 15  # per mille


@pytest.mark.parametrize(("family", "cue"), [("pass", "courses"), ("rain", "landings"), ("talk", "texture")])
def test_what_passes_drips_or_speaks_is_known_by_a_cue_of_its_own(family, cue):
    made = world.clips([world.sample(family, SEED + i) for i in range(4)], 64, 24)
    kept = [(picture_cues_from(motion(Film(clip))), sound_cues_from(onsets(Film(clip)))) for clip in made]
    found = [align(sound, picture) for picture, sound in kept]
    known = [row for row in found if row.known]
    assert len(known) >= 1
    assert {row.cue for row in known} == {cue}
    assert abs(np.median([row.milliseconds for row in known])) < 30
    assert sum(align(kept[(i + 1) % 4][1], kept[i][0]).known for i in range(4)) <= 1


@pytest.mark.parametrize("early", [-0.2, 0.08])
def test_an_offset_has_the_sign_and_size_that_it_was_given(clips, kept, early):
    found = []
    for clip, (picture, _) in zip(clips, kept, strict=True):
        row = paired(picture, onsets(Film(distort(clip, "audio-shift", early))))["offset"]
        found += [row[0]] if row[1] else []
    assert len(found) >= 4
    assert np.median(found) == pytest.approx(1000 * early, abs=15)


def test_faster_sound_has_the_drift_that_it_was_given(clips, kept):
    rows = [
        paired(picture, onsets(Film(distort(clip, "audio-speed-up", 1.05))))["drift"]
        for clip, (picture, _) in zip(clips, kept, strict=True)
    ]
    known = [row[0] for row in rows if row[1]]
    assert len(known) >= 3
    assert np.median(known) == pytest.approx(50, abs=15)


def test_the_sound_of_another_scene_is_not_known(kept):
    found = [
        paired(kept[i][0], kept[start + (i - start + step) % 3][1])["offset"][1]
        for start in (0, 3)
        for i in range(start, start + 3)
        for step in (1, 2)
    ]
    assert sum(found) <= 1


def test_a_rhythm_that_fits_is_not_enough_where_the_places_contradict_the_picture(kept):
    picture, sound = picture_cues_from(kept[3][0]), sound_cues_from(kept[3][1])  # a melody, whose bars lie side by side
    assert align(sound, picture).cue == "events"
    once, twice = align(replace(sound, pan=-sound.pan), picture), align(sound, picture)
    assert (once.cue, once.known, twice.known) == ("events, ears exchanged", True, True)
    assert once.milliseconds == pytest.approx(twice.milliseconds, abs=5)
    middle = align(replace(sound, pan=np.full_like(sound.pan, 0.3)), picture)
    assert middle.known
    elsewhere = np.where(sound.pan > np.median(sound.pan), -0.9, 0.9) * (np.arange(len(sound.pan)) // 150 % 2 * 2 - 1)
    assert not align(replace(sound, pan=elsewhere), picture).known


def test_kept_cues_give_what_the_film_gives(clips, kept):
    direct = sync(Film(clips[0]))
    assert paired(*kept[0])["offset"] == pytest.approx(direct["offset"], abs=0.5)


def test_the_same_onsets_score_exactly_1():
    times, trust = np.array([0.50, 0.57, 0.63, 2.0]), np.array([0.2, 0.9, 0.4, 1.0])
    found = onset_scores(times, times, trust)
    assert (found.accuracy, found.average_precision) == (1.0, 1.0)


def test_frozen_and_dropped_frames_are_as_many_as_were_made():
    rng = np.random.default_rng(0)
    frames = np.full((96, 64, 64, 3), 60, np.uint8)
    for t in range(96):
        frames[t, 20:36, t // 2 : t // 2 + 14] = (220, 60, 60)
        frames[t, 40:52, (95 - t) // 2 : (95 - t) // 2 + 8 + t % 2] = (60, 60, 220)
    noisy = np.clip(frames + rng.integers(-1, 2, frames.shape), 0, 255).astype(np.uint8)
    lost, frozen = noisy.copy(), noisy.copy()
    lost[10:90:10] = lost[9:89:10]
    frozen[40:64] = frozen[39]
    before = np.array(repeated_frames(noisy, 24))
    assert np.array(repeated_frames(lost, 24)) - before == pytest.approx([0, 8 / 95], abs=0.02)
    assert np.array(repeated_frames(frozen, 24)) - before == pytest.approx([24 / 95, 0], abs=0.02)


def test_blur_rises_with_blur(clips):
    levels = [
        blur(Film(clips[0] if not pixels else distort(clips[0], "blur", pixels)))["value"] for pixels in (0, 1, 2)
    ]
    assert levels[0] < levels[1] < levels[2]
    assert blur_effect(np.zeros((32, 32, 3), np.uint8)) == 0
    assert set(stillness(Film(clips[0]))) == {"frozen", "dropped"}


@pytest.mark.parametrize(("side", "mono"), [(0.0, True), (10 ** (-61 / 20), True), (10 ** (-30 / 20), False)])
def test_mono_written_twice_is_told_from_narrow_stereo(side, mono):
    middle, other = np.random.default_rng(1).standard_normal((2, 16_000))
    assert is_mono(np.stack([middle + side * other, middle - side * other])) is mono


@pytest.mark.parametrize("options", [{}, {"aac_pns": "0"}], ids=["noise substituted", "as we write it"])
@pytest.mark.parametrize("side", [0.0, 1.0], ids=["mono twice", "narrow"])
def test_mono_is_told_from_narrow_stereo_after_aac(options, side, tmp_path):
    left, right = world.clips([world.sample("bounce", 44_000_020)], 16, 4)[0].waveform
    middle, apart = (left + right) / 2, (left - right) / 2
    apart = apart * np.sqrt((middle**2).mean() / (apart**2).mean()) * 10 ** (-30 / 20)
    with av.open(tmp_path / "a.mp4", "w") as output:
        stream = output.add_stream("aac", rate=16_000, layout="stereo", options=options)
        stream.bit_rate = 192_000
        sound = np.stack([middle + side * apart, middle - side * apart]).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout="stereo")
        frame.sample_rate = 16_000
        output.mux([*stream.encode(frame), *stream.encode(None)])
    with av.open(tmp_path / "a.mp4") as file:
        heard = np.concatenate([part.to_ndarray() for part in file.decode(audio=0)], axis=1)
    ratio = ((heard[0] - heard[1]) ** 2).sum() / ((heard[0] + heard[1]) ** 2).sum()
    if not side:
        assert (ratio > 10 ** (-25 / 10)) == (not options), "the encoder's noise is what makes this hard"
    assert is_mono(heard) is (not side)


def test_a_panned_event_in_a_sound_that_is_in_the_middle_is_not_mono():
    sound = np.repeat(np.random.default_rng(0).standard_normal((1, 48_000)), 2, axis=0)
    sound[0, 20_000:21_000] *= 0.7
    assert not is_mono(sound)


def test_an_interval_knows_how_few_clips_it_is_of():
    assert of_few_clips(Interval(1.0, 1.0, 1.0), 4, (0, 1)).low == pytest.approx(0.398, abs=1e-3)
    assert of_few_clips(Interval(0.0, 0.0, 0.0), 64, (0, 1)).high == pytest.approx(0.056, abs=1e-3)
    wider = of_few_clips(Interval(0.5, 0.4, 0.6), 4)
    assert (wider.high - 0.5) / 0.1 == pytest.approx(3.182 / 1.96 * (4 / 3) ** 0.5, abs=1e-3)
