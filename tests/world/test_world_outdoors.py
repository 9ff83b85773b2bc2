"""Pass, blast, rain and music: geometry and the speed of sound hold in the truth, in picture and in sound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phonofilm import world
from phonofilm.world.audio.moving_tone import moving_tone
from phonofilm.world.audio.synthesis import Score, sing, synthesise
from phonofilm.world.common.geometry import SPEED_OF_SOUND, Camera, Course
from phonofilm.world.families import blast, passing
from phonofilm.world.graphics import thunderstorm

RATE = 16_000


def level(waveform, start, span=0.05):
    """RMS per channel of waveform [2, N] in a window that starts at `start` seconds."""
    piece = waveform[:, round(start * RATE) : round((start + span) * RATE)]
    return np.sqrt((np.asarray(piece, np.float64) ** 2).mean(-1) + 1e-12)


def passes(kind, count=2):
    """Scenes with one mover of a kind."""
    truths = (world.sample("pass", seed) for seed in range(400))
    alone = (t for t in truths if [m["kind"] for m in t.params["movers"]] == [kind] and "music" not in t.params)
    return [truth for _, truth in zip(range(count), alone, strict=False)]


def test_sound_is_heard_when_it_has_come_all_the_way():
    course = Course((-40.0, 3.0, 12.0), (25.0, 0.0, -1.5), 1.6)
    times = np.linspace(-1, 5, 50)
    np.testing.assert_allclose(course.arrival(course.emission(times)), times, atol=1e-9)
    often = np.linspace(-1, 5, 6001)
    assert often[np.argmin(course.distance(often))] == pytest.approx(course.nearest(), abs=1e-3)


def test_doppler_is_what_the_cycles_that_arrive_say():
    course, pitch = Course((-60.0, 1.0, 8.0), (30.0, 0.0, 0.0), 1.6), 400.0
    arrivals = course.arrival(np.arange(0, 4, 1 / pitch))  # each cycle takes its own way
    middle = (arrivals[1:] + arrivals[:-1]) / 2
    np.testing.assert_allclose(course.doppler(middle), 1 / np.diff(arrivals) / pitch, rtol=1e-5)

    tone = moving_tone(
        Camera(0.6, 0.6, 1.6), course, 4.0, lambda t: np.full(len(t), pitch), lambda t: np.ones(len(t)), (1.0,)
    )
    sound = torch.zeros(1, 2, 4 * RATE)
    sing(sound, [[tone]], RATE)
    mono = sound[0].sum(0).numpy()

    def heard(start):
        piece = mono[round(start * RATE) : round((start + 0.25) * RATE)]
        return np.argmax(np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 1 << 18))) * RATE / (1 << 18)

    # far before and behind, the ratio is that of the speeds: (c + v) / (c - v)
    assert heard(0.1) / heard(3.7) == pytest.approx((SPEED_OF_SOUND + 30) / (SPEED_OF_SOUND - 30), rel=0.01)


@pytest.mark.parametrize("kind", ["car", "truck", "motorbike"])
def test_the_sound_of_a_pass_goes_where_the_box_goes(kind):
    for truth in passes(kind, 1):
        mover, camera = truth.params["movers"][0], passing.camera_of(truth.params)
        waveform = world.clips([truth])[0].waveform
        times = np.arange(0.1, truth.seconds - 0.2, 0.1)
        boxes = np.array([passing.box_of(mover, camera, time) for time in times])
        inside = (boxes[:, 0] > 0.02) & (boxes[:, 2] < 0.98)
        middle = (boxes[:, 0] + boxes[:, 2]) / 2
        left, right = np.array([level(waveform, time, 0.1) for time in times]).T
        pan = np.arctan2(right, left) * 4 / np.pi - 1
        assert np.corrcoef(pan[inside], middle[inside])[0, 1] > 0.9
        assert (pan[-1] - pan[0]) * mover["facing"] > 0.8


@pytest.mark.parametrize("kind", ["car", "bird", "train"])
def test_a_pass_is_closest_when_its_event_says(kind):
    for truth in passes(kind):
        mover, camera = truth.params["movers"][0], passing.camera_of(truth.params)
        (event,) = (e for e in truth.events if e.kind == "pass")
        course = passing.course_of(mover, camera.height).shifted(passing.KINDS[kind].behind)
        times = np.linspace(0, truth.seconds, 4001)
        assert times[np.argmin(course.distance(times))] == pytest.approx(event.time, abs=2e-3)
        assert event.end > event.time
        assert event.box[0] - 0.01 <= (event.pan + 1) / 2 <= event.box[2] + 0.01


def test_thunder_follows_its_lightning_by_the_way_it_has_to_go():
    found = 0
    for truth in (world.sample("rain", seed) for seed in range(30)):
        flashes = [e for e in truth.events if e.kind == "lightning"]
        thunders = [e for e in truth.events if e.kind == "thunder"]
        strikes = truth.params["lightning"]
        assert [e.time for e in flashes] == [s["time"] for s in strikes]
        due = sorted(s["time"] + s["distance"] / 343.0 for s in strikes)
        assert [e.time for e in thunders] == pytest.approx([t for t in due if t < truth.seconds])
        found += len(thunders)
        if len(strikes) == 1 and thunders and found < 8:
            only = thunderstorm.score(strikes, truth.seconds, 1)
            sound = synthesise([Score(only.hits, only.beds)], 4 * RATE, RATE)["effects"][0].numpy()
            assert level(sound, thunders[0].time - 0.06).max() < 1e-3
            assert level(sound, thunders[0].time).max() > 0.02
    assert found > 10


def test_a_blast_is_seen_at_once_and_heard_after_its_way():
    truths = [world.sample("blast", seed, music=0) for seed in range(6)]
    for truth, clip in zip(truths, world.clips(truths), strict=True):
        flash, bang = (next(e for e in truth.events if e.kind == kind) for kind in ("flash", "blast"))
        assert bang.time - flash.time == pytest.approx(truth.params["distance"] / 343.0)
        light = clip.frames.astype(float).mean((1, 2, 3))
        assert np.argmax(np.diff(light)) + 1 == np.ceil(flash.time * 12 - 1e-6)
        assert level(clip.waveform, bang.time - 0.06).max() < 0.01
        assert level(clip.waveform, bang.time).max() > 0.05


def test_debris_flies_as_gravity_says_and_lands_when_its_event_says():
    for truth in (world.sample("blast", seed) for seed in range(10)):
        params = truth.params
        seen = [e.time for e in truth.events if e.kind == "debris" and e.box]
        heard = [e.time for e in truth.events if e.kind == "debris" and not e.box]
        assert seen == pytest.approx([params["time"] + piece["flight"] for piece in params["debris"]])
        assert heard == pytest.approx([time + params["distance"] / 343.0 for time in seen])
        assert not len(seen) > 1 or min(np.diff(seen)) > 0.19
        for piece in params["debris"]:
            path = blast.place_of(piece, np.linspace(0, piece["flight"], 101))
            np.testing.assert_allclose(np.diff(path[:, 1], 2) / (piece["flight"] / 100) ** 2, -9.81, rtol=1e-6)
            assert path[-1, 1] == pytest.approx(0, abs=1e-9)


def test_drops_plink_where_and_when_they_land():
    from phonofilm.evaluation.foley_world import audio_events
    from phonofilm.evaluation.foley_world.metrics import match

    truths = [world.sample("rain", seed, music=0) for seed in range(30)]
    truths = [truth for truth in truths if not truth.params["lightning"]][:5]
    hits = total = 0
    for truth, clip in zip(truths, world.clips(truths), strict=True):
        drops = [e for e in truth.events if e.kind == "drop"]
        times = [onset.time for onset in audio_events.onsets(clip.waveform, RATE)]
        hits, total = hits + len(match(times, [e.time for e in drops], 0.06)), total + len(drops)
        for event in drops:
            if abs(event.pan) > 0.3:
                assert audio_events.pan(clip.waveform, RATE, event.time) * event.pan > 0
    assert hits / total > 0.9


def test_music_is_a_stem_of_its_own_and_leaves_the_scene_as_it_is():
    for family in ("bounce", "rain"):
        plain, played = world.sample(family, 2, music=0), world.sample(family, 2, music=1)
        assert played.caption.startswith(plain.caption)
        assert played.events[1:] == plain.events
        assert played.events[0].kind == "music"
        without, accompanied = world.render([plain]), world.render([played])
        assert (without.frames == accompanied.frames).all()
        assert accompanied.stems["music"].abs().max() > 0.02
        assert "music" not in without.stems
    assert not any("music" in world.sample(family, s).params for family in ("bounce", "strike") for s in range(60))


def test_every_instrument_and_mode_plays():
    from phonofilm.world.audio import music

    pieces = [music.sample(np.random.default_rng(seed)) for seed in range(40)]
    assert {piece["instrument"] for piece in pieces} == set(music.INSTRUMENTS)
    for piece in pieces[:8]:
        made = synthesise([music.score(piece, 2.0)], 2 * RATE, RATE)["music"]
        assert 0.01 < made.abs().max() <= 1
    assert music.pitch({"key": "A", "mode": "minor"}, 7) == pytest.approx(440.0)
