"""What convolutions add on the way in and out: local, one time step at a time, nothing at first."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from phonofilm.model import AVTransformer
from phonofilm.model.detail import DetailEntry, DetailHead
from phonofilm.model.tokens import patchify


@pytest.fixture
def refined(tiny):
    return replace(tiny, video=replace(tiny.video, detail=(3, 6)))


def test_a_fresh_network_still_predicts_zero(refined, draw):
    inputs = draw()
    with torch.no_grad():
        made = AVTransformer(refined)(*inputs)
    assert not made.video.any()
    assert made.video.shape == inputs.latents.video.shape


def test_what_it_adds_is_local_and_of_one_time_step():
    torch.manual_seed(0)
    head = DetailHead(4, 3, 8).double()
    noisy, coarse = torch.randn(2, 4, 5, 12, 12).double(), torch.randn(2, 7, 5, 12, 12).double()
    moved = noisy.clone()
    moved[0, 1, 2, 6, 6] += 1
    with torch.no_grad():
        changed = (head(noisy, coarse) - head(moved, coarse)).abs().amax(1) > 0
    assert changed[0, 2, 3:10, 3:10].any()
    changed[0, 2, 3:10, 3:10] = False
    assert not changed.any()


def test_it_reaches_beyond_the_span_of_a_token(refined, build, draw):
    """Predictions of many clips span more dimensions of a patch than a token is wide."""
    torch.manual_seed(0)
    spans = []
    for config in (replace(refined, video=replace(refined.video, detail=None)), refined):
        narrow = replace(config, video=replace(config.video, width=32, heads=1, text_heads=1))
        model = build(narrow).double()
        with torch.no_grad():
            made = torch.cat([_patches(model, draw, seed) for seed in range(6)])
        spans.append(int(torch.linalg.matrix_rank(made - made.mean(0), rtol=1e-8)))
    assert spans[0] <= 32 < spans[1]


def _patches(model, draw, seed):
    inputs = draw()
    torch.manual_seed(seed)
    video = torch.randn_like(inputs.latents.video, dtype=torch.float64)
    latents = replace(inputs.latents, video=video, audio=inputs.latents.audio.double())
    sigma = inputs.sigma.map(lambda level: level.double())
    text = replace(inputs.text, states=inputs.text.states.double())
    made = model(latents, sigma, text, inputs.positions).video
    return made.unfold(3, 4, 4).unfold(4, 4, 4).permute(0, 2, 3, 4, 1, 5, 6).flatten(0, 3).flatten(1)


def test_the_entry_changes_the_tokens_of_its_own_moment_alone():
    torch.manual_seed(0)
    entry = DetailEntry(4, (2, 8, 8), (6, 7, 8), 16).double()
    latents = torch.randn(2, 4, 5, 16, 24).double()
    latents[:, :, :1] = 0
    moved = latents.clone()
    moved[1, 2, 3, 12, 20] += 1  # the third token of time, the second row, the third column
    with torch.no_grad():
        before, after = entry(latents), entry(moved)
    linear = (patchify(latents, (2, 8, 8)) != patchify(moved, (2, 8, 8))).any(-1)
    changed = (before != after).any(-1)
    assert before.shape == (2, 3 * 2 * 3, 16)
    assert linear.nonzero().tolist() == [[1, 12 + 3 + 2]]
    assert changed[linear].all()
    assert not changed[0].any()
    assert not changed[1, :12].any()


def test_a_fresh_entry_adds_nothing(tiny, draw):
    latents = draw().latents
    torch.manual_seed(0)
    model = AVTransformer(replace(tiny, video=replace(tiny.video, entry=(4, 6, 8))))
    assert not model.video.entry(latents.video).any()
    assert model.video.entry.fine.weight.any()


def test_an_entry_needs_patches_in_fours(tiny):
    with pytest.raises(ValueError, match="in fours"):
        replace(tiny.video, patch=(1, 2, 2), entry=(4, 6, 8))
