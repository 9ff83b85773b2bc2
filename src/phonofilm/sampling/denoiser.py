"""The denoiser: what a network's output means, for sampling and for training alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from phonofilm.types import Latents, Text

Prediction = Literal["sample", "velocity"]
Whereabouts = Any
"""Where the tokens are: `Positions`, or what a network has computed from them, if it takes that too."""


class Network(Protocol):
    """What a denoiser is built over: `AVTransformer`, `UNet3D`, or anything with this forward."""

    def __call__(
        self, latents: Latents, sigma: Latents, text: Text, positions: Whereabouts, *, exchange: Tensor | None = None
    ) -> Latents: ...


@dataclass(frozen=True)
class LossConfig:
    """How errors are weighed.

    Attributes:
        floor: the squared error of the clean estimate counts 1 / max(sigma, floor). The flow's own
            1 / sigma² would spend the gradient on fine detail; what decides whether picture and sound
            agree is settled near sigma = 1.
        video, audio: weights of the two streams.
        balanced: each stream's error is divided by its own value, so that both pull with their weights alone,
            whatever the errors' sizes.
    """

    floor: float = 0.25
    video: float = 1.0
    audio: float = 1.0
    balanced: bool = False


@dataclass(frozen=True)
class Denoiser:
    """A network read as an estimate of what is clean in x = (1 - sigma)·clean + sigma·noise.

    The noise level is per position; sigma 1 is pure noise. The network gets x as it is: between unit
    data and unit noise its standard deviation stays within [0.71, 1].

    Attributes:
        network: raw prediction in the shapes of its input.
        prediction: "sample" if the network predicts what is clean, "velocity" if noise - clean (LTX-2).
    """

    network: Network
    prediction: Prediction = "sample"

    def __call__(
        self, x: Latents, sigma: Latents, text: Text, positions: Whereabouts, **options: Any
    ) -> Latents:  # fmt: skip
        """Clean estimate, float32. `options` (exchange, cache, conditions) go to the network."""
        output = self.network(x, sigma, text, positions, **options)
        if self.prediction == "velocity":
            return x.map(lambda noisy, level, v: noisy.float() - level.float() * v.float(), sigma, output)
        return output.map(lambda clean: clean.float())

    def loss(
        self,
        clean: Latents,
        noise: Latents,
        sigma: Latents,
        text: Text,
        positions: Whereabouts,
        config: LossConfig = LossConfig(),
        **options: Any,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted squared error of the clean estimate, over positions that carry noise.

        Each stream is averaged over its own noisy positions, so that a long clip's many video values
        do not drown its sound. A stream without any contributes 0.

        Returns:
            the loss, and the error of each stream.
        """
        noisy = add_noise(clean, noise, sigma)
        return weighted_error(self(noisy, sigma, text, positions, **options), clean, sigma, config)


def weighted_error(
    estimate: Latents, clean: Latents, sigma: Latents, config: LossConfig = LossConfig()
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of an estimate, and the error of each stream; see `Denoiser.loss`."""
    errors = estimate.map(lambda e, c, s: _stream_error(e, c, s, config.floor), clean, sigma)
    parts = {name: getattr(errors, name) for name in ("video", "audio") if getattr(errors, name) is not None}
    sizes = {name: error.detach().clamp_min(1e-6) if config.balanced else 1.0 for name, error in parts.items()}
    loss = torch.stack([getattr(config, name) * error / sizes[name] for name, error in parts.items()]).sum()
    return loss, {name: error.detach() for name, error in parts.items()}


def add_noise(clean: Latents, noise: Latents, sigma: Latents) -> Latents:
    """(1 - sigma)·clean + sigma·noise, per position, in float32; exactly clean where sigma is 0."""
    return clean.map(lambda c, n, s: c.float() + s * (n - c.float()), noise, sigma)


def _stream_error(estimate: Tensor, clean: Tensor, sigma: Tensor, floor: float) -> Tensor:
    weight = (sigma > 0) / sigma.clamp_min(floor)
    squared = (estimate - clean.float()).square()
    counted = (sigma > 0).expand_as(squared).sum()
    return (weight * squared).sum() / counted.clamp_min(1)
