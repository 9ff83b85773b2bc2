"""Noise levels and noise."""

from __future__ import annotations

import math

import pytest
import torch

from phonofilm.sampling import draw_noise, flow_sigmas, token_shift


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0, 12.0])
@pytest.mark.parametrize("steps", [1, 2, 24])
def test_levels_fall_from_one_to_zero(steps: int, shift: float) -> None:
    sigmas = flow_sigmas(steps, shift)
    assert sigmas[0] == 1
    assert sigmas[-1] == 0
    assert (sigmas.diff() < 0).all()
    assert len(sigmas) == steps + 1


def test_a_shift_moves_the_middle_as_published() -> None:
    """Esser et al. 2024, eq. 23, at sigma 1/2; shifts compose by multiplication."""
    assert flow_sigmas(2, 3.0)[1] == pytest.approx(0.75)
    sigma = flow_sigmas(7, 2.0)
    torch.testing.assert_close(1.5 * sigma / (1 + 0.5 * sigma), flow_sigmas(7, 3.0))


def test_terminal_is_the_last_level_before_zero() -> None:
    sigmas = flow_sigmas(8, 2.0, terminal=0.1)
    assert sigmas[-2] == pytest.approx(0.1)
    assert sigmas[0] == 1
    assert (sigmas.diff() < 0).all()


def test_token_shift_goes_through_the_published_points() -> None:
    assert token_shift(1024) == pytest.approx(math.exp(0.95))
    assert token_shift(4096) == pytest.approx(math.exp(2.05))
    assert token_shift(256, (256, 0.5), (4096, 1.15)) == pytest.approx(math.exp(0.5))


@pytest.mark.parametrize(("steps", "shift"), [(0, 1.0), (4, 0.0)])
def test_impossible_schedules_are_refused(steps: int, shift: float) -> None:
    with pytest.raises(ValueError, match=r"must be positive|at least 1"):
        flow_sigmas(steps, shift)


def test_noise_depends_on_seed_and_stream_alone() -> None:
    pair = draw_noise((4, 50), [7, 8], "video")
    assert torch.equal(pair[1], draw_noise((4, 50), [8], "video")[0])
    assert pair.dtype == torch.float32
    sound = draw_noise((4, 50), [7], "audio")[0]
    assert abs(float((pair[0] * sound).mean())) < 0.3  # one number, two independent noises
    assert not torch.equal(pair[0], sound)


def test_noise_is_standard_normal() -> None:
    values = draw_noise((100_000,), [1], "video")
    assert float(values.mean()) == pytest.approx(0, abs=0.02)
    assert float(values.std()) == pytest.approx(1, abs=0.02)
