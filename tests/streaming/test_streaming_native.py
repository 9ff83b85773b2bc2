"""A model of ours live: chunk by chunk it makes what it would make in one go, and its state is a value."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch

from phonofilm.checkpoint import load_tensors, save_tensors
from phonofilm.errors import PhonofilmError
from phonofilm.sampling import SAMPLERS, Denoiser, Given, Guided
from phonofilm.streaming.native import NativeSource, open_native
from phonofilm.types import Grid, Latents

PROMPTS = ["a ball falls", "rain", "rain", "a man speaks"]
OPTIONS = {"steps": 2, "guidance": [2.0, 1.5], "modality_guidance": [1.5, 1.0]}


def load(folder, **changes) -> NativeSource:
    given = {"device": "cpu", "dtype": torch.float32, "chunk": Fraction(1, 2), "window": 2}
    return NativeSource.load(folder, **{**given, **changes})


@pytest.fixture(scope="module")
def source(tiny_stems_model) -> NativeSource:
    return load(tiny_stems_model)


def assert_same(one, other) -> None:
    assert (one.index, one.start, one.prompt) == (other.index, other.start, other.prompt)
    np.testing.assert_array_equal(one.frames, other.frames)
    for name, sound in one.stems.items():
        np.testing.assert_array_equal(sound, other.stems[name])


def test_chunks_follow_one_another_exactly(source):
    state, fmt, frames = source.begin("a ball falls", 1, OPTIONS), source.format, 0
    for number in range(4):
        state, chunk = source.next(state, "a ball falls")
        assert (chunk.index, chunk.start, chunk.prompt) == (number, frames / fmt.fps, "a ball falls")
        frames += len(chunk.frames)
        assert chunk.frames.shape[1:] == (128, 128, 3)
        assert {sound.shape for sound in chunk.stems.values()} == {(2, fmt.samples_at(len(chunk.frames)))}
        if number:
            assert len(chunk.frames) == fmt.frames_per_chunk == 12
    assert tuple(chunk.stems) == fmt.stems == ("speech", "effects", "music")
    assert frames == 12 * 4 + 1


def test_a_chunk_is_what_one_forward_over_the_whole_film_makes_of_it(source):
    """The second chunk, sampled with guidance on the clean first one by masked attention, without a cache."""
    state = source.begin(PROMPTS[0], 1, OPTIONS)
    state, first = source.make(state, PROMPTS[0])
    _, second = source.make(state, PROMPTS[0])
    grid = Grid(25, 128, 128, Fraction(24), source.parts.trained.geometry)
    positions, told = grid.positions((0, 1, 2)), source._told(PROMPTS[0], state.options)
    noise = source._noise(1, 1)
    x = Latents(torch.cat([first.video, noise.video], 2), torch.cat([first.audio, noise.audio], 3))
    count = first.video.shape[2], first.audio.shape[3]
    mask = Latents(
        (torch.arange(x.video.shape[2]) < count[0])[None, None, :, None, None],
        (torch.arange(x.audio.shape[3]) < count[1])[None, None, None],
    )
    denoiser = Denoiser(source.parts.transformer, source.parts.trained.prediction)
    guidance = source._guidance(state.options)
    guided = Guided(denoiser, told.text, told.negative, positions, guidance, {"chunk": 0.5}, cache=told.cache)
    sampler, sigmas = source._schedule(state.options)
    with torch.inference_mode():
        whole = SAMPLERS[sampler](guided, x, sigmas, Given(x, mask))
    torch.testing.assert_close(whole.video[:, :, count[0] :], second.video, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(whole.audio[..., count[1] :], second.audio, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_saved_state_goes_on_to_the_bit(tiny_stems_model, tmp_path, dtype):
    """After every chunk, through a file, in a source that was loaded anew; the old state goes on too."""
    source = load(tiny_stems_model, dtype=dtype)
    states, chunks = [source.begin(PROMPTS[0], 7, OPTIONS)], []
    for prompt in PROMPTS:
        state, chunk = source.next(states[-1], prompt)
        states.append(state)
        chunks.append(chunk)
    fresh = load(tiny_stems_model, dtype=dtype)
    for number, prompt in enumerate(PROMPTS):
        arrays, facts = source.state_tensors(states[number])
        held = {name: torch.from_numpy(array) for name, array in arrays.items()}
        save_tensors(tmp_path / "state.safetensors", held, {"facts": json.dumps(facts)})
        read = {name: value.numpy() for name, value in load_tensors(tmp_path / "state.safetensors")[0].items()}
        state = fresh.state_from(read, json.loads(json.dumps(facts)))
        for later, after in zip(chunks[number:], PROMPTS[number:], strict=True):
            state, chunk = fresh.next(state, after)
            assert_same(chunk, later)
        assert_same(source.next(states[number], prompt)[1], chunks[number])


def test_states_do_not_grow(source):
    state, sizes = source.begin(PROMPTS[0], 1, {**OPTIONS, "steps": 1}), []
    for _ in range(8):
        state, _ = source.next(state, PROMPTS[0])
        arrays, _ = source.state_tensors(state)
        sizes.append(sum(array.nbytes for array in arrays.values()))
    assert len(set(sizes[4:])) == 1


def test_a_new_prompt_is_followed_and_changes_nothing_before_it(source):
    start = source.begin(PROMPTS[0], 1, OPTIONS)
    kept = source.begin(PROMPTS[0], 1, {**OPTIONS, "refresh": False})
    after, first = source.next(start, "a ball falls")
    same, second = source.next(after, "a ball falls")
    other, changed = source.next(after, "rain")
    assert_same(source.next(kept, "a ball falls")[1], first)
    assert (changed.frames != second.frames).any()
    old = source.next(source.next(kept, "a ball falls")[0], "rain")[1]
    assert (old.frames != changed.frames).any()  # it is read on a past that the old prompt made
    assert other.prompt == "rain"
    assert same.prompt == "a ball falls"


@pytest.mark.parametrize(("prompt", "said"), [("", "empty"), ("  ", "empty"), ("word " * 600, "tokens")])
def test_a_prompt_that_is_not_possible_is_refused_and_nothing_is_lost(source, prompt, said):
    with pytest.raises(PhonofilmError, match=said):
        source.begin(prompt, 1, {})
    state = source.begin("rain", 1, {"steps": 1})
    with pytest.raises(PhonofilmError, match=said):
        source.next(state, prompt)
    assert source.next(state, "rain")[1].index == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [({"step": 3}, "step"), ({"steps": 0}, "1 to 1000"), ({"guidance": [-1.0, 1.0]}, "100"), ({"steps": "2"}, "steps")],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(source, options, said):
    with pytest.raises(PhonofilmError, match=said):
        source.begin("rain", 1, options)


def test_a_model_without_chunks_and_codecs_that_cannot_cut_are_refused(tiny_stems_model):
    with pytest.raises(PhonofilmError, match="not trained on chunks"):
        load(tiny_stems_model, chunk=None)
    with pytest.raises(PhonofilmError, match="whole numbers"):
        load(tiny_stems_model, chunk=Fraction(1, 5))


def test_a_state_that_is_damaged_or_of_another_window_is_refused(source, tiny_stems_model):
    state, _ = source.next(source.begin("rain", 1, {"steps": 1}), "rain")
    arrays, facts = source.state_tensors(state)
    with pytest.raises(PhonofilmError, match="sinks"):
        load(tiny_stems_model, window=3).state_from(arrays, facts)
    with pytest.raises(PhonofilmError, match="damaged"):
        source.state_from({}, facts)
    with pytest.raises(PhonofilmError, match="damaged"):
        source.state_from(arrays, {**facts, "parts": {"tuple": "", "items": [{"tuple": "dict", "items": []}]}})


def test_streaming_does_not_load_what_it_does_not_use():
    heavy = ("av", "transformers", "scipy", "pymunk", "matplotlib")
    code = f"import sys, phonofilm.streaming.native; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_thread_that_makes_the_next_chunk_changes_nothing(source, tiny_stems_model):
    """The same film, whether the guess is right, the prompt changes, or one goes back to an earlier state."""
    ahead = load(tiny_stems_model, overlap=True)
    state = other = source.begin(PROMPTS[0], 3, OPTIONS)
    kept = []
    for prompt in PROMPTS:
        state, chunk = source.next(state, prompt)
        other, same = ahead.next(other, prompt)
        assert_same(same, chunk)
        kept.append((other, chunk))
    assert_same(ahead.next(kept[1][0], PROMPTS[2])[1], kept[2][1])
    with pytest.raises(PhonofilmError, match="empty"):
        ahead.next(other, "")


def test_a_source_is_opened_as_commands_do(tiny_stems_model, monkeypatch):
    """With a thread for what is made ahead where there are two cores, and in the model's own size alone."""
    before = torch.get_num_threads()
    monkeypatch.setattr("phonofilm.streaming.native.source._trained_chunk", lambda model: Fraction(1, 2))
    try:
        for count, ahead in ((1, False), (4, True)):
            monkeypatch.setattr("phonofilm.streaming.native.source.cores", lambda count=count: count)
            source = open_native(str(tiny_stems_model), "cpu", (128, 128))
            assert (source.ahead is not None) == ahead
        assert torch.get_num_threads() == 2
        with pytest.raises(PhonofilmError, match="leave out --size"):
            open_native(str(tiny_stems_model), "cpu", (64, 64))
    finally:
        torch.set_num_threads(before)
