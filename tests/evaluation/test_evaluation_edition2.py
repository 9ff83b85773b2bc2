"""Scorers of the second edition: truth passes, the sound of another clip does not, and planted faults are seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phonofilm import world
from phonofilm.errors import PhonofilmError
from phonofilm.evaluation.foley_world.edition2 import hearing, mouths, sights, stems, sweep
from phonofilm.evaluation.foley_world.edition2.asked import Asked
from phonofilm.evaluation.foley_world.edition2.score import MEASURES, Heard, Seen, measures, score_scene, summarise
from phonofilm.types import Clip

RATE, FPS = 24_000, 24
SEED = 82_000_000
FAMILIES = ("strike", "blast", "pass", "rain", "talk", "bounce")


def noise(seconds: float, seed: int = 0, gain: float = 0.1) -> np.ndarray:
    return (gain * np.random.default_rng(seed).standard_normal((2, round(seconds * RATE)))).astype(np.float32)


def late(sound: np.ndarray, seconds: float) -> np.ndarray:
    return np.pad(sound, ((0, 0), (round(seconds * RATE), 0)))[:, : sound.shape[1]]


@pytest.fixture(scope="module")
def scenes():
    """A scene of each family that nothing is silent in, without music."""
    found = {}
    for family in FAMILIES:
        first = SEED + 15 if family == "talk" else SEED
        truths = (world.sample(family, first + i, 4.0, music=0.0, edition=2) for i in range(50))
        truth = next(t for t in truths if wanted(t))
        found[family] = (world.clips([truth], 128, FPS, RATE)[0], truth)
    return found


def wanted(truth) -> bool:
    asked = Asked.of(truth)
    if truth.params["muted"]:
        return False
    if truth.family == "pass":
        return asked.crossing == 1 and asked.holds == {"pass"}
    if truth.family == "talk":
        return asked.taking_turns and asked.holds == {"talk"}
    if truth.family == "bounce":
        return asked.count == 2 and len(set(asked.colours)) == 2 and asked.holds == {"bounce"}
    return "talk" not in asked.holds


@pytest.fixture(scope="module")
def looks(scenes):
    return {
        family: (Seen(clip.frames, FPS), Heard.of(clip), Asked.of(truth)) for family, (clip, truth) in scenes.items()
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_truth_agrees_with_itself_and_not_with_a_late_sound(looks, family):
    seen, heard, asked = looks[family]
    truth = measures(seen, heard, asked)
    assert truth["sync"] >= (0.6 if family in ("rain", "bounce") else 0.9)
    assert truth["family_seen"] == truth["family_heard"] == truth["stem_silent"] == 1
    shifted = replace(heard, **{name: late(getattr(heard, name), 0.15) for name in ("speech", "effects", "mix")})
    assert measures(seen, shifted, asked, ["sync"])["sync"] < truth["sync"] - 0.3


@pytest.mark.parametrize(
    ("family", "shown"), [("strike", "order"), ("bounce", "count"), ("pass", "way"), ("blast", "")]
)
def test_silence_and_black_agree_with_nothing(looks, family, shown):
    seen, heard, asked = looks[family]
    nothing = np.zeros_like(heard.mix)
    mute = replace(heard, speech=nothing, effects=nothing, mix=nothing)
    assert measures(seen, mute, asked, ["sync", "family_heard"]) == {"sync": 0, "family_heard": 0}
    black = Seen(np.zeros_like(seen.frames), FPS)
    assert not any(measures(black, heard, asked, ["sync", shown]).values())


def test_colours_and_notes(looks):
    seen, heard, asked = looks["strike"]
    truth = measures(seen, heard, asked)
    assert truth["colour"] == truth["pitch"] == truth["order"] == truth["order_heard"] == 1
    turned = Seen(np.ascontiguousarray(seen.frames[..., [1, 2, 0]]), FPS)
    assert measures(turned, heard, asked, ["pitch"])["pitch"] < 0.5
    backwards = replace(asked, melody=asked.melody[::-1])
    assert backwards.melody != asked.melody
    assert measures(seen, heard, backwards, ["order", "order_heard"]) == {"order": 0, "order_heard": 0}
    mirror = Seen(np.ascontiguousarray(seen.frames[:, :, ::-1]), FPS)
    assert measures(seen, heard, asked, ["pan_sign"])["pan_sign"] == 1
    assert measures(mirror, heard, asked, ["pan_sign"])["pan_sign"] < 0.2


def test_two_bodies_with_their_colours(looks):
    seen, heard, asked = looks["bounce"]
    truth = measures(seen, heard, asked)
    assert truth["count"] == truth["two_colours"] == truth["colour"] == truth["material"] == 1
    turned = Seen(np.ascontiguousarray(seen.frames[..., [1, 2, 0]]), FPS)
    assert measures(turned, heard, asked, ["colour", "two_colours"]) == {"colour": 0, "two_colours": 0}
    # one body painted over with what is behind it
    frames = seen.frames.copy()
    alone = sights.NAMES.index(asked.colours[0])
    picture = sights.scaled(frames)
    chroma, saturation = sights.colourful(picture)
    gone = (chroma > 0.12) & (saturation > 0.2) & (sights.nearest_hue(picture) == alone)
    frames[gone] = np.broadcast_to(np.median(frames, axis=(0, 2), keepdims=True), frames.shape)[gone]
    left = measures(Seen(frames, FPS), heard, asked, ["count", "two_colours"])
    assert left == {"count": 0, "two_colours": 0}


def test_mirrored_pictures_go_the_other_way(looks):
    for family, measure in (("pass", "way"), ("talk", "turns")):
        seen, heard, asked = looks[family]
        assert measures(seen, heard, asked, [measure])[measure] == 1
        mirror = Seen(np.ascontiguousarray(seen.frames[:, :, ::-1]), FPS)
        assert measures(mirror, heard, asked, [measure])[measure] == 0


def test_what_a_caption_says():
    truth = world.sample("bounce", 3_000_076, 4.0, edition=2)
    asked = Asked.of(replace(truth, caption="A red wood ball falls on the left. The ball is not yellow."))
    assert asked.negated == {"yellow"}
    assert asked.side == ("left" if asked.count == 1 else "")
    assert Asked.of(replace(truth, caption="There is no music. Nobody speaks.")).negated == {"music", "speech"}
    assert Asked.of(replace(truth, caption="Nothing is made of glass.")).negated == {"glass"}
    with pytest.raises(PhonofilmError, match="edition=2"):
        Asked.of(world.sample("bounce", 1))


def test_what_is_negated_is_seen_and_heard(looks):
    seen, heard, asked = looks["bounce"]
    there = replace(asked, negated=frozenset({asked.colours[0]}))
    other = next(colour for colour in sights.NAMES if colour not in asked.colours)
    assert measures(seen, heard, there, ["negated_present"])["negated_present"] == 1
    assert (
        measures(seen, heard, replace(asked, negated=frozenset({other})), ["negated_present"])["negated_present"] == 0
    )
    assert measures(seen, heard, replace(asked, negated=frozenset({"effects"})))["negated_present"] == 1


def test_a_stem_that_leaks_is_not_silent(looks):
    _, heard, asked = looks["strike"]
    silent = replace(asked, silent=frozenset({"speech", "music"}))
    assert measures(looks["strike"][0], heard, silent, ["stem_silent"])["stem_silent"] == 1
    for gain, share in ((0.02, 1.0), (0.1, 0.5)):
        leak = replace(heard, speech=(gain * heard.effects).astype(np.float32))
        assert measures(looks["strike"][0], leak, silent, ["stem_silent"])["stem_silent"] == share


def test_ducking_and_accents_are_measured_in_decibels():
    speech, music = noise(4, 1), noise(4, 2)
    speech[:, : 2 * RATE] = 0
    ducked = music.copy()
    ducked[:, 2 * RATE :] *= 0.25
    assert stems.ducking(speech, ducked, RATE) == pytest.approx(12.04, abs=1)
    assert stems.ducking(speech, music, RATE) == pytest.approx(0, abs=0.5)
    assert stems.ducking(noise(4), music, RATE) is None  # never apart from words
    bed = noise(4, 3, 0.02)
    for at in (1.0, 2.0, 3.0):
        start = round(at * RATE)
        bed[:, start : start + 2400] *= 10
    assert stems.accents([1.0, 2.0, 3.0], bed, RATE) > 8
    assert abs(stems.accents([0.5, 1.6, 2.7], bed, RATE)) < 3
    assert stems.accents([], bed, RATE) is None


def test_balance_of_the_ears():
    for pan in (-0.8, 0.0, 0.6):
        angle = (pan + 1) * np.pi / 4
        sound = noise(1)[:1] * np.array([[np.cos(angle)], [np.sin(angle)]], np.float32)
        assert stems.balance(sound) == pytest.approx(pan, abs=1e-3)


@pytest.mark.parametrize("shift", [-0.2, 0.0, 0.3])
def test_offset_of_what_passes(shift):
    """A square that crosses, and a noise panned with it."""
    frames = np.full((96, 64, 64, 3), 90, np.uint8)
    place = np.clip((np.arange(96) / 24 - 1.2) / 1.6, -0.2, 1.2)
    for frame, x in zip(frames, place, strict=True):
        low = round(x * 64)
        frame[30:40, max(low - 5, 0) : max(low + 5, 0)] = 220
    time = np.arange(4 * RATE) / RATE - shift
    pan = np.clip((time - 1.2) / 1.6, 0, 1) * np.pi / 2
    sound = noise(4)[:1] * np.stack([np.cos(pan), np.sin(pan)]).astype(np.float32)
    columns = sweep.moving(frames)
    found = sweep.offset(columns, stems.ears(sound, RATE).sum(1), FPS)
    assert found == pytest.approx(shift, abs=0.05)
    assert sweep.direction(columns) > 0.5
    assert sweep.direction(columns[:, ::-1]) < -0.5
    assert np.isnan(sweep.offset(np.zeros_like(columns), stems.ears(sound, RATE).sum(1), FPS))


@pytest.mark.parametrize("shift", [-0.3, 0.0, 0.2])
def test_offset_of_a_mouth(shift):
    """A dark patch as high as the voice is loud."""
    rng = np.random.default_rng(4)
    loud = np.interp(np.arange(4 * RATE + 2 * RATE) / RATE, np.arange(0, 6, 0.11), rng.uniform(0, 1, 55)) ** 2
    frames = np.full((96, 64, 64, 3), 180, np.uint8) + rng.integers(0, 4, (96, 64, 64, 3)).astype(np.uint8)
    for number, frame in enumerate(frames):
        frame[40 : 41 + round(10 * loud[round((number + 0.25) / FPS * RATE) + RATE]), 26:38] = 20
    sound = noise(4) * loud[RATE - round(shift * RATE) :][: 4 * RATE].astype(np.float32)
    voice = mouths.bands(stems.ears(sound, RATE).sum(-1))
    assert mouths.offset(mouths.cells(frames, FPS), voice, FPS) == pytest.approx(shift, abs=0.045)
    assert np.isnan(mouths.offset(mouths.cells(frames, FPS), np.zeros_like(voice), FPS))


def test_flashes_are_shared_and_local_light_is_none():
    frames = np.full((48, 64, 64, 3), 60, np.uint8)
    frames[20:24] += 90
    frames[36:, :20, :20] += 120
    (flash,) = sights.flashes(frames, FPS)
    assert flash.time == pytest.approx(20 / 24, abs=0.03)


def test_bangs_are_later_the_duller_they_are(scenes):
    delays = []
    for family_seed in range(3):
        truths = (world.sample("blast", SEED + 100 * family_seed + i, 4.0, music=0, edition=2) for i in range(60))
        truth = next(
            t for t in truths if not t.params["muted"] and abs(t.params["delay"] - (0.08, 0.2, 0.4)[family_seed]) < 0.03
        )
        sound = world.render([truth], 16, 2, RATE).stems["effects"][0].numpy()
        from phonofilm.evaluation.foley_world.audio_events import onsets

        bang = hearing.bangs(sound, RATE, onsets(sound, RATE))[0]
        assert bang.delay == pytest.approx(truth.params["delay"], abs=0.09)
        delays.append(bang.delay)
    assert delays == sorted(delays)


def test_score_of_a_scene_and_of_many(scenes):
    clip, truth = scenes["strike"]
    score = score_scene(clip, truth)
    assert set(score) <= set(MEASURES)
    assert score["sync"] > 0.9
    table = summarise([score, {**score, "sync": 0.0}, {"order": 1.0}])
    assert table["sync"].clips == 2
    assert table["sync"].value == pytest.approx(score["sync"] / 2)
    assert table["order"].clips == 3
    mono = Clip(clip.frames, clip.fps, clip.waveform[:1], RATE)  # one channel, no stems
    assert score_scene(mono, truth)["sync"] > 0.9


def test_speech_and_music_in_effects(scenes):
    """A classifier that hears what is loud as speech."""

    class Ear:
        labels = ("Music", "Silence", "Speech")

        def __call__(self, sound):
            assert len(sound) == pytest.approx(4 * 16_000, abs=2)
            return type("Found", (), {"scores": np.array([[0.1, 0.0, float(np.abs(sound).max() > 0.01)]] * 3)})

    clip, truth = scenes["strike"]
    score = score_scene(clip, truth, Ear())
    assert (score["speech_in_effects"], score["music_in_effects"]) == (1.0, pytest.approx(0.1))
    mute = clip.with_(stems={**clip.stems, "effects": np.zeros_like(clip.waveform)})
    assert score_scene(mute, truth, Ear())["speech_in_effects"] == 0
    with pytest.raises(PhonofilmError, match="lacks one"):
        score_scene(Clip(clip.frames, clip.fps), truth)
