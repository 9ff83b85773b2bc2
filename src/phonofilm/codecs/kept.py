"""A codec that learns more, while its latents of what it knew stay what they were."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Kept:
    """Latents that must stay what an older codec made of the same clips, so that what learnt them goes on working.

    Attributes:
        clips: bool [B], those that must.
        latents: theirs, [K, C, ...], the mean of the posterior before normalisation.
    """

    clips: Tensor
    latents: Tensor

    def distance(self, latents: Tensor, std: Tensor) -> Tensor:
        """Mean squared distance of latents [B, C, ...], by their standard deviation [C, ...]; 0 where none is kept."""
        if not len(self.latents):
            return latents.new_zeros(())
        return ((latents[self.clips] - self.latents) / std).square().mean()
