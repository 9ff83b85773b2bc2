"""What the video autoencoder is trained on: every pixel, and above all those that move."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from phonofilm.codecs.kept import Kept
from phonofilm.codecs.video_vae import VideoVAE


@dataclass(frozen=True)
class VideoLossConfig:
    """Weights of the parts of the loss.

    Attributes:
        motion: how much more a moving pixel counts than a still one.
        edge: how much more a pixel on an edge counts.
        square: weight of the squared error beside the absolute one.
        change: weight of the error of frame-to-frame differences.
        gradient: weight of the error of differences between neighbouring pixels.
        power: weight of the price of latents over unit power.
        keep: weight of the squared error of latents that must stay what they were.
    """

    motion: float = 4.0
    edge: float = 2.0
    square: float = 2.0
    change: float = 0.5
    gradient: float = 0.0
    power: float = 0.1
    keep: float = 2.0


def video_loss(
    model: VideoVAE,
    frames: Tensor,
    generator: torch.Generator,
    config: VideoLossConfig = VideoLossConfig(),
    kept: Kept | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The training loss of frames [B, 3, 1 + 2·n, H, W] in [-1, 1], and what to log.

    The posterior has a fixed width: the latents are a channel of limited power (one per latent
    channel, on average over the batch) with white noise of `model.config.noise`, whose capacity
    ½·log₂(1 + 1/noise²) bits the encoder has to spend well. So latents stay near unit variance, and
    the decoder stands errors of that size, which is what a generator's latents have.
    """
    raw, _ = model.encode_raw(frames)
    raw = raw.float()
    noise = torch.randn(raw.shape, generator=generator, device=generator.device).to(raw)
    decoded, _ = model.decode_raw(raw + model.config.noise * noise)
    error = decoded.float() - frames
    weight = importance(frames, config.motion, config.edge)
    picture = (weight * (error.abs() + config.square * error.square())).mean()
    change = error.diff(dim=2).abs().mean() if frames.shape[2] > 1 else error.new_zeros(())
    power = raw.square().mean(dim=(0, 2, 3, 4))
    over = F.relu(power - 1).square().mean()
    loss = picture + config.change * change + config.power * over
    if config.gradient:
        loss = loss + config.gradient * gradient_error(error, weight)
    with torch.no_grad():
        metrics = {
            "picture": picture,
            "change": change,
            "power": power.mean(),
            "psnr": -10 * torch.log10(error.square().mean() / 4),
        }
    if kept is not None:
        metrics["kept"] = kept.distance(raw, rearrange(model.latent_std, "c -> c 1 1 1"))
        loss = loss + config.keep * metrics["kept"]
    return loss, metrics


def gradient_error(error: Tensor, weight: Tensor) -> Tensor:
    """Mean weighted absolute differences of an error [B, 3, T, H, W] between neighbouring pixels, down and right."""
    down = (weight[..., 1:, :] * error.diff(dim=3).abs()).mean()
    right = (weight[..., 1:] * error.diff(dim=4).abs()).mean()
    return down + right


@torch.no_grad()
def importance(frames: Tensor, motion: float, edge: float) -> Tensor:
    """Weight of each pixel, [B, 1, T, H, W], of mean 1 in each clip.

    Small fast things cover few pixels, and an unweighted loss gives them up first. A pixel counts more
    where the frame before or after differs from this one (so where a thing is, was and will be), and
    where brightness changes in space.
    """
    weight = 1 + motion * _saturate(moving(frames)) + edge * _saturate(edges(frames))
    return weight / weight.mean(dim=(2, 3, 4), keepdim=True)


def moving(frames: Tensor) -> Tensor:
    """The greater of the absolute differences to the frame before and to the frame after, [B, 1, T, H, W]."""
    difference = frames.diff(dim=2).abs().amax(dim=1, keepdim=True)
    return torch.maximum(F.pad(difference, (0, 0, 0, 0, 1, 0)), F.pad(difference, (0, 0, 0, 0, 0, 1)))


def edges(frames: Tensor) -> Tensor:
    """Absolute differences to the next pixel, down and to the right, summed, [B, 1, T, H, W]."""
    down = F.pad(frames.diff(dim=3).abs().amax(dim=1, keepdim=True), (0, 0, 0, 1))
    right = F.pad(frames.diff(dim=4).abs().amax(dim=1, keepdim=True), (0, 1))
    return down + right


def _saturate(difference: Tensor) -> Tensor:
    """0 for differences that are noise, 1 for a clearly visible one, whatever its contrast."""
    return (difference / 0.2).clamp(max=1)
