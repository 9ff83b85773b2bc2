"""Wan's two experts as one network: which of them works is decided by the noise level alone."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from phonofilm.backends.wan.parts import WanParts
from phonofilm.model.tokens import noise_levels
from phonofilm.sampling import Guided
from phonofilm.types import Latents, Positions, Text


def timesteps(sigma: Tensor) -> Tensor:
    """Noise levels as the network knows them: whole thousandths, cut off as the original's sampler does."""
    return (1000 * sigma.float() + 1e-4).floor()  # a little more, as sigma itself is a rounded number


def is_high(sigma: Latents, boundary: float | None) -> bool:
    """Whether the noise level is the high-noise expert's; given positions have level 0 and do not count."""
    assert sigma.video is not None  # Wan makes picture alone
    return boundary is None or float(timesteps(sigma.video).amax()) >= 1000 * boundary


class Experts:
    """The network that `sampling.Denoiser` takes; a context that fetches each expert when its turn comes.

    Attributes:
        boundary: see `Settings`.
        picture: [1, C, T, H, W], more channels for each evaluation, or None.
    """

    def __init__(self, parts: WanParts, picture: Tensor | None = None) -> None:
        self.parts, self.picture = parts, picture
        self.boundary = parts.folder.settings.boundary
        self._at_work: str | None = None
        self._network: Any = None
        self._stack = ExitStack()

    def __enter__(self) -> Experts:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()
        self._at_work = None

    def __call__(
        self, latents: Latents, sigma: Latents, text: Text, positions: Positions, *, exchange: Tensor | None = None
    ) -> Latents:
        """Velocity in the shapes of the latents."""
        per_token = self.parts.folder.settings.picture == "tokens"
        return velocity(self._turn(sigma), latents, sigma, text, self.picture, per_token)

    def _turn(self, sigma: Latents) -> Any:
        """The expert whose turn it is; the other one is put away first."""
        name = "transformer" if is_high(sigma, self.boundary) else "transformer_2"
        if name != self._at_work:
            self._stack.close()
            self._network = None
            self._network = self._stack.enter_context(self.parts.use(name))
            self._at_work = name
        return self._network


def velocity(
    network: Any, latents: Latents, sigma: Latents, text: Text, picture: Tensor | None, per_token: bool
) -> Latents:
    """What one of diffusers' networks predicts, row by row: as fast, and in the memory of one."""
    assert latents.video is not None  # Wan makes picture alone
    assert sigma.video is not None
    dtype, made = network.dtype, []
    for row in range(len(latents.video)):
        video = latents.video[row : row + 1]
        seen = video if picture is None else torch.cat([video, picture.to(video)], 1)
        level = timesteps(sigma.video[row : row + 1])
        levels = _per_token(level, video, network.config.patch_size) if per_token else level.amax().view(1)
        states = text.states[row : row + 1].to(dtype)
        found = network(hidden_states=seen.to(dtype), timestep=levels, encoder_hidden_states=states, return_dict=False)
        made.append(found[0].to(video))
    return Latents(torch.cat(made))


def _per_token(level: Tensor, video: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """[1, tokens] of levels that are known as little expanded as [1, 1, T, 1, 1]."""
    shape = tuple(video.shape[2:])
    known = noise_levels(level, shape, patch)
    tokens = (shape[0] // patch[0]) * (shape[1] // patch[1]) * (shape[2] // patch[2])
    return known.repeat_interleave(tokens // known.shape[1], 1)


@dataclass(frozen=True)
class GuidedByLevel:
    """Each expert with the guidance that it wants."""

    high: Guided
    low: Guided
    boundary: float | None

    def __call__(self, x: Latents, sigma: Latents) -> Latents:
        """Guided clean estimate."""
        return (self.high if is_high(sigma, self.boundary) else self.low)(x, sigma)
