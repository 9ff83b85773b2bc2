"""A denoiser of a picture's latents that sees a few of their neighbours, in space and in time, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from phonofilm.model.detail.config import LocalConfig
from phonofilm.model.detail.steps import filled_up


class LocalDenoiser(nn.Module):
    """Estimates what is clean from the noisy latents around it, where things move too.

    A ball at any place of a patch, in any colour, has more directions than a token is wide; convolutions see it
    wherever it is. Latents of 2x2 places and of the time steps of one token are the channels of one place, and blocks
    of a spatial and a temporal convolution (Tran et al., 1711.11248) follow. It adds to the estimate of each latent
    alone, and can be trained by itself (`training.tasks.local`), several times as fast as the network around it.
    """

    def __init__(self, config: LocalConfig) -> None:
        super().__init__()
        self.config = config
        self.steps, grouped, width = config.steps, config.steps * 4, config.width
        self.enter = nn.Linear((3 * config.channels + 1) * grouped, width)
        self.told = nn.Linear(config.told * grouped, width, bias=False) if config.told else None
        self.spatial = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1) for _ in range(config.blocks)])
        self.temporal = nn.ModuleList([nn.Linear(3 * width, width) for _ in range(config.blocks)])
        self.leave = nn.Linear(width, config.channels * grouped)

    def start_as_zero(self) -> None:
        """Be the estimate of each latent alone, whatever is told."""
        for layer in (self.leave, self.told):
            for parameter in () if layer is None else layer.parameters():
                nn.init.zeros_(parameter)

    def forward(
        self,
        noisy: Tensor,
        estimates: tuple[Tensor, Tensor],
        sigma: Tensor,
        told: Tensor | None = None,
        chunks: Tensor | None = None,
        starts: bool = True,
    ) -> Tensor:
        """Noisy latents [B, C, T, H, W] to what is clean, in the same shape; H and W are even.

        Args:
            estimates: `alone` and `standing_still` of the latents (`model.detail.estimates`).
            sigma: noise levels that broadcast to [B, 1, T, H, W].
            told: [B, D, T, H, W] what else is known of each place.
            chunks: int64 [T], the chunk of each time step where none may see another's; None where all see all.
            starts: as for `patchify`.
        """
        dtype, time = estimates[0].dtype, noisy.shape[2]
        level = ((1.001 - sigma) / (sigma + 0.001)).log().to(dtype) / 4
        seen = torch.cat([noisy.to(dtype), *estimates, level.expand(-1, -1, *noisy.shape[2:])], 1)
        x = self.enter(self._grouped(seen, starts))
        if told is not None and self.told is not None:
            x = x + self.told(self._grouped(told, starts))
        same = _same_chunk(chunks, self.steps, x.shape[1])
        for spatial, temporal in zip(self.spatial, self.temporal, strict=True):
            x = x + temporal(_beside(F.gelu(_convolved(spatial, F.gelu(x))), same))
        back = "b t h w (c p q r) -> b c (t p) (h q) (w r)"
        return estimates[0] + rearrange(self.leave(F.gelu(x)), back, p=self.steps, q=2, r=2)[:, :, -time:]

    def _grouped(self, x: Tensor, starts: bool) -> Tensor:
        pattern = "b c (t p) (h q) (w r) -> b t h w (c p q r)"
        return rearrange(filled_up(x, self.steps, starts), pattern, p=self.steps, q=2, r=2)


def _convolved(layer: nn.Module, x: Tensor) -> Tensor:
    """A 2D convolution of [B, T, H, W, C]."""
    batch = len(x)
    x = layer(rearrange(x, "b t h w c -> (b t) c h w"))
    return rearrange(x, "(b t) c h w -> b t h w c", b=batch)


def _same_chunk(chunks: Tensor | None, steps: int, groups: int) -> Tensor | None:
    """[T - 1], 1 where a group of time steps and the next are of one chunk, else 0; None where all are."""
    if chunks is None:
        return None
    last = chunks.flip(0)[::steps][:groups].flip(0)  # a group is of one chunk, whose last time step is always there
    return last[1:] == last[:-1]


def _beside(x: Tensor, same: Tensor | None) -> Tensor:
    """[B, T, H, W, C] with what comes before and after it, [B, T, H, W, 3·C]; zero where there is nothing to see."""
    before, after = F.pad(x[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0)), F.pad(x[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1))
    if same is not None:
        seen = same.to(x.dtype)[:, None, None, None]
        before, after = before * F.pad(seen, (0, 0) * 3 + (1, 0)), after * F.pad(seen, (0, 0) * 3 + (0, 1))
    return torch.cat([before, x, after], -1)


def with_local(tensors: Mapping[str, Tensor], local: Mapping[str, Tensor], config: LocalConfig) -> dict[str, Tensor]:
    """Weights of a network whose picture has two estimates, with a local denoiser as its third, not trusted yet.

    Outputs stay as they are, whatever the noise level.

    Args:
        tensors: of the network. local: of a `LocalDenoiser` that nothing is told. config: of it as the network has it.
    """
    found, channels = dict(tensors), config.channels
    head = "video.detail."
    enter = tensors[f"{head}enter.weight"]
    before = enter.shape[1] - 2 * channels  # the estimates' neighbours in time come last
    room = enter.new_zeros(len(enter), channels, *enter.shape[2:])
    found[f"{head}enter.weight"] = torch.cat([enter[:, :before], room, enter[:, before:]], 1)
    for name in (f"{head}leave.weight", f"{head}leave.bias", f"{head}trust.leave.weight", f"{head}trust.leave.bias"):
        found[name] = torch.cat([tensors[name], tensors[name].new_zeros(channels, *tensors[name].shape[1:])])
    found |= {f"{head}local.{name}": tensor.to(enter.dtype) for name, tensor in local.items()}
    if config.told:
        found[f"{head}local.told.weight"] = enter.new_zeros(config.width, config.told * config.steps * 4)
    return found
