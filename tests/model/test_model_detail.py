"""What convolutions add on the way in and out: local, one time step at a time, nothing at first."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from phonofilm.model import AVTransformer
from phonofilm.model.detail.config import LocalConfig
from phonofilm.model.detail.estimates import MOVING, alone, standing_still
from phonofilm.model.detail.head import DetailEntry, DetailHead
from phonofilm.model.detail.local import LocalDenoiser, with_local
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
    level = torch.full((2, 1, 1, 1, 1), 0.5).double()
    moved = noisy.clone()
    moved[0, 1, 2, 6, 6] += 1
    with torch.no_grad():
        changed = (head(noisy, coarse, level) - head(moved, coarse, level)).abs().amax(1) > 0
    assert changed[0, 2, 3:10, 3:10].any()
    changed[0, 2, 3:10, 3:10] = False
    assert not changed.any()


def still_clips(clips=192, steps=12):
    """Latents of unit variance of which a share moves, as float64 [B, 4, T, 6, 6]."""
    generator = torch.Generator().manual_seed(0)
    stands = torch.randn(clips, 4, 1, 6, 6, generator=generator, dtype=torch.float64)
    moves = torch.randn(clips, 4, steps, 6, 6, generator=generator, dtype=torch.float64)
    return (1 - MOVING) ** 0.5 * stands, MOVING**0.5 * moves, generator


@pytest.mark.parametrize("sigma", [0.8, 0.5, 0.1])
def test_estimates_have_the_least_error_of_all_multiples(sigma):
    """A linear estimate is best where its error is uncorrelated with it (orthogonality principle)."""
    stands, moves, generator = still_clips()
    clean = stands + moves
    noisy = (1 - sigma) * clean + sigma * torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    level = torch.full((len(clean), 1, 1, 1, 1), sigma, dtype=torch.float64)
    for made, true in ((alone(noisy, level), clean), (standing_still(noisy, level), stands.expand_as(clean))):
        best = (made * true).mean() / made.square().mean()
        assert abs(best - 1) < 0.05
    per_step = (standing_still(noisy, level)[:, :, 0] - stands[:, :, 0]).square().mean()
    assert per_step < 0.9 * (alone(noisy, level)[:, :, 0] - stands[:, :, 0]).square().mean()


def test_the_estimate_of_what_stands_still_weighs_each_time_step_by_its_noise():
    stands, moves, generator = still_clips()
    level = torch.rand(len(stands), 1, 12, 1, 1, generator=generator, dtype=torch.float64)
    noise = torch.randn(moves.shape, generator=generator, dtype=torch.float64)
    noisy = (1 - level) * (stands + moves) + level * noise
    weighed, alike = standing_still(noisy, level), standing_still(noisy, level.mean(2, keepdim=True))
    assert (weighed - stands).square().mean() < 0.9 * (alike - stands).square().mean()
    certain = level.clone()
    certain[:, :, 3] = 1.0  # says nothing
    other = noisy.clone()
    other[:, :, 3] = 100.0
    assert torch.equal(standing_still(noisy, certain), standing_still(other, certain))


def test_no_chunk_sees_another():
    stands, moves, _ = still_clips(2)
    noisy, chunks = stands + moves, torch.arange(12) // 5 + 7
    level = torch.rand(2, 1, 12, 1, 1, dtype=torch.float64)
    made = standing_still(noisy, level, chunks)
    for chunk in (7, 8, 9):
        own = chunks == chunk
        torch.testing.assert_close(made[:, :, own], standing_still(noisy[:, :, own], level[:, :, own]))


def test_with_estimates_nothing_passes_from_chunk_to_chunk():
    torch.manual_seed(0)
    head = DetailHead(4, 3, 8, estimates=True).double()
    noisy, coarse = torch.randn(2, 4, 9, 8, 8).double(), torch.randn(2, 7, 9, 8, 8).double()
    level, chunks = torch.rand(2, 1, 9, 1, 1).double(), torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2])
    moved = noisy.clone()
    moved[:, :, 4] += 1
    with torch.no_grad():
        whole, other = head(noisy, coarse, level, chunks), head(moved, coarse, level, chunks)
        own = slice(3, 7)
        part = head(noisy[:, :, own], coarse[:, :, own], level[:, :, own])
    changed = (whole - other).abs().amax((0, 1, 3, 4)) > 0
    assert changed.tolist() == (chunks == 1).tolist()
    torch.testing.assert_close(whole[:, :, own], part)


def test_with_estimates_a_fresh_network_predicts_zero_and_learns_to_pass_on_what_has_no_noise(refined, draw):
    video, audio = replace(refined.video, estimates=True), replace(refined.audio, estimates=True)
    torch.manual_seed(0)
    inputs, model = draw(), AVTransformer(replace(refined, video=video, audio=audio))
    with torch.no_grad():
        made = model(*inputs)
    assert not made.video.any()
    assert not made.audio.any()
    sigma = inputs.sigma.map(lambda level: torch.full_like(level, 0.01))
    trained = torch.optim.Adam([*model.video.detail.parameters(), *model.audio.trust.parameters()], 0.03)
    for _ in range(60):
        made = model(inputs.latents, sigma, inputs.text, inputs.positions)
        video, audio = (getattr(made, s) - getattr(inputs.latents, s) for s in ("video", "audio"))
        loss = video.square().mean() + audio.square().mean()
        trained.zero_grad(), loss.backward(), trained.step()
    assert video.square().mean() < 0.02 * inputs.latents.video.square().mean()
    assert audio.square().mean() < 0.02 * inputs.latents.audio.square().mean()


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


@pytest.fixture
def estimated(refined):
    video = replace(refined.video, estimates=True, patch=(1, 4, 4))
    return replace(refined, video=video)


def test_a_local_denoiser_that_comes_later_changes_nothing_at_first(estimated, shake, draw):
    config = replace(estimated, video=replace(estimated.video, local=(6, 2)))
    wanted = config.video.local_config
    torch.manual_seed(0)
    network, alone_trained = shake(AVTransformer(estimated)).double(), shake(LocalDenoiser(replace(wanted, told=0)))
    later = AVTransformer(config).double()
    later.load_state_dict(with_local(network.state_dict(), alone_trained.state_dict(), wanted))
    inputs = draw()
    with torch.no_grad():
        before, after = network(*inputs), later(*inputs)
        torch.testing.assert_close(before.video, after.video, rtol=0, atol=1e-9)
        later.video.detail.trust.leave.bias.data[-1] += 1
        assert not torch.allclose(later(*inputs).video, before.video)


def test_a_local_denoiser_sees_what_moves_and_beats_estimates_that_are_linear():
    """One step to the right at each time step: the noise of a moving dot averages out along its way."""
    generator = torch.Generator().manual_seed(0)
    denoiser, sigma = LocalDenoiser(LocalConfig(1, 2, 16, 3)), 0.5
    torch.manual_seed(0)
    optimiser = torch.optim.Adam(denoiser.parameters(), 5e-3)

    def errors():
        first = torch.randn(8, 2, 1, 8, 8, generator=generator)
        clean = torch.cat([first.roll(step, -1) for step in range(6)], 2)
        level = torch.full((8, 1, 1, 1, 1), sigma)
        noisy = (1 - sigma) * clean + sigma * torch.randn(clean.shape, generator=generator)
        linear = alone(noisy, level), standing_still(noisy, level)
        return (denoiser(noisy, linear, level) - clean).square().mean(), (linear[0] - clean).square().mean()

    for _ in range(150):
        error, linear = errors()
        optimiser.zero_grad(), error.backward(), optimiser.step()
    assert error < 0.75 * linear
