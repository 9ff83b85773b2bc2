"""The second edition of Foley World: lit scenes that combine, go on, and say truly what they hold."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache

import numpy as np
import pytest

from phonofilm import world
from phonofilm.errors import PhonofilmError
from phonofilm.world.common.captions import NUMBERS
from phonofilm.world.common.palette import COLOURS
from phonofilm.world.scenes import coupling
from phonofilm.world.scenes.speakers import LOMBARD

FAMILIES = world.FAMILIES


@cache
def scene(family, seed, seconds):
    return world.sample(family, seed, seconds, edition=2)


def some(family, count=24, seconds=4.0):
    return [scene(family, 700 + seed, seconds) for seed in range(count)]


@cache
def drawn(family):
    """A film of each family, small."""
    return world.clips([world.sample(family, 31, 2.0, edition=2)], 48, 12)[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_gives_the_same_bytes_alone_and_beside_others(family):
    truths = [world.sample(family, seed, 1.0, edition=2) for seed in (3, 4)]
    together = world.render(truths, 32, 12)
    alone = world.render([world.sample(family, 4, 1.0, edition=2)], 32, 12)
    assert (alone.frames[0] == together.frames[1]).all()
    assert (alone.waveform[0] == together.waveform[1]).all()
    assert not (together.frames[0] == together.frames[1]).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_stems_add_up_and_something_is_seen_to_move(family):
    clip = drawn(family)
    assert set(clip.stems) == {"speech", "effects", "music"}
    np.testing.assert_allclose(sum(clip.stems.values()), clip.waveform, atol=1e-4)
    assert np.abs(clip.waveform).max() <= 1
    assert np.abs(np.diff(clip.frames.astype(int), axis=0)).max() > 40
    assert 30 < clip.frames.mean() < 225  # neither dark nor burnt


@pytest.mark.parametrize("family", FAMILIES)
def test_truth_is_plain_data_and_captions_are_sentences(family):
    truths = some(family)
    json.dumps([dict(truth.params) for truth in truths])
    texts = [text for truth in truths for text in truth.params["said"].values()]
    assert len({truth.caption for truth in truths}) > 0.9 * len(truths)
    assert not [t for t in texts if re.search(r"[{}]|  | [,.;]|\.\.(?!\")", t)]
    assert all(text[0].isupper() and text.endswith(".") for text in texts)


@pytest.mark.parametrize("family", FAMILIES)
def test_events_lie_in_the_scene_in_order_with_a_box_or_a_sound(family):
    for truth in some(family):
        times = [event.time for event in truth.events]
        assert times == sorted(times)
        assert all(0 <= event.time < truth.seconds for event in truth.events)
        for event in truth.events:
            assert event.box is not None or event.loudness is not None
            if event.box is not None:
                assert 0 <= event.box[0] <= event.box[2] <= 1
                assert 0 <= event.box[1] <= event.box[3] <= 1


def heard_in(truth):
    kinds = {"word": "speech", "music": "music"}
    return frozenset(kinds.get(e.kind, "effects") for e in truth.events if e.loudness is not None)


def test_every_mixture_of_speech_effects_and_music_occurs():
    mixtures = Counter(
        heard_in(truth) for family in FAMILIES for truth in some(family, 24 if family == "bounce" else 40)
    )
    assert len(mixtures) == 8


@pytest.mark.parametrize("family", FAMILIES)
def test_long_scenes_go_on_to_their_end(family):
    check_that_it_goes_on(some(family, 12, 60.0 if family != "bounce" else 16.0))


@pytest.mark.slow
def test_bodies_bounce_for_a_minute():
    check_that_it_goes_on(some("bounce", 12, 60.0))


def check_that_it_goes_on(truths):
    happens = [[e.time for e in truth.events if e.kind not in ("music", "hop")] for truth in truths]
    assert np.median([max(times) for times in happens]) > truths[0].seconds - 4
    for times in happens:
        assert max(np.diff([0.0, *times, truths[0].seconds])) < 12


def test_what_a_caption_counts_is_there():
    counted = 0
    for truth in some("bounce", 24):
        things = truth.params["objects"]
        for number, word in enumerate(NUMBERS[1:4], 1):
            if re.match(rf"{word} (balls|boxes|things|\w+ \w+ (ball|box)(s|es)?) ", truth.caption.lower()):
                assert len(things) == number, truth.caption
                counted += 1
        for thing in things:
            named = f"{thing['colour']} {thing['material']} {thing['shape']}"
            assert (
                named in truth.caption.lower() or f"{thing['colour']} {thing['material']} box" in truth.caption.lower()
            )
    assert counted >= 5


def test_sides_are_the_picture_s_sides():
    said = 0
    for truth in some("blast", 40):
        nouns = [f"{blast['colour']} {blast['target']}" for blast in truth.params["blasts"]]
        for blast in truth.params["blasts"][:2] if len(set(nouns)) == len(nouns) else []:
            noun = f"{blast['colour']} {blast['target']}"
            match = re.search(rf"{noun}(?: explodes)? (on the left|on the right|in the middle)", truth.caption)
            if match:
                said += 1
                assert ("left" in match[1]) == (blast["x"] < 0.42)
                assert ("right" in match[1]) == (blast["x"] > 0.58)
    assert said > 10


def test_the_order_of_a_melody_is_that_of_the_strikes():
    for truth in some("strike", 40):
        melody = truth.caption.split(". ")[0]
        colours = re.findall("|".join(COLOURS), melody.lower().split(", while a")[0].split("; ")[0])
        played = truth.params["colours"]
        if "times" in melody:
            assert set(played) == {colours[0]}
            assert NUMBERS[len(played)] in melody.lower()
        else:
            assert colours[: len(played)][:8] == played[:8], truth.caption


def test_half_of_the_melodies_are_uniformly_random():
    ways = Counter(truth.params["ways"][0] for truth in some("strike", 200))
    assert 70 < ways["random"] < 130
    bars = [bar / truth.params["bars"] for truth in some("strike", 200) if truth.params["ways"][0] == "random"
            for bar in truth.params["melody"][:3]]  # fmt: skip
    assert abs(np.mean(bars) - 0.43) < 0.04


def test_one_after_another_is_said_of_bodies_that_are_let_go_in_turn():
    for truth in some("bounce", 24):
        releases = [thing["release"] for thing in truth.params["objects"]]
        if "one after another" in truth.caption:
            assert min(np.diff(sorted(releases))) > 0.3
        if "at once" in truth.caption or "at the same time" in truth.caption:
            assert len(set(releases)) == 1


def test_what_is_said_not_to_be_there_is_not():
    found = Counter()
    for family in FAMILIES:
        for truth in some(family, 24 if family == "bounce" else 40):
            text, heard = truth.caption.lower(), heard_in(truth)
            if re.search(r"\bno music", text):
                assert "music" not in heard
                found["music"] += 1
            if "nobody speaks" in text:
                assert "speech" not in heard
                found["speech"] += 1
            if re.search("no sound is heard|there is no sound\\b(?! effects)|film is silent", text):
                assert not heard
                assert not np.any(world.render([truth], 16, 2).waveform.numpy())
                found["sound"] += 1
            for colour in re.findall(r"(?:is not|nothing is) (\w+)\.", text):
                assert colour not in {thing["colour"] for thing in truth.params["objects"]}
                found["colour"] += 1
    assert min(found[name] for name in ("music", "speech", "sound", "colour")) >= 1


def test_each_stem_has_a_caption_of_its_own():
    for family in FAMILIES:
        for truth in some(family):
            said, heard = truth.params["said"], heard_in(truth)
            assert (said["speech"] == "No speech.") == ("speech" not in heard)
            assert (said["music"] == "No music.") == ("music" not in heard)
            assert said["effects"] == "No sound effects." or "effects" in heard


def test_music_gives_way_to_speech_and_marks_impacts():
    spoken = [t for f in FAMILIES for t in some(f) if {"speech", "music"} <= heard_in(t)]
    assert spoken
    for truth in spoken[:4]:
        level = coupling.ducking(truth.events, truth.seconds)["music"]
        words = [e for e in truth.events if e.kind == "word"]
        inside = np.mean([level[int((e.time + e.end) / 2 * 100)] for e in words])
        assert inside < 0.6
        quiet = np.ones(len(level), bool)
        for event in words:
            quiet[int(event.time * 100) - 30 : int(event.end * 100) + 80] = False
        assert not quiet.any() or level[quiet].mean() > 0.6
    marked = [t for t in some("bounce", 24) if t.params.get("music", {}).get("accents")]
    assert marked
    for truth in marked:
        impacts = [e.time for e in truth.events if e.kind == "impact"]
        assert set(truth.params["music"]["accents"]) <= set(impacts)


def test_voices_are_raised_in_rain():
    raised = [
        p
        for f in ("rain", "pass", "talk")
        for t in some(f, 40)
        for p in t.params.get("people", [])
        if "shower" in t.params
    ]
    loud = [p["gain"] for p in raised if p["raised"]]
    calm = [p["gain"] for t in some("talk", 40) for p in t.params["people"] if not p["raised"]]
    assert loud
    assert np.mean(loud) > np.mean(calm) * (1 + LOMBARD["gain"]) / 2


def test_two_who_speak_take_turns_and_the_mouth_of_the_one_who_speaks_moves():
    pairs = [t for t in some("talk", 40) if len(t.params["people"]) == 2]
    assert len(pairs) >= 6
    for truth in pairs:
        left, right = sorted(truth.details["scene"].people, key=lambda person: person.facts["x"])
        assert left.facts["x"] < 0.4 < 0.6 < right.facts["x"]
        for person, other in ((left, right), (right, left)):
            for word in person.facts["words"]:
                assert not any(
                    w["time"] < word["end"] - 0.02 and w["end"] > word["time"] + 0.02 for w in other.facts["words"]
                )
            frames = np.arange(len(person.mouth)) / 240
            speaking = np.zeros(len(frames), bool)
            for word in person.facts["words"]:
                speaking |= (frames >= word["time"]) & (frames < word["end"])
            if speaking.any() and not speaking.all():
                near = np.convolve(speaking, np.ones(121), "same") > 0
                assert person.mouth[speaking, 0].mean() > 3 * person.mouth[~near, 0].mean() if (~near).any() else True


def test_impacts_are_seen_where_they_are_and_heard_when_they_are():
    seen = heard = total = 0
    for truth in some("bounce", 6):
        clip = world.clips([truth], 64, 24)[0]
        effects = clip.stems["effects"].astype(float) ** 2
        for event in truth.events:
            if event.kind != "impact" or event.loudness is None or not 0.2 < event.time < 3.8:
                continue
            total += 1
            at, wide = int(event.time * 16_000), 480
            heard += effects[:, at : at + wide].sum() > 3 * effects[:, at - wide : at].sum()
            x0, y0, x1, y1 = (round(v * 64) for v in event.box)
            frame = round(event.time * 24)
            moved = np.abs(clip.frames[frame + 1].astype(int) - clip.frames[frame - 2]).mean(-1)
            seen += moved[y0:y1, x0:x1].mean() > 4 * np.median(moved)
    assert total > 10
    assert heard > 0.8 * total
    assert seen > 0.9 * total


def test_louder_where_it_is_said_to_be():
    for truth in some("strike", 4):
        clip = world.clips([truth], 16, 12)[0]
        for event in truth.events:
            if event.kind == "strike" and event.loudness is not None and abs(event.pan) > 0.3:
                at = int(event.time * 16_000)
                left, right = (clip.stems["effects"][:, at : at + 1_600] ** 2).sum(1)
                assert (right > left) == (event.pan > 0)


def test_the_first_edition_is_what_it_was_and_a_third_there_is_not():
    assert world.sample("bounce", 5).edition == 1
    assert world.sample("bounce", 5).params == world.sample("bounce", 5, edition=1).params
    with pytest.raises(PhonofilmError, match="no edition 3"):
        world.sample("bounce", 5, edition=3)


def test_a_scene_of_bodies_that_never_comes_out_clear_is_drawn_with_fewer():
    assert world.sample("bounce", 3000105, 4.0, edition=2).events
