"""Stems are tokens of one audio stream: each with an embedding, a noise level and, if wanted, a prompt of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from phonofilm.model.tokens import noise_levels
from phonofilm.types import Latents, Positions, Text


@pytest.fixture
def stems(tiny, build, draw):
    """A model of three stems in float64, and inputs with all of them."""
    model = build(replace(tiny, audio=replace(tiny.audio, stems=3))).double()
    inputs = draw()
    generator = torch.Generator().manual_seed(4)
    length = inputs.latents.audio.shape[3]
    audio = torch.randn(2, 3, 64, length, generator=generator, dtype=torch.float64)
    levels = torch.rand(2, 3, 1, length, generator=generator, dtype=torch.float64)
    latents = Latents(inputs.latents.video.double(), audio)
    sigma = Latents(inputs.sigma.video.double(), levels)
    text = Text(inputs.text.states.double(), inputs.text.mask)
    positions = replace(inputs.positions, stems=(0, 1, 2))
    return model, latents, sigma, text, positions


def per_stem(text: Text, *others: Text) -> Text:
    texts = (text, *others)
    return Text(torch.stack([t.states for t in texts], 1), torch.stack([t.mask for t in texts], 1))


def close(a: Latents, b: Latents) -> None:
    torch.testing.assert_close(a.video, b.video, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(a.audio, b.audio, rtol=1e-9, atol=1e-12)


def test_a_model_of_one_mix_has_no_embedding_of_stems(tiny, build):
    names = {name for name, _ in build(tiny).named_parameters()}
    more = {name for name, _ in build(replace(tiny, audio=replace(tiny.audio, stems=3))).named_parameters()}
    assert more - names == {"audio.stems"}


def test_one_prompt_for_all_stems_is_that_prompt_for_each(stems):
    model, latents, sigma, text, positions = stems
    close(model(*stems[1:]), model(latents, sigma, text, positions, audio_text=per_stem(text, text, text)))


def test_without_gradients_the_numbers_are_the_same(stems):
    model, latents, sigma, text, positions = stems
    apart = per_stem(text, Text(text.states + 1, text.mask), Text(-text.states, text.mask))
    with_gradients = model(latents, sigma, text, positions, audio_text=apart)
    with torch.no_grad():
        close(model(latents, sigma, text, positions, audio_text=apart), with_gradients)


def test_the_order_of_the_stems_does_not_matter(stems):
    model, latents, sigma, text, positions = stems
    apart = per_stem(text, Text(text.states + 1, text.mask), Text(-text.states, text.mask))
    order = [2, 0, 1]
    turned = model(
        Latents(latents.video, latents.audio[:, order]),
        Latents(sigma.video, sigma.audio[:, order]),
        text,
        replace(positions, stems=tuple(order)),
        audio_text=Text(apart.states[:, order], apart.mask[:, order]),
    )
    expected = model(latents, sigma, text, positions, audio_text=apart)
    close(turned, Latents(expected.video, expected.audio[:, order]))


def test_a_prompt_reaches_its_own_stem_first_and_the_others_through_attention(stems):
    model, latents, sigma, text, positions = stems
    other = Text(text.states + 1, text.mask)
    a = model(latents, sigma, text, positions, audio_text=per_stem(text, text, text)).audio
    b = model(latents, sigma, text, positions, audio_text=per_stem(text, other, text)).audio
    moved = (a - b).abs().mean((0, 2, 3))
    assert moved[1] > 2 * moved[0] > 0
    assert moved[1] > 2 * moved[2] > 0


def test_which_stem_it_is_matters(stems):
    model, latents, sigma, text, positions = stems
    one = Latents(latents.video, latents.audio[:, :1]), Latents(sigma.video, sigma.audio[:, :1]), text
    speech = model(*one, replace(positions, stems=(0,))).audio
    music = model(*one, replace(positions, stems=(2,))).audio
    assert (speech - music).abs().max() > 1e-3


def test_levels_of_stems_spelled_out_change_nothing(stems):
    model, latents, sigma, text, positions = stems
    each = torch.tensor([0.2, 0.9, 0.0], dtype=torch.float64).view(1, 3, 1, 1).expand(2, -1, -1, -1)
    full = each.expand(-1, -1, -1, latents.audio.shape[3])
    found = [model(latents, Latents(sigma.video, levels), text, positions) for levels in (each, full)]
    close(*found)
    assert noise_levels(each, (3, 11), (1,)).shape == (2, 3)
    assert noise_levels(full, (3, 11), (1,)).shape[1] == 33


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stems": (0, 1)}, "make 33 tokens, not 22"),
        ({"stems": (0, 1, 3)}, "there is no stem 3: the model has 3"),
    ],
)
def test_stems_that_do_not_fit_are_refused(stems, change, message):
    model, latents, sigma, text, positions = stems
    with pytest.raises(ValueError, match=message):
        model(latents, sigma, text, replace(positions, **change))


def test_prompts_that_do_not_fit_the_stems_are_refused(stems):
    model, latents, sigma, text, positions = stems
    with pytest.raises(ValueError, match="2 prompts do not fit 3 stems"):
        model(latents, sigma, text, positions, audio_text=per_stem(text, text))


def test_a_cache_holds_the_prompt_of_each_stem(stems):
    model, latents, sigma, text, positions = stems
    other = Text(text.states.flip(0) + 1, text.mask)
    apart = per_stem(text, other, text)
    cache = model.text_cache(text, apart)
    close(model(latents, sigma, text, positions, cache=cache), model(latents, sigma, text, positions, audio_text=apart))


def test_positions_are_those_of_one_stem(stems):
    positions: Positions = stems[-1]
    assert len(positions.audio) * 3 == len(stems[0].places(positions)[1].space)
