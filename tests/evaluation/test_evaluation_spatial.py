import numpy as np
import pytest
from parity_files import answers

from phonofilm.evaluation.metrics.distribution.bootstrap_distances import FeatureSet, plain_distance
from phonofilm.evaluation.metrics.distribution.frechet import frechet_distance
from phonofilm.evaluation.metrics.spatial import (
    is_mono,
    locate,
    pan_error,
    placement,
    sound_events,
    spatial_hits,
)
from phonofilm.evaluation.suite.registry import _mono, _stereo

RATE = 16_000


def source(rng, seconds=3.0):
    t = np.arange(round(seconds * RATE)) / RATE
    beat = np.exp(-6 * (t % 0.5)) * (t > 0.2)
    return beat * np.sin(2 * np.pi * (400 + 200 * rng.uniform()) * t) + 0.1 * beat * rng.normal(size=len(t))


def panned(rng, pan, noise=0.0):
    wave = source(rng)
    angle = (pan + 1) * np.pi / 4
    return np.stack([np.cos(angle) * wave, np.sin(angle) * wave]) + noise * rng.normal(size=(2, len(wave)))


def delayed(rng, milliseconds):
    """The left ear hears `milliseconds` later: a source on the right."""
    wave = np.convolve(rng.normal(size=2 * RATE), np.ones(4) / 4, "same")
    frequency = np.fft.rfftfreq(len(wave), 1 / RATE)
    late = np.fft.irfft(np.fft.rfft(wave) * np.exp(-2j * np.pi * frequency * milliseconds / 1000), len(wave))
    return np.stack([late, wave])


def test_spatial_av_align_equals_the_reference():
    for case in answers("event_metrics")["spatial_av_align"]:
        sounds = np.array(case["seld_rows_frame_class_x"])[:, [0, 2]]
        boxes = np.array(case["od_rows_frame_class_x0y0x1y1"])[:, [0, 2, 4]]
        hits = spatial_hits(sounds, boxes)
        np.testing.assert_array_equal(hits, case["hits"])
        assert hits.mean() == pytest.approx(case["score"])


def test_hits_need_a_box_and_a_sound():
    assert not spatial_hits([[3, 100]], []).any()
    assert len(spatial_hits([], [[0, 1, 2]])) == 0


@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("pan", [-1, -0.6, -0.2, 0.3, 0.7, 1])
def test_a_panned_source_is_found_where_it_is(pan, noise):
    places = locate(panned(np.random.default_rng(0), pan, noise), RATE)
    loud = places.active & (places.power > 0.2 * places.power.max())
    assert np.abs(places.pan[loud] - pan).max() < 0.15
    x = sound_events(places)[:, 1]
    assert ((x >= 0) & (x <= 255)).all()


def test_mirrored_ears_mirror_the_places():
    wave = panned(np.random.default_rng(1), 0.5, 0.02)
    one, other = locate(wave, RATE), locate(wave[::-1], RATE)
    np.testing.assert_allclose(one.pan, -other.pan, atol=1e-9)
    np.testing.assert_array_equal(one.active, other.active)


@pytest.mark.parametrize("milliseconds", [-0.5, -0.25, 0.1, 0.4, 0.6])
def test_a_delayed_ear_tells_the_side_too(milliseconds):
    places = locate(delayed(np.random.default_rng(2), milliseconds), RATE)
    assert np.abs(places.delay - milliseconds).max() < 0.03
    np.testing.assert_allclose(places.pan, milliseconds / 0.66, atol=0.08)


def test_mono_has_no_places():
    wave = source(np.random.default_rng(3))
    for mono in (wave, wave[None], np.stack([wave, wave]), np.stack([wave, wave * (1 + 1e-5)]), np.zeros((2, 100))):
        assert is_mono(mono)
        assert locate(mono, RATE) is None
    assert not is_mono(np.stack([wave, 0 * wave]))
    with pytest.raises(ValueError, match="hold no frame"):
        locate(np.random.default_rng(0).normal(size=(2, 100)), RATE)


def test_spatial_distances_grow_with_the_difference():
    rng = np.random.default_rng(4)
    real = [locate(panned(rng, pan, 0.01), RATE) for pan in rng.uniform(-0.8, 0.8, 24)]
    same = [locate(panned(rng, pan, 0.01), RATE) for pan in rng.uniform(-0.8, 0.8, 24)]
    narrow = [locate(panned(rng, pan, 0.01), RATE) for pan in rng.uniform(-0.1, 0.1, 24)]
    truth = [placement(place) for place in real]
    made = (same, narrow, [None] * 24)
    values = [frechet_distance([placement(place) for place in places], truth) for places in made]
    assert values[0] < 0.5 * values[1] < values[2]
    assert pan_error(real[0], real[0]) == 0
    left, right = (locate(panned(rng, pan), RATE) for pan in (-0.9, 0.9))
    assert pan_error(left, right) == pytest.approx(1.8, abs=0.1)


@pytest.mark.parametrize("kind", ["frechet", "kernel"])
def test_distances_that_hear_both_ears_tell_swapped_ears_and_a_downmix(kind):
    rng = np.random.default_rng(5)
    lean = np.array([0, 1])[:, None]
    real, fresh = (rng.normal(size=(60, 3, 2, 6)) + lean for _ in range(2))

    def distance_of(clips, rows):
        sets = [FeatureSet(), FeatureSet()]
        for gathered, side in zip(sets, (clips, real), strict=True):
            for index, patches in enumerate(side):
                gathered.add(f"{index:064x}", rows({"patches": patches}))
        return plain_distance(kind, *sets)

    swapped, mixed = fresh[:, :, ::-1], fresh.mean(axis=2, keepdims=True)
    same, mirrored, single = (distance_of(clips, _stereo) for clips in (fresh, swapped, mixed))
    assert mirrored > 2 * abs(same) + 1
    assert single > 2 * abs(same) + 1
    one, other = (distance_of(clips, _mono) for clips in (fresh, swapped))
    assert one == pytest.approx(other)  # a distance of the ears' mean is deaf to it


def test_the_distance_of_places_tells_swapped_ears():
    rng = np.random.default_rng(6)
    waves = [panned(rng, pan, 0.01) for pan in rng.uniform(0.1, 0.8, 40)]
    parts = waves[:20], waves[20:], [wave[::-1] for wave in waves[20:]]
    real, fresh, swapped = ([placement(locate(wave, RATE)) for wave in part] for part in parts)
    assert frechet_distance(swapped, real) > 5 * frechet_distance(fresh, real)
