"""Samplers against flows whose solution is known."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from phonofilm.choices import SamplerName
from phonofilm.errors import Cancelled
from phonofilm.sampling import SAMPLERS, Given, Watch, draw_noise, euler, flow_sigmas, steps_for, unipc
from phonofilm.types import Latents

MEAN, SPREAD = 0.7, 0.4


def gaussian(x: Latents, sigma: Latents) -> Latents:
    """The exact denoiser of data that is N(MEAN, SPREAD²) in every position."""

    def one(noisy: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        level = level.double()
        gain = (1 - level) * SPREAD**2 / ((1 - level) ** 2 * SPREAD**2 + level**2)
        return MEAN + gain * (noisy - (1 - level) * MEAN)

    return x.map(one, sigma)


def noise(batch: int = 2) -> Latents:
    seeds = list(range(batch))
    video = draw_noise((3, 4, 2, 2), seeds, "video").double()
    return Latents(video, draw_noise((5, 6), seeds, "audio").double())


def error(name: str, steps: int, shift: float = 1.0) -> float:
    start = noise()
    made = SAMPLERS[name](gaussian, start, flow_sigmas(steps, shift))
    exact = start.map(lambda z: MEAN + SPREAD * z)
    return max(float((made.video - exact.video).abs().max()), float((made.audio - exact.audio).abs().max()))


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("heun", 2), ("multistep", 2)])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_order_of_convergence(name: str, order: int, shift: float) -> None:
    """Twice the steps divide the error by 2 to the order."""
    ratio = error(name, 256, shift) / error(name, 512, shift)
    assert 2**order * 0.9 < ratio < 2**order * 1.15


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_known_clip_is_reached_from_any_noise(name: str) -> None:
    target = noise(1)
    for steps in (1, 3):
        made = SAMPLERS[name](lambda x, sigma: target, noise(1), flow_sigmas(steps, 2.0))
        torch.testing.assert_close(made.video, target.video, atol=1e-12, rtol=0)
        torch.testing.assert_close(made.audio, target.audio, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", SAMPLERS)
def test_given_positions_come_out_bit_for_bit_and_are_seen_clean(name: str) -> None:
    generator = torch.Generator().manual_seed(3)
    start = noise()
    values = start.map(lambda z: torch.randn(z.shape, generator=generator).double() * 1e3)
    mask = Latents(torch.rand(2, 1, 4, 2, 1, generator=generator) < 0.5, torch.rand(2, 1, 6, generator=generator) < 0.5)
    seen = []

    def denoise(x: Latents, sigma: Latents) -> Latents:
        seen.append((x, sigma))
        return x.map(lambda v: v * 0.3 + 1.1)

    made = SAMPLERS[name](denoise, start, flow_sigmas(5), Given(values, mask))
    for stream in ("video", "audio"):
        kept, given = getattr(values, stream), getattr(mask, stream).expand_as(getattr(values, stream))
        assert torch.equal(getattr(made, stream)[given], kept[given])
        assert not torch.isclose(getattr(made, stream)[~given], kept[~given]).any()
        for x, sigma in seen:
            assert torch.equal(getattr(x, stream)[given], kept[given])
            level = getattr(sigma, stream).expand_as(kept)
            assert (level[given] == 0).all()
            assert (level[~given] > 0).all()


def test_one_stream_may_be_absent_or_given_as_a_whole() -> None:
    start = noise()
    alone = euler(gaussian, Latents(None, start.audio), flow_sigmas(8))
    assert alone.video is None
    whole = Given(start, Latents(torch.ones(2, 1, 1, 1, 1, dtype=torch.bool), torch.zeros(2, 1, 1, dtype=torch.bool)))
    foley = euler(gaussian, start, flow_sigmas(8), whole)
    assert torch.equal(foley.video, start.video)
    assert torch.equal(foley.audio, alone.audio)


@pytest.mark.parametrize("name", SAMPLERS)
def test_progress_counts_evaluations_and_cancel_stops(name: str) -> None:
    steps = steps_for(name, 9)
    calls: list[tuple[int, int]] = []
    SAMPLERS[name](gaussian, noise(), flow_sigmas(steps), watch=Watch(lambda done, total: calls.append((done, total))))
    assert calls == [(i + 1, 9) for i in range(9)]

    calls.clear()
    watch = Watch(lambda done, total: calls.append((done, total)), lambda: len(calls) == 4)
    with pytest.raises(Cancelled, match="4 of 9"):
        SAMPLERS[name](gaussian, noise(), flow_sigmas(steps), watch=watch)
    assert len(calls) == 4


def test_steps_for_never_costs_more_than_asked() -> None:
    assert [steps_for("heun", n) for n in (1, 2, 3, 24, 25)] == [1, 1, 2, 12, 13]
    assert steps_for("euler", 24) == 24


def test_second_order_needs_fewer_evaluations_for_the_same_error() -> None:
    assert error("heun", steps_for("heun", 64)) < error("euler", 64) / 4
    assert error("multistep", steps_for("multistep", 16)) < error("euler", 16) / 4


def test_a_request_can_name_every_sampler():
    assert get_args(SamplerName) == tuple(SAMPLERS)


class TestUniPC:
    @pytest.mark.parametrize("steps", [1, 2, 3, 7, 20])
    @pytest.mark.parametrize("shift", [1.0, 12.0])
    def test_is_that_of_diffusers(self, steps: int, shift: float) -> None:
        """Its scheduler is what Wan's published folders name."""
        diffusers = pytest.importorskip("diffusers", reason="public models need the extra: pip install -e '.[public]'")
        theirs = diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
        )
        theirs.set_timesteps(steps)
        start = noise().video
        x = start
        for number, t in enumerate(theirs.timesteps):
            sigma = Latents(theirs.sigmas[number].double().view(1, 1, 1, 1, 1))
            x = theirs.step((x - gaussian(Latents(x), sigma).video) / sigma.video, t, x).prev_sample
        ours = unipc(gaussian, Latents(start), theirs.sigmas.double()).video
        torch.testing.assert_close(ours, x.double(), atol=2e-5, rtol=1e-5)

    def test_is_of_second_order(self) -> None:
        assert error("unipc", 128) < error("unipc", 32) / 8
        assert error("unipc", 32) < error("euler", 32) / 8
