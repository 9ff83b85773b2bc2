"""Latents to tokens and back, and noise levels to the few distinct rows that tokens share."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor


def patchify(latents: Tensor, patch: tuple[int, ...]) -> Tensor:
    """Latents [B, C, T, H, W] or [B, C, T] to tokens [B, N, C·patch], ordered time, row, column.

    Raises:
        ValueError: the patches do not tile the latents.
    """
    if any(size % step for size, step in zip(latents.shape[2:], patch, strict=True)):
        raise ValueError(f"latents of {tuple(latents.shape[2:])} do not divide into patches of {patch}")
    if len(patch) == 1:
        return rearrange(latents, "b c (t p) -> b t (c p)", p=patch[0])
    pt, ph, pw = patch
    return rearrange(latents, "b c (t pt) (h ph) (w pw) -> b (t h w) (c pt ph pw)", pt=pt, ph=ph, pw=pw)


def unpatchify(tokens: Tensor, shape: tuple[int, ...], patch: tuple[int, ...]) -> Tensor:
    """The inverse of `patchify`, to latents whose axes after the channels are `shape`."""
    if len(patch) == 1:
        return rearrange(tokens, "b t (c p) -> b c (t p)", p=patch[0])
    (pt, ph, pw), (_, h, w) = patch, shape
    pattern = "b (t h w) (c pt ph pw) -> b c (t pt) (h ph) (w pw)"
    return rearrange(tokens, pattern, h=h // ph, w=w // pw, pt=pt, ph=ph, pw=pw)


def noise_levels(sigma: Tensor, shape: tuple[int, ...], patch: tuple[int, ...]) -> Tensor:
    """Noise levels [B, 1, ...] that broadcast to latents of `shape`, to [B, S]: one row for each run of tokens.

    S is 1 for one level per sample, the number of time steps where the level varies with time alone, and the
    number of tokens otherwise. Modulation costs memory and time in proportion to S, so pass sigma unexpanded. Of
    the latents of one token the noisiest counts.
    """
    if sigma.ndim != 2 + len(shape) or any(n not in (1, full) for n, full in zip(sigma.shape[2:], shape, strict=True)):
        raise ValueError(f"noise levels {tuple(sigma.shape)} do not broadcast to latents of {shape}")
    if sigma[0, 0].numel() == 1:
        return sigma.flatten(1)
    if sigma[0, 0].numel() == sigma.shape[2]:
        return patchify(sigma.flatten(2), patch[:1]).amax(-1)
    return patchify(sigma.expand(-1, -1, *shape), patch).amax(-1)
