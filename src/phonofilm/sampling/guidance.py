"""Guidance: steering each stream away from what it would be without the text, or without the other stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from phonofilm.sampling.denoiser import Denoiser, Whereabouts
from phonofilm.types import Latents, Text


@dataclass(frozen=True)
class Guidance:
    """Scales per (video, audio); 1 is no guidance, and 0 is none of the spatio-temporal kind.

    Attributes:
        text: classifier-free guidance, away from the negative (or empty) prompt.
        modality: away from streams that do not hear or see each other.
        rescale: how far the guided estimate's standard deviation is brought back to the unguided
            one's, from 0 to 1 (Lin et al. 2024, section 3.4).
        stg: spatio-temporal guidance (Hyung et al. 2024), away from streams whose tokens do not see each other in
            the self-attention of `stg_blocks`.

    Raises:
        ValueError: spatio-temporal guidance without blocks.
    """

    text: tuple[float, float] = (1.0, 1.0)
    modality: tuple[float, float] = (1.0, 1.0)
    rescale: float = 0.0
    stg: tuple[float, float] = (0.0, 0.0)
    stg_blocks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.stg != (0.0, 0.0) and not self.stg_blocks:
            raise ValueError("spatio-temporal guidance needs to know which blocks to disturb: give stg_blocks")

    @property
    def weights(self) -> dict[str, tuple[float, float]]:
        """What the distance from each other estimate counts, for (video, audio)."""
        all_of_them = {
            "negative": (self.text[0] - 1, self.text[1] - 1),
            "unmixed": self.stg,
            "alone": (self.modality[0] - 1, self.modality[1] - 1),
        }
        return {name: weights for name, weights in all_of_them.items() if weights != (0.0, 0.0)}

    @property
    def passes(self) -> list[str]:
        """The forward passes of an estimate, by name."""
        return ["text", *self.weights]

    @property
    def evaluations(self) -> int:
        """Forward passes an estimate costs."""
        return len(self.passes)


@dataclass(frozen=True)
class Guided:
    """A denoiser with its prompt, as the callable that samplers take.

    LTX-2's formula, per stream: c + (text - 1)·(c - negative) + stg·(c - unmixed) + (modality - 1)·(c - alone), on
    clean estimates, then the rescaling. All passes are one batch.

    Attributes:
        text, negative: encoded prompts, one for each clip of the batch.
        options: more for the network, the same in every pass: tensors have one row for each clip of the batch.
        audio_text, audio_negative: prompts of the sound where they are others than the picture's (see `Text`).
        cache: what the network keeps of `texts_of` from step to step, given to it as its option `cache`.
    """

    denoiser: Denoiser
    text: Text
    negative: Text
    positions: Whereabouts
    guidance: Guidance = Guidance()
    options: dict[str, Any] | None = None
    audio_text: Text | None = None
    audio_negative: Text | None = None
    cache: Any = None

    def __call__(self, x: Latents, sigma: Latents) -> Latents:
        """Guided clean estimate; a scale that is no guidance leaves a stream's estimate as it is."""
        weights, batch, passes = self.guidance.weights, len(self.text.states), self.guidance.passes
        count, options = len(passes), {**_repeated(self.options or {}, len(passes)), **self._switches(passes)}
        texts, heard = texts_of(self.guidance, self.text, self.negative, self.audio_text, self.audio_negative)
        if heard is not None:
            options["audio_text"] = heard
        if self.cache is not None:
            options["cache"] = self.cache
        if count == 1:
            return self.denoiser(x, sigma, texts, self.positions, **options)
        found = self.denoiser(_repeat(x, count), _repeat(sigma, count), texts, self.positions, **options)
        estimates = [found.map(lambda e, i=i: e[i * batch : (i + 1) * batch]) for i in range(count)]
        terms = list(zip(weights.values(), estimates[1:], strict=True))
        return Latents(*(self._combine(index, estimates[0], terms) for index in (0, 1)))

    def _switches(self, passes: list[str]) -> dict[str, Any]:
        """Which rows of the batch have something switched off in the network; a stream of no weight has not."""
        batch, device = len(self.text.states), self.text.states.device

        def rows(name: str) -> Tensor:
            return torch.tensor([one == name for one in passes], device=device).repeat_interleave(batch)

        options: dict[str, Any] = {}
        if "alone" in passes:
            options["exchange"] = ~rows("alone")
        if "unmixed" in passes:
            video, audio = (rows("unmixed") if weight else None for weight in self.guidance.stg)
            options["unmixed"] = {block: Latents(video, audio) for block in self.guidance.stg_blocks}
        return options

    def _combine(
        self, index: int, conditional: Latents, terms: list[tuple[tuple[float, float], Latents]]
    ) -> Tensor | None:
        """One stream (0 video, 1 audio) of the formula."""
        name = ("video", "audio")[index]
        clean: Tensor | None = getattr(conditional, name)
        if clean is None or not any(weights[index] for weights, _ in terms):
            return clean
        guided = clean
        for weights, other in terms:
            if weights[index]:
                guided = guided + weights[index] * (clean - getattr(other, name))
        return rescaled(guided, clean, self.guidance.rescale)


def texts_of(
    guidance: Guidance,
    text: Text,
    negative: Text,
    audio_text: Text | None = None,
    audio_negative: Text | None = None,
) -> tuple[Text, Text | None]:
    """The prompts of all passes as one batch: of the picture (or both), and of the sound where it has others."""
    texts = _join([negative if name == "negative" else text for name in guidance.passes])
    if audio_text is None:
        return texts, None
    heard = {"negative": audio_negative or audio_text}
    return texts, _join([heard.get(name, audio_text) for name in guidance.passes])


def rescaled(guided: Tensor, conditional: Tensor, amount: float) -> Tensor:
    """Bring the standard deviation of each clip's estimate back towards the unguided one's."""
    if amount == 0:
        return guided
    axes = tuple(range(1, guided.ndim))
    factor = conditional.std(axes, keepdim=True) / guided.std(axes, keepdim=True).clamp_min(1e-8)
    return guided * (amount * factor + 1 - amount)


def _repeat(latents: Latents, count: int) -> Latents:
    return latents.map(lambda v: v.repeat(count, *(1 for _ in v.shape[1:])))


def _repeated(options: Any, count: int) -> Any:
    """Every tensor among the options, at any depth, with its rows once for each pass."""
    if isinstance(options, Tensor):
        return options.repeat(count, *(1 for _ in options.shape[1:]))
    if isinstance(options, Latents):
        return _repeat(options, count)
    return {key: _repeated(value, count) for key, value in options.items()} if isinstance(options, dict) else options


def _join(texts: list[Text]) -> Text:
    """Prompts of several batches as one, padded to the longest."""
    if len(texts) == 1:
        return texts[0]
    longest = max(text.mask.shape[-1] for text in texts)
    missing = [longest - text.mask.shape[-1] for text in texts]
    states = [F.pad(text.states, (0, 0, 0, m)) for text, m in zip(texts, missing, strict=True)]
    masks = [F.pad(text.mask, (0, m)) for text, m in zip(texts, missing, strict=True)]
    return Text(torch.cat(states), torch.cat(masks))
