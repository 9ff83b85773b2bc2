"""One parameterisation for training and sampling."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phonofilm.sampling import Denoiser, LossConfig, add_noise, draw_noise
from phonofilm.types import Latents, Positions, Text

POSITIONS = Positions(np.zeros((0, 3, 2)), np.zeros((0, 1, 2)))
TEXT = Text(torch.zeros(2, 1, 4), torch.ones(2, 1, dtype=torch.bool))
CLEAN = Latents(draw_noise((3, 4, 2, 2), [0, 1], "a"), draw_noise((5, 6), [0, 1], "b"))
NOISE = Latents(draw_noise((3, 4, 2, 2), [2, 3], "a"), draw_noise((5, 6), [2, 3], "b"))
LEVELS = Latents(
    torch.tensor([[0.0, 0.1, 0.5, 1.0], [0.9, 0.9, 0.0, 0.9]])[:, None, :, None, None],
    torch.tensor([[0.4] * 6, [0.0] * 6])[:, None],
)


def constant(output: Latents):  # type: ignore[no-untyped-def]
    return lambda latents, sigma, text, positions, **options: output


@pytest.mark.parametrize("prediction", ["sample", "velocity"])
def test_a_perfect_network_has_no_loss(prediction: str) -> None:
    perfect = CLEAN if prediction == "sample" else CLEAN.map(lambda c, n: n - c, NOISE)
    denoiser = Denoiser(constant(perfect), prediction)  # type: ignore[arg-type]
    loss, parts = denoiser.loss(CLEAN, NOISE, LEVELS, TEXT, POSITIONS)
    assert loss.item() == pytest.approx(0, abs=1e-9)
    assert set(parts) == {"video", "audio"}
    estimate = denoiser(add_noise(CLEAN, NOISE, LEVELS), LEVELS, TEXT, POSITIONS)
    torch.testing.assert_close(estimate.video, CLEAN.video)


def test_noise_leaves_clean_positions_bit_for_bit() -> None:
    noisy = add_noise(CLEAN, NOISE, LEVELS)
    assert torch.equal(noisy.video[0, :, 0], CLEAN.video[0, :, 0])
    assert torch.equal(noisy.audio[1], CLEAN.audio[1])
    torch.testing.assert_close(noisy.video[0, :, 3], NOISE.video[0, :, 3])
    torch.testing.assert_close(noisy.audio[0], 0.6 * CLEAN.audio[0] + 0.4 * NOISE.audio[0])


def test_only_noisy_positions_count_each_by_its_weight() -> None:
    wrong = CLEAN.map(lambda c: c + 1.0)
    _, parts = Denoiser(constant(wrong)).loss(CLEAN, NOISE, LEVELS, TEXT, POSITIONS)
    weights = [1 / 0.25, 1 / 0.5, 1.0, 1 / 0.9, 1 / 0.9, 1 / 0.9]
    assert parts["video"].item() == pytest.approx(sum(weights) / len(weights), rel=1e-5)
    assert parts["audio"].item() == pytest.approx(1 / 0.4, rel=1e-5)


def test_streams_are_weighed_and_may_be_absent_or_wholly_given() -> None:
    wrong = CLEAN.map(lambda c: c + 1.0)
    ones = Latents(torch.ones(2, 1, 1, 1, 1), torch.ones(2, 1, 1))
    config = LossConfig(video=0.5, audio=2.0)
    assert Denoiser(constant(wrong)).loss(CLEAN, NOISE, ones, TEXT, POSITIONS, config)[0].item() == pytest.approx(2.5)
    given = Latents(torch.zeros(2, 1, 1, 1, 1), torch.ones(2, 1, 1))
    assert Denoiser(constant(wrong)).loss(CLEAN, NOISE, given, TEXT, POSITIONS, config)[0].item() == pytest.approx(2.0)
    sound = Latents(None, wrong.audio)
    loss, parts = Denoiser(constant(sound)).loss(
        Latents(None, CLEAN.audio), Latents(None, NOISE.audio), Latents(None, ones.audio), TEXT, POSITIONS
    )
    assert loss.item() == pytest.approx(1.0)
    assert set(parts) == {"audio"}


def test_gradients_stay_finite_where_all_is_given() -> None:
    output = CLEAN.map(lambda c: (c + 1).requires_grad_())
    zero = Latents(torch.zeros(2, 1, 1, 1, 1), torch.zeros(2, 1, 1))
    loss, _ = Denoiser(constant(output)).loss(CLEAN, NOISE, zero, TEXT, POSITIONS)
    loss.backward()
    assert loss.item() == 0
    assert (output.video.grad == 0).all()
