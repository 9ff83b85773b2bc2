"""Distillation: a network learns to do in few evaluations what its teacher does in many guided ones.

Three kinds of batches train one set of weights. *Plain* ones are the teacher's own task, without the input for jumps,
so that the network stays the teacher where it is not told to jump. *Guided* ones learn where the guided passes of the
teacher point (Meng et al. 2023, 2210.03142). *Jumping* ones learn a step that arrives where the network itself arrives
in two steps of half the length (Frans et al. 2024, 2410.12557).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from phonofilm.checkpoint import file_sha256, load_module
from phonofilm.errors import PhonofilmError
from phonofilm.model.config import ConditionInput
from phonofilm.model.transformer import AVTransformer
from phonofilm.sampling import (
    JUMP,
    JUMP_WIDTH,
    SAMPLERS,
    Denoiser,
    Guidance,
    Guided,
    Student,
    add_noise,
    draw_noise,
    euler,
    flow_sigmas,
    jump_features,
    steps_for,
)
from phonofilm.sampling.denoiser import weighted_error
from phonofilm.sampling.student import estimate_of, jump_of
from phonofilm.training.mixture.noise import draw_levels
from phonofilm.training.mixture.stem_noise import StemDraw, draw_stems
from phonofilm.training.tasks.base import Batch
from phonofilm.training.tasks.generator import GeneratorRecipe, GeneratorTask
from phonofilm.training.tasks.samples import SamplingConfig
from phonofilm.types import Latents, Text

INPUTS = tuple(ConditionInput(JUMP, stream, JUMP_WIDTH, "modulation") for stream in ("video", "audio"))


def _twelve_steps() -> SamplingConfig:
    return SamplingConfig("multistep", 12, 3.0, (1.5, 1.5), (2.0, 2.0))


@dataclass(frozen=True)
class DistillConfig:
    """What is learnt from whom.

    Attributes:
        teacher: weights of the teacher, which the student begins as.
        plain, guided: shares of batches; the others jump.
        text, modality: lowest and highest guidance scale, drawn for picture and sound.
        most: the most steps that a jump is one of, a power of two; the steps of half its length are infinitely small.
        teacher_sampling: how the teacher is sampled, for validation.
    """

    teacher: Path
    plain: float = 0.15
    guided: float = 0.4
    text: tuple[float, float] = (1.0, 2.5)
    modality: tuple[float, float] = (1.0, 2.5)
    most: int = 16
    teacher_sampling: SamplingConfig = field(default_factory=_twelve_steps)

    def __post_init__(self) -> None:
        if self.most < 2 or self.most & (self.most - 1):
            raise PhonofilmError(f"distill.most = {self.most} must be a power of two, 2 at least")
        if min(self.plain, self.guided, 1 - self.plain - self.guided) < 0:
            raise PhonofilmError("distill.plain and distill.guided are shares: together at most 1")
        if min(*self.text, *self.modality) <= 0:
            raise PhonofilmError("guidance scales are above 0")


@dataclass(frozen=True)
class DistillRecipe(GeneratorRecipe):
    """recipes/nano_128_student.toml: a generator's recipe, and whom it learns from."""

    kind: Literal["distill"]  # type: ignore[assignment]
    distill: DistillConfig = field(kw_only=True)


@dataclass(frozen=True)
class Step:
    """Noise levels of a batch before and after a step, and halfway; the same at every position that is made.

    Attributes:
        before, middle, after: [B]. made: bool, the positions that are made, in shapes of noise levels.
        length, half: [B], what the network is told of the whole step and of its first and second half.
    """

    before: Tensor
    middle: Tensor
    after: Tensor
    made: Latents
    length: Tensor
    half: tuple[Tensor, Tensor]

    def levels(self, sigma: Tensor) -> Latents:
        """A level for each clip, where something is made."""
        return self.made.map(lambda made: torch.where(made, sigma.view(-1, *(1 for _ in made.shape[1:])), 0.0))


