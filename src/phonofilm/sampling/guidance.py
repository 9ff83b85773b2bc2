"""Guidance: steering each stream away from what it would be without the text, or without the other stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from phonofilm.sampling.denoiser import Denoiser
from phonofilm.types import Latents, Positions, Text


@dataclass(frozen=True)
class Guidance:
    """Scales per (video, audio); 1 is no guidance.

    Attributes:
        text: classifier-free guidance, away from the negative (or empty) prompt.
        modality: away from streams that do not hear or see each other.
        rescale: how far the guided estimate's standard deviation is brought back to the unguided
            one's, from 0 to 1 (Lin et al. 2024, section 3.4).
    """

    text: tuple[float, float] = (1.0, 1.0)
    modality: tuple[float, float] = (1.0, 1.0)
    rescale: float = 0.0

    @property
    def evaluations(self) -> int:
        """Forward passes an estimate costs."""
        return 1 + (self.text != (1.0, 1.0)) + (self.modality != (1.0, 1.0))


@dataclass(frozen=True)
class Guided:
    """A denoiser with its prompt, as the callable that samplers take.

    LTX-2's formula, per stream: c + (text - 1)·(c - negative) + (modality - 1)·(c - alone), on clean
    estimates, then the rescaling. All passes are one batch.

    Attributes:
        text, negative: encoded prompts, one for each clip of the batch.
        options: more for the network, the same in every pass.
    """

    denoiser: Denoiser
    text: Text
    negative: Text
    positions: Positions
    guidance: Guidance = Guidance()
    options: dict[str, Any] | None = None

    def __call__(self, x: Latents, sigma: Latents) -> Latents:
        """Guided clean estimate; a scale of 1 leaves a stream's estimate as it is."""
        scales, options = self.guidance, self.options or {}
        if scales.evaluations == 1:
            return self.denoiser(x, sigma, self.text, self.positions, **options)
        negative, alone = scales.text != (1.0, 1.0), scales.modality != (1.0, 1.0)
        texts = [self.text, *([self.negative] if negative else []), *([self.text] if alone else [])]
        count = len(texts)
        batch = len(self.text.states)
        if alone:
            rows = torch.arange(count * batch, device=self.text.states.device)
            options = {**options, "exchange": rows < (count - 1) * batch}
        estimate = self.denoiser(_repeat(x, count), _repeat(sigma, count), _join(texts), self.positions, **options)
        passes = [estimate.map(lambda e, i=i: e[i * batch : (i + 1) * batch]) for i in range(count)]
        terms = [(self.guidance.text, passes[1])] if negative else []
        terms += [(self.guidance.modality, passes[-1])] if alone else []
        return Latents(*(self._combine(index, passes[0], terms) for index in (0, 1)))

    def _combine(
        self, index: int, conditional: Latents, terms: list[tuple[tuple[float, float], Latents]]
    ) -> Tensor | None:
        """One stream (0 video, 1 audio) of the formula."""
        name = ("video", "audio")[index]
        clean = getattr(conditional, name)
        if clean is None or all(scale[index] == 1 for scale, _ in terms):
            return clean
        guided = clean
        for scale, other in terms:
            guided = guided + (scale[index] - 1) * (clean - getattr(other, name))
        return rescaled(guided, clean, self.guidance.rescale)


def rescaled(guided: Tensor, conditional: Tensor, amount: float) -> Tensor:
    """Bring the standard deviation of each clip's estimate back towards the unguided one's."""
    if amount == 0:
        return guided
    axes = tuple(range(1, guided.ndim))
    factor = conditional.std(axes, keepdim=True) / guided.std(axes, keepdim=True).clamp_min(1e-8)
    return guided * (amount * factor + 1 - amount)


def _repeat(latents: Latents, count: int) -> Latents:
    return latents.map(lambda v: v.repeat(count, *(1 for _ in v.shape[1:])))


def _join(texts: list[Text]) -> Text:
    """Prompts of several batches as one, padded to the longest."""
    longest = max(text.states.shape[1] for text in texts)
    missing = [longest - text.states.shape[1] for text in texts]
    states = [F.pad(text.states, (0, 0, 0, m)) for text, m in zip(texts, missing, strict=True)]
    masks = [F.pad(text.mask, (0, m)) for text, m in zip(texts, missing, strict=True)]
    return Text(torch.cat(states), torch.cat(masks))
