"""Tokens, noise levels, modulation and attention."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from phonofilm.model.attention import attend
from phonofilm.model.layers import modulate
from phonofilm.model.rows import Rows, updated
from phonofilm.model.tokens import noise_levels, patchify, unpatchify

sizes = st.integers(1, 3)


@given(sizes, sizes, sizes, sizes, sizes, sizes)
def test_latents_survive_the_tokens(t, h, w, pt, ph, pw):
    shape, patch = (1 + (t - 1) * pt, h * ph, w * pw), (pt, ph, pw)
    latents = torch.randn(2, 3, *shape)
    tokens = patchify(latents, patch)
    assert tokens.shape == (2, t * h * w, 3 * pt * ph * pw)
    assert_close(unpatchify(tokens, shape, patch), latents, rtol=0, atol=0)
    sound = torch.randn(2, 3, 5, t * pt)  # three stems of five channels
    tokens = patchify(sound, (pt,))
    assert tokens.shape == (2, 3 * t, 5 * pt)
    assert_close(tokens[:, :t], patchify(sound[:, :1], (pt,)), rtol=0, atol=0)  # the first stem comes first
    assert_close(unpatchify(tokens, (3, t * pt), (pt,)), sound, rtol=0, atol=0)


def test_the_first_latent_has_tokens_of_its_own():
    latents = torch.arange(1.0, 6.0).view(1, 1, 5, 1, 1)
    assert patchify(latents, (2, 1, 1)).tolist() == [[[0, 1], [2, 3], [4, 5]]]
    with pytest.raises(ValueError, match="do not divide"):
        patchify(latents[:, :, :4], (2, 1, 1))


def test_tokens_are_ordered_time_row_column():
    t, h, w = torch.meshgrid(torch.arange(2), torch.arange(4), torch.arange(6), indexing="ij")
    tokens = patchify((100 * t + 10 * h + w)[None, None], (1, 2, 3))
    assert tokens[0, :, 0].tolist() == [0, 3, 20, 23, 100, 103, 120, 123]


@given(sizes, sizes, sizes)
def test_noise_levels_are_as_few_as_they_can_be(t, h, w):
    shape, patch = (2 * t - 1, 3 * h, w), (2, 3, 1)
    steps = torch.rand(2, 1, 2 * t - 1, 1, 1)
    full = noise_levels(steps.expand(-1, -1, -1, 3 * h, w), shape, patch)
    assert full.shape[1] in (t, t * h * w)
    few = noise_levels(steps, shape, patch)
    assert few.shape == (2, t)
    assert_close(few.repeat_interleave(full.shape[1] // t, 1), full)
    assert noise_levels(steps[:, :, :1], shape, patch).shape == (2, 1)


def test_the_noisiest_latent_of_a_token_counts():
    sigma = torch.zeros(1, 1, 5, 2, 2)
    sigma[0, 0, 1, 1, 0] = 0.7
    assert noise_levels(sigma, (5, 2, 2), (2, 2, 2)).tolist() == [[0.0, pytest.approx(0.7), 0.0]]


@pytest.mark.parametrize("levels", [1, 3, 6])
def test_modulation_by_row_is_modulation_by_token(levels):
    x, update = torch.randn(2, 2, 6, 4)
    scale, shift = torch.randn(2, 2, levels, 4)
    scale_each, shift_each = (t.repeat_interleave(6 // levels, 1) for t in (scale, shift))
    assert_close(modulate(x, scale, shift), x * (1 + scale_each) + shift_each)
    whole = (Rows(0, 6, 6),)
    assert_close(updated(x, whole, lambda rows: update, scale), x + update * scale_each)


@pytest.mark.parametrize("masked", [False, True])
def test_plain_attention_is_the_fused_one(masked):
    """In bfloat16 on a CPU the scores are computed plainly; float32 takes torch's fused kernel."""
    q, k, v = torch.randn(2, 7, 3, 16), torch.randn(2, 5, 3, 16), torch.randn(2, 5, 3, 16)
    bias = torch.where(torch.arange(5) < 3, 0.0, -1e4).expand(2, 1, 1, 5) if masked else None
    exact = attend(q, k, v, bias)
    if masked:
        assert_close(exact, attend(q, k[:, :3], v[:, :3]))
    half = attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), None if bias is None else bias.bfloat16())
    assert_close(half.float(), exact, atol=0.03, rtol=0.03)
