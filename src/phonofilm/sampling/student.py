"""A student of few steps: guidance and the length of the step are inputs of the network.

One evaluation of it stands for all passes of a guided one (Meng et al. 2023, 2210.03142), and its estimate of what is
clean leads straight to where many small steps would arrive (shortcut models, Frans et al. 2024, 2410.12557). Without
the inputs the network is the teacher.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from phonofilm.sampling.denoiser import Denoiser, Whereabouts
from phonofilm.sampling.guidance import Guidance
from phonofilm.types import Latents, Text

JUMP = "jump"
"""Name of the condition that tells a network its guidance and its step."""
JUMP_WIDTH = 8


def jump_features(guidance: Guidance, step: Tensor) -> Tensor:
    """What the network is told, float32 [B, 1, 8]; zero but for the last channel means no guidance and no step.

    Args:
        guidance: scales of text and modality, for picture and sound; 1 is none.
        step: [B], by which part of itself the noise level falls in one step: 0 for an infinitely small one, 1 for one
            that ends at what is clean.
    """
    scales = torch.tensor([*guidance.text, *guidance.modality], device=step.device).log()
    step = step.float()
    steps = torch.stack([step, step.square(), (step * torch.pi).cos(), torch.ones_like(step)], -1)
    return torch.cat([scales.expand(len(step), -1), steps], -1)[:, None]


def jump_of(x: Latents, clean: Latents, sigma: Latents, after: Latents) -> Latents:
    """Where a step along the straight line to the clean estimate arrives; what is given (sigma 0) stays."""
    return x.map(lambda v, c, s, a: torch.where(s > 0, c + a / s.clamp_min(1e-6) * (v - c), v), clean, sigma, after)


def estimate_of(x: Latents, arrived: Latents, sigma: Latents, after: Latents) -> Latents:
    """The clean estimate whose straight line leads from x to where one arrived: the inverse of `jump_of`."""
    return x.map(
        lambda v, to, s, a: torch.where(s > 0, v + (to - v) * s / (s - a).clamp_min(1e-6), v), arrived, sigma, after
    )


@dataclass(frozen=True)
class Student:
    """A distilled denoiser with its prompt, as the callable that samplers take; one pass an estimate.

    A negative prompt costs a second pass: c + (text - 1)·(c - negative), both without guidance by the empty prompt.

    Attributes:
        sigmas: the schedule that it is sampled along, from 1 to 0; it tells how long each step is.
        guidance: neither of its scales may be spatio-temporal. negative: where there is one.
        options, audio_text, audio_negative: as in `Guided`.
    """

    denoiser: Denoiser
    text: Text
    positions: Whereabouts
    sigmas: tuple[float, ...]
    guidance: Guidance = field(default_factory=Guidance)
    negative: Text | None = None
    options: dict[str, Any] | None = None
    audio_text: Text | None = None
    audio_negative: Text | None = None

    def __post_init__(self) -> None:
        if any(self.guidance.stg):
            raise ValueError("a distilled model has no spatio-temporal guidance")

    def __call__(self, x: Latents, sigma: Latents) -> Latents:
        """Clean estimate that leads to the next level of the schedule."""
        levels = [level.flatten(1).amax(1) for level in (sigma.video, sigma.audio) if level is not None]
        now = torch.stack(levels).amax(0)
        step = torch.tensor([self._step(float(level)) for level in now], device=now.device)
        if self.negative is None:
            return self._pass(x, sigma, (self.text, self.audio_text), self.guidance, step)
        plain = Guidance(modality=self.guidance.modality)
        prompts = (self.text, self.audio_text), (self.negative, self.audio_negative)
        found, other = (self._pass(x, sigma, texts, plain, step) for texts in prompts)
        scales = Latents(*(torch.tensor(scale - 1, device=now.device) for scale in self.guidance.text))
        return found.map(lambda c, n, scale: c + scale * (c - n), other, scales)

    def _pass(
        self, x: Latents, sigma: Latents, texts: tuple[Text, Text | None], guidance: Guidance, step: Tensor
    ) -> Latents:
        options = dict(self.options or {})
        options["conditions"] = {**options.get("conditions", {}), JUMP: jump_features(guidance, step)}
        if texts[1] is not None:
            options["audio_text"] = texts[1]
        return self.denoiser(x, sigma, texts[0], self.positions, **options)

    def _step(self, level: float) -> float:
        """By which part of itself the level falls to the next one of the schedule."""
        later = [sigma for sigma in self.sigmas if sigma < level - 1e-4]
        return 1 - max(later, default=0.0) / level if level > 0 else 0.0
