"""A student's steps: what the network is told, and that a jump and its estimate are inverse."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from phonofilm.sampling import Denoiser, Guidance, Student, euler, flow_sigmas, jump_features
from phonofilm.sampling.student import JUMP, estimate_of, jump_of
from phonofilm.types import Grid, Latents, Text

POSITIONS = Grid.of(1).positions()
TEXT = Text(torch.zeros(2, 1, 4), torch.ones(2, 1, dtype=torch.bool))


def some(seed: int) -> Latents:
    draw = torch.Generator().manual_seed(seed)
    video = torch.randn(2, 3, 4, 2, 2, generator=draw, dtype=torch.float64)
    return Latents(video, torch.randn(2, 1, 5, 6, generator=draw, dtype=torch.float64))


def levels(value: float) -> Latents:
    return Latents(torch.full((2, 1, 1, 1, 1), value).double(), torch.full((2, 1, 1, 1), value).double())


def test_a_jump_and_the_estimate_that_leads_there_are_inverse():
    x, clean = some(1), some(2)
    arrived = jump_of(x, clean, levels(0.8), levels(0.3))
    back = estimate_of(x, arrived, levels(0.8), levels(0.3))
    torch.testing.assert_close(back.video, clean.video)
    torch.testing.assert_close(back.audio, clean.audio)
    given = jump_of(x, clean, levels(0.0), levels(0.0))
    assert torch.equal(given.video, x.video)


def test_two_halves_of_a_straight_line_are_the_whole():
    x, clean = some(1), some(2)
    half = jump_of(x, clean, levels(0.8), levels(0.5))
    arrived = jump_of(half, clean, levels(0.5), levels(0.2))
    torch.testing.assert_close(arrived.audio, jump_of(x, clean, levels(0.8), levels(0.2)).audio)


def test_the_network_is_told_its_guidance_and_how_long_each_step_is():
    told, sigmas = [], flow_sigmas(4, 3.0)

    def network(x, sigma, text, positions, *, conditions):
        told.append(conditions[JUMP])
        return x

    guidance = Guidance((1.5, 2.0), (1.0, 3.0))
    student = Student(Denoiser(network), TEXT, POSITIONS, tuple(sigmas.tolist()), guidance)
    euler(student, some(1).map(torch.Tensor.float), sigmas)
    assert len(told) == 4
    lengths = [float(1 - b / a) for a, b in pairwise(sigmas)]
    for features, length in zip(told, lengths, strict=True):
        torch.testing.assert_close(features, jump_features(guidance, torch.tensor([length, length])))
    torch.testing.assert_close(told[0][0, 0, :4], torch.tensor([1.5, 2.0, 1.0, 3.0]).log())


def test_a_negative_prompt_steers_with_a_second_pass():
    sigmas = flow_sigmas(2, 3.0)

    def network(x, sigma, text, positions, *, conditions):
        assert not conditions[JUMP][:, :, :2].any()  # no guidance by the empty prompt on top
        return x.map(lambda v: torch.full_like(v, float(text.states.mean())))

    negative = Text(TEXT.states - 1, TEXT.mask)
    student = Student(
        Denoiser(network), TEXT, POSITIONS, tuple(sigmas.tolist()), Guidance((3.0, 1.0)), negative=negative
    )
    found = student(some(1), levels(1.0))
    assert (found.video == 0 + 2 * (0 - -1)).all()
    assert (found.audio == 0).all()


def test_spatio_temporal_guidance_is_refused():
    with pytest.raises(ValueError, match="spatio-temporal"):
        Student(Denoiser(lambda *_: None), TEXT, POSITIONS, (1.0, 0.0), Guidance(stg=(1.0, 0.0), stg_blocks=(1,)))
