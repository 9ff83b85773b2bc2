"""The fake sources keep the contract that delivery relies on."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from phonofilm.errors import PhonofilmError
from phonofilm.streaming.fake import FakeFollower, FakeSource, is_flash
from phonofilm.streaming.source import LiveFormat

ODD = LiveFormat(32, 32, Fraction(30000, 1001), 16_000, 1, ("effects",), 10, 5339)


def film(source, prompts, state=None):
    state, chunks = source.begin(prompts[0], 3, {}) if state is None else state, []
    for prompt in prompts:
        state, chunk = source.next(state, prompt)
        chunks.append(chunk)
    return state, chunks


def same(one, other):
    return np.array_equal(one.frames, other.frames) and all(
        np.array_equal(one.stems[k], other.stems[k]) for k in one.stems
    )


@pytest.mark.parametrize("source", [FakeSource(), FakeSource(ODD), FakeSource(first_extra=0)])
def test_picture_and_sound_of_chunks_stay_together(source) -> None:
    _, chunks = film(source, ["a"] * 7)
    frames = samples = 0
    for number, chunk in enumerate(chunks):
        assert chunk.index == number
        assert chunk.start == frames / source.format.fps
        frames, samples = frames + len(chunk.frames), samples + chunk.mix.shape[1]
        assert samples == source.format.samples_at(frames)
    flashes = [is_flash(Fraction(n) / source.format.fps) for n in range(frames)]
    light = np.concatenate([chunk.frames for chunk in chunks]).reshape(frames, -1).min(1) == 255
    assert light.tolist() == flashes


def test_a_state_goes_on_bit_for_bit_and_twice() -> None:
    source = FakeSource()
    state, _ = film(source, ["a", "b"])
    tensors, facts = source.state_tensors(state)
    _, first = film(source, ["b", "c"], state)
    _, again = film(FakeSource(), ["b", "c"], FakeSource().state_from(tensors, facts))
    assert all(map(same, first, again))
    _, other = film(source, ["x", "c"], state)
    assert not same(first[1], other[1]), "the colour depends on the whole past"
    with pytest.raises(PhonofilmError, match="lacks 'walk'"):
        source.state_from({}, facts)


@pytest.mark.parametrize("takes", ["frames", "sound"])
def test_followers_answer_in_the_chunk_that_they_are_given(takes) -> None:
    source, follower = FakeSource(), FakeFollower(takes)
    _, chunks = film(source, ["a"] * 4)
    state = follower.begin("", 0, {})
    for given in chunks:
        part = given.frames if takes == "frames" else given.stems["effects"]
        assert follower.length(given.index) == (len(part) if takes == "frames" else part.shape[1])
        state, made = follower.next(state, "", part)
        light = made.frames.reshape(len(made.frames), -1).max(1) > 200
        assert (light.any()) == (np.abs(made.mix).max() > 0.1)
        assert light.any() == bool((given.frames == 255).all((1, 2, 3)).any())
