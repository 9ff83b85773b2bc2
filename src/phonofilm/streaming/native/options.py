"""How a live film is sampled."""

from __future__ import annotations

from dataclasses import dataclass

from phonofilm.backends.canvas.model_defaults import ModelDefaults
from phonofilm.choices import SamplerName
from phonofilm.sampling import Guidance


@dataclass(frozen=True)
class LiveOptions:
    """What `LiveSource.begin` takes as options.

    Attributes:
        steps: network evaluations of a chunk; None for the model's own.
        sampler: None for the model's own.
        guidance: (video, audio) scales of the text, 1 for none; None for the model's own.
        modality_guidance: (video, audio) scales of what the other modality adds; None for the model's own.
        negative: what to steer away from.
        refresh: whether a new prompt is also what the visible past is read with from then on (Yang et al.,
            2509.22622), which is followed sooner; else the past keeps what the old prompt made of it.

    Raises:
        ValueError: no steps, or a negative scale.
    """

    steps: int | None = None
    sampler: SamplerName | None = None
    guidance: tuple[float, float] | None = None
    modality_guidance: tuple[float, float] | None = None
    negative: str = ""
    refresh: bool = True

    def __post_init__(self) -> None:
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise ValueError(f"steps = {self.steps} is not possible; choose 1 to 1000")
        for name in ("guidance", "modality_guidance"):
            scales = getattr(self, name)
            if scales is not None and not all(0 <= scale <= 100 for scale in scales):
                raise ValueError(f"{name} = {scales} is not possible; choose 0 to 100")

    def guidance_of(self, trained: ModelDefaults) -> Guidance:
        """These scales, or the model's own."""
        return Guidance(
            self.guidance or trained.guidance, self.modality_guidance or trained.modality_guidance, trained.rescale
        )
