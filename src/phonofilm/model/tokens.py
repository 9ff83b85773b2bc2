"""Latents to tokens and back, and noise levels to the few distinct rows that tokens share."""

from __future__ import annotations

from einops import rearrange, reduce
from torch import Tensor

from phonofilm.model.detail.steps import filled_up


def patchify(latents: Tensor, patch: tuple[int, ...], starts: bool = True) -> Tensor:
    """Latents to tokens [B, N, C·patch]: of [B, C, T, H, W] ordered time, row, column; of [B, S, C, T] stem, time.

    In time the first latent of a picture, which stands for a single frame, has tokens of its own, filled up with zeros;
    latents that go on with a film (`starts` is False) have no such latent.

    Raises:
        ValueError: the patches do not tile the latents.
    """
    if len(patch) == 1:
        if latents.shape[-1] % patch[0]:
            raise ValueError(f"latents of {tuple(latents.shape[-1:])} do not divide into patches of {patch}")
        return rearrange(latents, "b s c (t p) -> b (s t) (c p)", p=patch[0])
    steps, *sizes = latents.shape[-3:]
    if (steps - starts) % patch[0] or any(size % step for size, step in zip(sizes, patch[1:], strict=True)):
        raise ValueError(f"latents of {(steps, *sizes)} do not divide into patches of {patch}")
    latents = filled_up(latents, patch[0], starts)
    pt, ph, pw = patch
    return rearrange(latents, "b c (t pt) (h ph) (w pw) -> b (t h w) (c pt ph pw)", pt=pt, ph=ph, pw=pw)


def unpatchify(tokens: Tensor, shape: tuple[int, ...], patch: tuple[int, ...], starts: bool = True) -> Tensor:
    """The inverse of `patchify`, to latents of (T, H, W) or (S, T) as `shape` has them."""
    if len(patch) == 1:
        return rearrange(tokens, "b (s t) (c p) -> b s c (t p)", p=patch[0], s=shape[0])
    (pt, ph, pw), (_, h, w) = patch, shape
    pattern = "b (t h w) (c pt ph pw) -> b c (t pt) (h ph) (w pw)"
    return rearrange(tokens, pattern, h=h // ph, w=w // pw, pt=pt, ph=ph, pw=pw)[:, :, (pt - 1) * starts :]


def noise_levels(sigma: Tensor, shape: tuple[int, ...], patch: tuple[int, ...], starts: bool = True) -> Tensor:
    """Noise levels that broadcast to latents of `shape`, to [B, R]: one row for each run of tokens.

    R is 1 for one level per sample, the number of time steps where a picture's level varies with time alone, the
    number of stems where a sound's varies with the stem alone, and the number of tokens otherwise. Modulation costs
    memory and time in proportion to R, so pass sigma unexpanded. Of the latents of one token the noisiest counts.

    Args:
        sigma: [B, 1, T or 1, H or 1, W or 1], or of a sound [B, S or 1, 1, T or 1].
        shape: (T, H, W) of a picture's latents, (S, T) of a sound's.
        starts: as for `patchify`.
    """
    if len(patch) == 1:
        return _levels_of_sound(sigma, shape, patch[0])
    if sigma.ndim != 2 + len(shape) or any(n not in (1, full) for n, full in zip(sigma.shape[2:], shape, strict=True)):
        raise ValueError(f"noise levels {tuple(sigma.shape)} do not broadcast to latents of {shape}")
    if sigma[0, 0].numel() == 1:
        return sigma.flatten(1)
    if sigma[0, 0].numel() == sigma.shape[2]:
        return reduce(filled_up(sigma, patch[0], starts), "b 1 (t p) 1 1 -> b t", "max", p=patch[0])
    return patchify(sigma.expand(-1, -1, *shape), patch, starts).amax(-1)


def _levels_of_sound(sigma: Tensor, shape: tuple[int, ...], patch: int) -> Tensor:
    stems, steps = shape
    if sigma.ndim != 4 or sigma.shape[1] not in (1, stems) or sigma.shape[2] != 1 or sigma.shape[3] not in (1, steps):
        raise ValueError(f"noise levels {tuple(sigma.shape)} do not broadcast to latents of {shape}")
    if sigma.shape[3] == 1:
        return sigma[:, :, 0, 0]
    return reduce(sigma.expand(-1, stems, -1, -1), "b s 1 (t p) -> b (s t)", "max", p=patch)
