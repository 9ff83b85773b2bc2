"""Tokens in parts give what they give all at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from phonofilm.model import rows as module
from phonofilm.model.rows import Rows, parts
from phonofilm.types import Latents


@pytest.mark.parametrize("levels", [1, 4, 24])
@pytest.mark.parametrize("at_once", [1, 4, 7, 8, 13, 24, 100])
def test_parts_cover_all_tokens_and_never_share_a_run_with_another_level(levels, at_once, monkeypatch):
    monkeypatch.setitem(module.AT_ONCE, "cpu", at_once * 2 * 3)
    with torch.no_grad():
        found = parts(torch.zeros(2, 24, 3), levels)
    assert [row for part in found for row in range(part.start, part.stop)] == list(range(24))
    assert max(part.stop - part.start for part in found) <= at_once
    spelled_out = torch.arange(levels).repeat_interleave(24 // levels)
    for part in found:
        mine = part.of_levels(torch.arange(levels)[None])[0]
        assert_close(mine.repeat_interleave((part.stop - part.start) // len(mine)), spelled_out[part.start : part.stop])


def test_with_gradients_there_is_one_part():
    assert parts(torch.zeros(1, 5000, 4096, device="meta"), 1) == (Rows(0, 5000, 5000),)


@pytest.mark.parametrize("newer", [False, True])
@pytest.mark.parametrize("noise", ["uniform", "step", "token"])
def test_a_network_without_gradients_gives_what_it_gives_with_them(tiny, build, draw, monkeypatch, newer, noise):
    config = replace(tiny, gated_attention=newer, text_modulation=newer, norm="rms" if newer else "layer")
    model, (latents, sigma, text, positions) = build(config), draw()
    video = {
        "uniform": sigma.video[:, :, :1],
        "step": sigma.video,
        "token": sigma.video * torch.rand(latents.video.shape[2:], generator=torch.Generator().manual_seed(0)),
    }[noise]
    loose = {0: Latents(torch.tensor([True, False]), torch.tensor([False, True]))}
    inputs = (latents, Latents(video, sigma.audio), text, positions)
    options = {"exchange": torch.tensor([False, True]), "unmixed": loose}
    expected, alone = model(*inputs, **options), model(Latents(video=latents.video), *inputs[1:])
    monkeypatch.setitem(module.AT_ONCE, "cpu", 2 * 48 * 5)
    with torch.no_grad():
        made, apart = model(*inputs, **options), model(Latents(video=latents.video), *inputs[1:])
    assert_close(made.video, expected.video, atol=1e-5, rtol=1e-5)
    assert_close(made.audio, expected.audio, atol=1e-5, rtol=1e-5)
    assert_close(apart.video, alone.video, atol=1e-5, rtol=1e-5)
