"""What a model's weights say about how they were trained, and so how they want to be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import ClassVar, Literal

from phonofilm.backends.canvas.windows import Window
from phonofilm.choices import SamplerName, Stem
from phonofilm.config import from_dict, parse_json
from phonofilm.errors import PhonofilmError
from phonofilm.sampling import Guidance
from phonofilm.types import Geometry, Grid, Request, nearest

DRAFT_STEPS = 4
KEY = "trained"
"""The key, in the metadata of the transformer's weights, of a JSON object with any of the fields below."""


@dataclass(frozen=True)
class ModelDefaults:
    """The grid a model was trained on, and the sampling that suits it.

    Attributes:
        size: (width, height) in pixels.
        fps, seconds: frame rate and duration.
        prediction: what the network predicts, see `sampling.Denoiser`.
        steps: network evaluations unless a request says otherwise.
        sampler: unless a request says otherwise.
        shift: of the noise schedule: more than 1 spends more steps near pure noise.
        guidance, modality_guidance: (video, audio) scales unless a request says otherwise; 1 is none.
        stg: (video, audio) scales of spatio-temporal guidance unless a request says otherwise, None for a model that
            was never guided so; and the blocks that it disturbs.
        rescale: how far guided estimates keep the standard deviation of unguided ones, 0 to 1.
        student: whether guidance and the length of a step are inputs of the network, which then takes one pass an
            estimate (see `sampling.Student`).
        reconstruction_error: errors (see `familiar.reconstruction_error`) above which a whole film, and a part of
            one, is far from those it was trained on; None where that was not measured.
        levels: lowest and highest noise level that the network was trained on (see `backends.levels`).
        geometry: how the codecs compress.
        stems: the kinds of sound that the model keeps apart, in its order; none for a model of one mix.
    """

    size: tuple[int, int] = (64, 64)
    fps: Fraction = Fraction(12)
    seconds: Fraction = Fraction(4)
    prediction: Literal["sample", "velocity"] = "sample"
    steps: int = 24
    sampler: SamplerName = "euler"
    shift: float = 3.0
    guidance: tuple[float, float] = (1.0, 1.0)
    modality_guidance: tuple[float, float] = (1.0, 1.0)
    stg: tuple[float, float] | None = None
    stg_blocks: tuple[int, ...] = ()
    rescale: float = 0.0
    student: bool = False
    reconstruction_error: tuple[float, float] | None = None
    RENAMED: ClassVar[Mapping[str, str]] = {"surprise": "reconstruction_error"}
    levels: tuple[float, float] = (0.0, 1.0)
    geometry: Geometry = field(default_factory=Geometry)
    stems: tuple[Stem, ...] = ()

    def __post_init__(self) -> None:
        limits = {"size": 16_384, "fps": 1000, "seconds": 86_400, "steps": 1_000_000, "shift": 1000}
        for name, most in limits.items():
            value = getattr(self, name)
            if not all(0 < number <= most for number in (value if isinstance(value, tuple) else (value,))):
                raise PhonofilmError(f"{name} = {value} is not possible for a model")
        if not 0 <= self.levels[0] < self.levels[1] <= 1:
            raise PhonofilmError(f"levels = {self.levels} is not possible for a model")

    @staticmethod
    def read(
        metadata: Mapping[str, str], geometry: Geometry, where: str, stems: tuple[Stem, ...] = ()
    ) -> ModelDefaults:
        """From the metadata of weights; what they do not say is the default, and the rest is told by the networks.

        Raises:
            PhonofilmError: the entry is not valid.
        """
        try:
            values = parse_json(metadata.get(KEY, "{}"))
        except ValueError as error:
            raise PhonofilmError(f"weights {where}: what they say of their training is not JSON") from error
        return replace(from_dict(ModelDefaults, values, f"{where} {KEY}."), geometry=geometry, stems=stems)

    def asked(self, request: Request) -> ModelDefaults:
        """These, or for a draft a third of the steps (four at least, where there are as many) without guidance.

        A student has few steps, and its guidance costs nothing: it stays as it is.
        """
        if not request.draft or self.student:
            return self
        none = (1.0, 1.0)
        steps = min(self.steps, max(DRAFT_STEPS, self.steps // 3))
        return replace(self, steps=steps, guidance=none, modality_guidance=none, stg=None)

    def guidance_of(self, request: Request) -> Guidance:
        """The guidance that a request asks for, or the model's own.

        Raises:
            PhonofilmError: spatio-temporal guidance of a model that names no blocks for it.
        """
        text = request.guidance or self.guidance
        modality = request.modality_guidance or self.modality_guidance
        stg = (self.stg or (0.0, 0.0)) if request.stg is None else request.stg
        if any(stg) and not self.stg_blocks:
            raise PhonofilmError(f"{request.model} has no blocks for spatio-temporal guidance; omit --stg")
        return Guidance(text, modality, self.rescale, stg, self.stg_blocks)

    def grid(self, frames: int) -> Grid:
        """The grid of a clip, or a window, of so many frames."""
        width, height = self.size
        return Grid(frames, height, width, self.fps, self.geometry)

    def size_of(self, request: Request) -> tuple[int, int]:
        """The size that a request names, or the model's own, halved for a draft."""
        width, height = self.size
        return request.size or ((max(1, width // 2), max(1, height // 2)) if request.draft else self.size)

    def sampler_of(self, request: Request) -> SamplerName:
        """The sampler that a request names, or the model's own.

        Raises:
            PhonofilmError: another than Euler's for a student, whose estimates lead to the end of a whole step.
        """
        sampler = request.sampler or self.sampler
        if self.student and sampler != "euler":
            raise PhonofilmError(f"{request.model} takes a whole step at each evaluation; omit --sampler")
        return sampler

    @property
    def evaluations(self) -> int:
        """Network evaluations of a clip of one window; those of one step, with all its guidance, run as one batch."""
        guided = Guidance(self.guidance, self.modality_guidance, self.rescale, self.stg or (0.0, 0.0), self.stg_blocks)
        return self.steps * (1 if self.student else guided.evaluations)

    @property
    def window(self) -> Window:
        return Window(self.seconds, self.fps, self.size)

    @property
    def frames(self) -> int:
        """Frames of one window."""
        return max(1, nearest(self.seconds * self.fps))

    def __str__(self) -> str:
        return f"{self.size[0]}x{self.size[1]}, {float(self.fps):g} fps, {float(self.seconds):g} s"
