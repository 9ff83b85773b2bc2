"""What tokens of many latents cannot hold: work at the latents' own resolution, on the way in and out."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from phonofilm.model.detail.estimates import alone, standing_still
from phonofilm.model.detail.local import LocalDenoiser
from phonofilm.model.detail.steps import filled_up


class DetailEntry(nn.Module):
    """Adds to the tokens what small things do, wherever in the patch they are (Xiao et al., 2106.14881).

    A linear layer would need weights of its own for each place of a patch at which a spark may fly. The latents of one
    token's time are channels here and nothing looks ahead. Adds nothing until it is trained.

    Args:
        channels: of the latents. patch: latents to a token along (time, y, x); y and x in fours.
        widths: of the three convolutions. width: of the tokens.
    """

    def __init__(self, channels: int, patch: tuple[int, ...], widths: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.patch = patch
        first, second, third = widths
        self.fine = nn.Conv2d(channels * patch[0], first, 3, padding=1)
        self.middle = nn.Conv2d(first, second, 3, stride=2, padding=1)
        self.coarse = nn.Conv2d(second, third, 3, stride=2, padding=1)
        self.leave = nn.Linear(third * (patch[1] // 4) * (patch[2] // 4), width)

    def forward(self, latents: Tensor, starts: bool = True) -> Tensor:
        """[B, C, T, H, W] to [B, N, D], ordered time, row, column, as `patchify` orders tokens."""
        steps, high, wide = self.patch
        x = rearrange(filled_up(latents, steps, starts), "b c (t p) h w -> (b t) (p c) h w", p=steps)
        for layer in (self.fine, self.middle, self.coarse):
            x = F.gelu(layer(x))
        x = rearrange(x, "(b t) c (h p) (w q) -> b (t h w) (c p q)", b=len(latents), p=high // 4, q=wide // 4)
        return self.leave(x)


class DetailHead(nn.Module):
    """Refines what the tokens predict by looking at the noisy latents beside it.

    A token of width D spans D dimensions of its patch at most. At high noise the estimate of what is clean needs
    fewer; at low noise the rest can be read off the noisy latents themselves, next to their neighbours. Each time
    step is worked on by itself, so nothing here looks ahead (with `estimates`, nothing beyond its chunk).

    With `estimates` the prediction is drawn, as far as each noise level and place has learnt to, towards two best
    linear estimates of what is clean: from the noisy latent itself (the skip of EDM, Karras et al., 2206.00364), and,
    for what stands still, from the noisy latents of all time steps, whose noise averages out. The convolutions then see
    the first of the two one time step before and after as well. That is for networks that predict what is clean.

    Args:
        channels: of the latents. features: further channels that the tokens predict for this head alone.
        width: of the convolutions. estimates: whether it has those two.
        local: a third estimate, which is learnt; for those with estimates.
    """

    def __init__(
        self,
        channels: int,
        features: int,
        width: int,
        estimates: bool = False,
        local: LocalDenoiser | None = None,
    ) -> None:
        super().__init__()
        known = 2 + (local is not None) if estimates else 0
        seen = 2 + known + 2 * bool(known)
        self.enter = nn.Conv2d(seen * channels + features, width, 3, padding=1)
        self.middle = nn.Conv2d(width, width, 3, padding=1)
        self.leave = nn.Conv2d(width, (1 + known) * channels, 3, padding=1)
        self.trust = Trust(known * channels) if estimates else None
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # half the time of a step on a CPU
        self.local = local  # whose kernels stay as they are: Muon sees them as matrices

    def start_as_zero(self) -> None:
        """Add nothing, and trust the tokens alone."""
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)
        if self.trust is not None:
            self.trust.start_as_zero()
        if self.local is not None:
            self.local.start_as_zero()

    def forward(
        self, noisy: Tensor, coarse: Tensor, sigma: Tensor, chunks: Tensor | None = None, starts: bool = True
    ) -> Tensor:
        """noisy [B, C, T, H, W] and coarse [B, C + F, T, H, W] to the prediction [B, C, T, H, W].

        Args:
            sigma: noise levels that broadcast to [B, 1, T, H, W].
            chunks: int64 [T], the chunk of each time step where none may see another's; None where all see all.
            starts: as for `patchify`.
        """
        made = coarse[:, : noisy.shape[1]]
        if self.trust is None:
            return made + self._convolve(noisy.to(coarse.dtype), coarse)
        estimates = (alone(noisy, sigma), standing_still(noisy, sigma, chunks))
        known = [estimate.to(coarse.dtype) for estimate in estimates]
        if self.local is not None:
            known.append(self.local(noisy, (known[0], known[1]), sigma, coarse, chunks, starts))
        towards = [estimate - made for estimate in known]
        beside = beside_in_time(towards[0] + made, made, chunks)
        added, *gates = self._convolve(noisy.to(coarse.dtype), coarse, *towards, *beside).chunk(1 + len(known), 1)
        trusts = self.trust(sigma, 1).to(coarse.dtype).chunk(len(known), 1)
        for gate, trust, way in zip(gates, trusts, towards, strict=True):
            added = added + (gate + trust) * way
        return made + added

    def _convolve(self, *seen: Tensor) -> Tensor:
        x = rearrange(torch.cat(seen, 1), "b c t h w -> (b t) c h w").contiguous(memory_format=torch.channels_last)
        x = self.enter(x)
        x = x + self.middle(F.gelu(x))
        return rearrange(self.leave(F.gelu(x)), "(b t) c h w -> b c t h w", b=len(seen[0]))


class Trust(nn.Module):
    """How far a prediction goes towards estimates from the noisy latents, by noise level; not at all at first.

    Args:
        channels: of the estimates.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = nn.Linear(1, 32)
        self.leave = nn.Linear(32, channels)

    def start_as_zero(self) -> None:
        """Trust the prediction alone."""
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, sigma: Tensor, axis: int) -> Tensor:
        """Noise levels that broadcast to latents, to as much for each channel along the `axis` that has one."""
        # the logarithm of the signal-to-noise ratio, kept finite and of the size of one
        level = ((1.001 - sigma) / (sigma + 0.001)).log() / 4
        hidden = F.gelu(self.enter(level.movedim(axis, -1).to(self.enter.weight.dtype)))
        return self.leave(hidden).movedim(-1, axis)


def beside_in_time(x: Tensor, minus: Tensor, chunks: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """x [B, C, T, H, W] of the time step before and of the one after, `minus` that of each one itself.

    Zero at both ends, and where the neighbour is of another chunk.
    """
    before, after = (x.roll(by, 2) - minus for by in (1, -1))
    numbers = torch.zeros(x.shape[2], dtype=torch.int64, device=x.device) if chunks is None else chunks
    same = (numbers[1:] == numbers[:-1]).to(x.dtype)
    return before * F.pad(same, (1, 0))[:, None, None], after * F.pad(same, (0, 1))[:, None, None]