class DistillTask(GeneratorTask):
    """The generator's task with a teacher."""

    Recipe = DistillRecipe
    free_at_resume = GeneratorTask.free_at_resume | {"distill.teacher_sampling"}
    uses_all = False  # type: ignore[assignment]  # the generator's batches among the others leave out the jump

    def __init__(self, recipe: DistillRecipe) -> None:
        super().__init__(recipe)
        self.recipe: DistillRecipe = recipe
        if recipe.network != "transformer" or recipe.streams != "both":
            raise PhonofilmError("only a transformer of both streams can be distilled")
        self.config = replace(self.config, condition_inputs=INPUTS)
        self.teacher = load_module(AVTransformer, recipe.distill.teacher).requires_grad_(False)
        if replace(self.teacher.config, condition_inputs=INPUTS) != self.config:
            raise PhonofilmError(f"{recipe.distill.teacher} is another network than the recipe's: make them the same")

    def build(self) -> nn.Module:
        return load_module(AVTransformer, self.recipe.distill.teacher, condition_inputs=INPUTS).train()

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.recipe.distill
        kind = float(torch.rand((), generator=generator))
        if kind < config.plain or not {"video", "audio"} <= batch.keys() or "chunk" in batch:
            return super().loss(model, batch, generator)
        device = batch["text"].device
        self.teacher.to(device)
        guidance = self._guidance(generator)
        stems, silent = self._stems(batch, generator)
        step = self._step(len(batch["text"]), stems, kind < config.plain + config.guided, generator, device)
        clean, text, options = self._inputs(batch, silent)
        noise = clean.map(lambda v: torch.randn(v.shape, generator=generator).to(device))
        sigma = step.levels(step.before)
        x = add_noise(clean, noise, sigma)

        def student(at: Latents, level: Latents, length: Tensor) -> Latents:
            told = {JUMP: jump_features(guidance, length)}
            return Denoiser(model, self.recipe.prediction)(
                at, level, text, self._positions(batch), conditions=told, **options
            )

        with torch.no_grad():
            if kind < config.plain + config.guided:
                target = self._guided(batch, guidance, text, options)(x, sigma)
            else:
                middle, after = step.levels(step.middle), step.levels(step.after)
                halfway = jump_of(x, student(x, sigma, step.half[0]), sigma, middle)
                arrived = jump_of(halfway, student(halfway, middle, step.half[1]), middle, after)
                target = estimate_of(x, arrived, sigma, after)
        return weighted_error(student(x, sigma, step.length), target, sigma, self.recipe.loss)

    def _guidance(self, generator: torch.Generator) -> Guidance:
        config = self.recipe.distill
        draws = torch.rand(4, generator=generator).tolist()
        scales = [low + (high - low) * draw for (low, high), draw in zip((config.text, config.text, config.modality,
                  config.modality), draws, strict=True)]  # fmt: skip
        return Guidance((scales[0], scales[1]), (scales[2], scales[3]))

    def _stems(self, batch: Batch, generator: torch.Generator) -> tuple[StemDraw | None, Tensor | None]:
        """Which stems are given, and which of those as silence [B, S]; none has a noise level of its own."""
        if self.stems == 1:
            return None, None
        mixture = replace(self.recipe.noise.stems, together=self.recipe.noise.stems.together + 1e-3, apart=0.0)
        stems = draw_stems(mixture, torch.ones(batch["audio"].shape[1], len(batch["text"])), generator)
        return stems, stems.silent.T

    def _step(
        self, batch: int, stems: StemDraw | None, guided: bool, generator: torch.Generator, device: torch.device
    ) -> Step:
        """Draw what is made, and from which level to which."""
        noise, most = self.recipe.noise, self.recipe.distill.most
        streams = replace(noise.streams, independent=0.0, video_absent=0.0, audio_absent=0.0)
        pattern = draw_levels(
            replace(noise, streams=streams, times=replace(noise.times, block=0.0)), self.grid, batch, generator, stems
        )
        made = pattern.map(lambda level: (level > 0).to(device))
        begin, count, level = (torch.rand(batch, generator=generator) for _ in range(3))
        steps = 2.0 ** (1 + (count * (most.bit_length() - 1)).floor())  # 2, 4, ... most

        def shifted(time: Tensor) -> Tensor:
            shift = self.recipe.sampling.shift
            return shift * time / (1 + (shift - 1) * time)

        time = 1 - begin * (1 - 1 / steps)
        before, middle, after = (shifted((time - part / steps).clamp_min(0)) for part in (0.0, 0.5, 1.0))
        if guided:
            base = noise.level(torch.randn(batch, generator=generator))
            before = middle = after = torch.where(level < 0.1, torch.ones(()), base)
        small = (2 * steps > most).float()
        half = ((1 - middle / before) * (1 - small), (1 - after / middle.clamp_min(1e-6)) * (1 - small))
        return Step(
            before.to(device),
            middle.to(device),
            after.to(device),
            made,
            (1 - after / before).to(device),
            (half[0].to(device), half[1].to(device)),
        )

    def _guided(self, batch: Batch, guidance: Guidance, text: Text, options: dict[str, Any]) -> Guided:
        """The teacher as it is sampled."""
        rest = {name: value for name, value in options.items() if name != "audio_text"}
        empty = self.store.text([None] * len(batch["text"]))
        negative = Text(empty.states.to(text.states), empty.mask.to(text.mask.device))
        denoiser = Denoiser(self.teacher, self.recipe.prediction)
        return Guided(
            denoiser, text, negative, self._positions(batch), guidance, rest,
            options.get("audio_text"), _per_stem(negative, options.get("audio_text")),
        )  # fmt: skip

    def validate(self, model: nn.Module, step: int, folder: Path) -> dict[str, float]:
        """The generator's errors, and how far the student's films are from the teacher's from the same noise.

        "student_video" and "student_audio" are squared differences of latents over the teacher's variance: 1 is as
        far as another teacher's film of about the same kind, 0 the same film.
        """
        found = super().validate(model, step, folder)
        rows = list(range(min(8, self.recipe.data.held_out)))
        device = next(model.parameters()).device
        batch = {name: tensor.to(device) for name, tensor in self.read(rows).items()}
        self.teacher.to(device)
        way, few = self.recipe.distill.teacher_sampling, self.recipe.sampling
        noise = Latents(*(draw_noise(batch[s].shape[1:], rows, s).to(device) for s in ("video", "audio")))
        _, text, options = self._inputs(batch)
        guidance = Guidance(way.guidance, way.modality_guidance)
        slow = SAMPLERS[way.sampler](
            self._guided(batch, guidance, text, options),
            noise,
            flow_sigmas(steps_for(way.sampler, way.steps), way.shift),
        )
        sigmas = flow_sigmas(few.steps, few.shift)
        denoiser = Denoiser(model, self.recipe.prediction)
        fast = euler(Student(denoiser, text, self.positions, tuple(sigmas.tolist()), guidance), noise, sigmas)
        for name, made, wanted in (("video", fast.video, slow.video), ("audio", fast.audio, slow.audio)):
            if made is not None and wanted is not None:
                found[f"student_{name}"] = float((made - wanted).square().mean() / wanted.var())
        return found

    def provenance(self) -> dict[str, str]:
        return {**super().provenance(), "teacher": file_sha256(self.recipe.distill.teacher)}


def _per_stem(text: Text, like: Text | None) -> Text | None:
    """A prompt for each stem of `like`, all the same."""
    if like is None:
        return None
    stems = like.states.shape[1]
    return Text(text.states[:, None].expand(-1, stems, -1, -1), text.mask[:, None].expand(-1, stems, -1))
