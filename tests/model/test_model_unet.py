"""The U-Net has the transformer's interface."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from phonofilm.model import PRESETS, UNET_PRESETS, AVTransformer, UNet3D, UNetConfig
from phonofilm.model.unet import TowerConfig
from phonofilm.types import Latents


@pytest.fixture
def small() -> UNetConfig:
    video, audio = TowerConfig(8, (16, 32), patch=2, depth=1), TowerConfig(64, (16, 32), patch=1, depth=1)
    return UNetConfig(video, audio, text_width=24, embedding=32)


def test_it_trains_every_parameter(small, shake, draw):
    model, inputs = shake(UNet3D(small)), draw()
    made = model(*inputs)
    assert made.video.shape == inputs.latents.video.shape
    assert made.audio.shape == inputs.latents.audio.shape
    (made.video.square().sum() + made.audio.square().sum()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_an_untrained_one_predicts_zero(small, draw):
    made = UNet3D(small)(*draw())
    assert not made.video.any()
    assert not made.audio.any()


def test_streams_meet_only_where_they_may(small, shake, draw):
    model, inputs, other = shake(UNet3D(small)), draw(), draw(seed=5)
    off = torch.tensor([True, False])
    mixed = Latents(inputs.latents.video, other.latents.audio)
    before = model(*inputs, exchange=off).video
    after = model(mixed, inputs.sigma, inputs.text, inputs.positions, exchange=off).video
    assert_close(before[1], after[1], rtol=0, atol=0)
    assert (before[0] - after[0]).abs().max() > 1e-4
    alone = model(Latents(video=inputs.latents.video), inputs.sigma, inputs.text, inputs.positions)
    assert alone.audio is None
    assert_close(alone.video[1], before[1], atol=1e-5, rtol=1e-5)


def test_noise_levels_spelled_out_change_nothing(small, shake, draw):
    model, inputs = shake(UNet3D(small)), draw()
    full = Latents(inputs.sigma.video.expand(-1, -1, -1, 8, 8), inputs.sigma.audio)
    made = model(inputs.latents, full, inputs.text, inputs.positions)
    expected = model(*inputs)
    assert_close(made.video, expected.video, atol=1e-5, rtol=1e-5)
    assert_close(made.audio, expected.audio, atol=1e-5, rtol=1e-5)


def test_it_runs_in_bfloat16(small, shake, draw):
    model, inputs = shake(UNet3D(small)), draw()
    exact = model(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        cast = model(*inputs)
    for made in (cast, model.bfloat16()(*inputs)):
        assert (made.video - exact.video).abs().max() < 0.1 * exact.video.abs().max()


def test_it_is_as_large_as_nano():
    sizes = [
        sum(p.numel() for p in m.parameters()) for m in (UNet3D(UNET_PRESETS["nano"]), AVTransformer(PRESETS["nano"]))
    ]
    assert 0.9 < sizes[0] / sizes[1] < 1.1


def test_what_does_not_fit_is_refused(small, draw):
    model, inputs = UNet3D(small), draw()
    with pytest.raises(ValueError, match="both streams are absent"):
        model(Latents(), inputs.sigma, inputs.text, inputs.positions)
    with pytest.raises(ValueError, match="no input"):
        model(*inputs, conditions={"onsets": torch.zeros(1)})
    with pytest.raises(ValueError, match="same number of levels"):
        UNetConfig(small.video, TowerConfig(64, (16,), patch=1, depth=1))
