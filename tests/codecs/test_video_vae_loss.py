"""The video codec's loss: what it weighs, what it holds the latents to, and that learning works."""

import pytest
import torch
from torch import Tensor

from phonofilm.codecs.video_loss import VideoLossConfig, importance, video_loss
from phonofilm.codecs.video_vae import VideoVAE, VideoVAEConfig

SMALL = VideoVAEConfig(channels=4, widths=(16, 24), encoder_depths=(0, 1), decoder_depths=(0, 1))


def discs(count: int, generator: torch.Generator, frames: int = 5, side: int = 32) -> Tensor:
    """Coloured discs, each moving at its own constant speed: [B, 3, T, side, side] in [-1, 1]."""

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, 1, 1, generator=generator) * (high - low) + low

    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    t = torch.arange(frames).view(1, -1, 1, 1)
    centre_x, centre_y = (draw(8, side - 8, 1) + draw(-4, 4, 1) * t for _ in range(2))
    inside = (draw(3, 6, 1) - ((x - centre_x) ** 2 + (y - centre_y) ** 2).sqrt() + 0.5).clamp(0, 1).unsqueeze(1)
    ground, colour = draw(-1, 1, 3, 1), draw(-1, 1, 3, 1)
    return ground * (1 - inside) + colour * inside


def test_what_moves_weighs_more_than_what_stands_still() -> None:
    frames = torch.zeros(1, 3, 3, 16, 16)
    frames[:, :, :, 2:4, 2:4] = 1
    frames[:, :, 1, 10:12, 10:12] = 1
    weight = importance(frames, motion=4, edge=2)
    assert weight.shape == (1, 1, 3, 16, 16)
    assert weight.mean().item() == pytest.approx(1)
    assert weight[0, 0, 1, 10, 10] > weight[0, 0, 1, 3, 3] > 0
    assert weight[0, 0, 0, 10, 10] > weight[0, 0, 0, 15, 0], "where a thing will be matters before it is there"
    assert (importance(frames, 0, 0) == 1).all()


def test_a_single_still_frame_has_a_loss() -> None:
    frames = torch.zeros(1, 3, 1, 16, 16)
    loss, metrics = video_loss(VideoVAE(SMALL), frames, torch.Generator().manual_seed(0))
    assert loss.isfinite()
    assert metrics["change"] == 0


def test_the_generator_alone_decides_the_noise() -> None:
    model, frames = VideoVAE(SMALL), torch.rand(1, 3, 3, 16, 16)
    once, again, other = (video_loss(model, frames, torch.Generator().manual_seed(s))[0] for s in (1, 1, 2))
    assert once == again
    assert once != other


def test_loud_latents_have_a_price() -> None:
    model, frames = VideoVAE(SMALL), torch.rand(1, 3, 3, 16, 16)
    loud = VideoLossConfig(power=1e3)
    calm, _ = video_loss(model, frames, torch.Generator().manual_seed(0), loud)
    with torch.no_grad():
        model.encoder.out.weight *= 30
    shouting, metrics = video_loss(model, frames, torch.Generator().manual_seed(0), loud)
    assert metrics["power"] > 1
    assert shouting > 10 * calm


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    model = VideoVAE(SMALL)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    loss, _ = video_loss(model, discs(2, torch.Generator().manual_seed(0)), torch.Generator().manual_seed(0))
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_it_learns_moving_discs() -> None:
    torch.manual_seed(0)
    model, generator = VideoVAE(SMALL), torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    psnr = []
    for _ in range(100):
        loss, metrics = video_loss(model, discs(8, generator), generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        psnr.append(float(metrics["psnr"]))
    first, last = sum(psnr[:5]) / 5, sum(psnr[-5:]) / 5
    assert last > first + 6, (first, last)
    assert metrics["power"] < 2
