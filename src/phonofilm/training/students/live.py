"""A causal student for live film: trained on its own films, chunk by chunk, against a critic and its guided teacher.

Self-forcing (Huang et al. 2025, 2506.08009): the student makes a whole clip as it will be used, each chunk in a few
steps on the cache of its own earlier ones, so that it learns to live with its own errors. Its clips are brought towards
the distribution of the guided teacher's by distribution matching (Yin et al. 2023, 2311.18828): noise is added, and the
student moves from where a critic, which learns to denoise the student's clips, would lead to where the teacher would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from phonofilm.checkpoint import file_sha256, load_module
from phonofilm.errors import PhonofilmError
from phonofilm.model.cache import CausalNetwork, ChunkLayout
from phonofilm.model.transformer import AVTransformer
from phonofilm.sampling import Denoiser, Guidance, Guided, add_noise, draw_noise, flow_sigmas
from phonofilm.training.mixture.noise import draw_switches
from phonofilm.training.tasks.base import Batch, generator_for
from phonofilm.training.tasks.generator import GeneratorRecipe, GeneratorTask
from phonofilm.types import Grid, Latents, Text

CRITIC = "critic"
"""Name of the critic among the student's modules while it is trained; it is not exported."""


@dataclass(frozen=True)
class SelfForcingConfig:
    """Who is learnt from, and how.

    Attributes:
        teacher: weights that student, critic and teacher begin as; not those of a student of few steps.
        guidance, modality_guidance: (video, audio) scales of the teacher.
        share: of batches from which the student learns; the critic learns from all, and must be ahead of it.
        sinks, window: what a chunk sees, as of `ChunkLayout`.
        levels: lowest and highest noise level at which teacher and critic are compared.
    """

    teacher: Path
    guidance: tuple[float, float] = (1.5, 1.5)
    modality_guidance: tuple[float, float] = (2.0, 2.0)
    share: float = 0.25
    sinks: int = 1
    window: int = 7
    levels: tuple[float, float] = (0.02, 0.98)

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise PhonofilmError(f"self_forcing.share = {self.share:g} is a share: above 0, at most 1")
        if not 0 < self.levels[0] < self.levels[1] <= 1:
            raise PhonofilmError(f"self_forcing.levels = {self.levels} must rise between 0 and 1")


@dataclass(frozen=True)
class LiveRecipe(GeneratorRecipe):
    """recipes/nano_128_live.toml: a generator's recipe, whose `chunks` and `sampling` are those of the live film."""

    kind: Literal["live"]  # type: ignore[assignment]
    self_forcing: SelfForcingConfig = field(kw_only=True)


class LiveTask(GeneratorTask):
    """The generator's data and network; of the data, prompts alone are looked at."""

    Recipe = LiveRecipe

    def __init__(self, recipe: LiveRecipe) -> None:
        super().__init__(recipe)
        self.recipe: LiveRecipe = recipe
        forcing, sampling = recipe.self_forcing, recipe.sampling
        if recipe.network != "transformer" or recipe.streams != "both" or recipe.alignment.weight:
            raise PhonofilmError("a live student is a transformer of both streams, without alignment")
        unguided = {*sampling.guidance, *sampling.modality_guidance} == {1.0}
        if sampling.sampler != "euler" or sampling.student or not unguided:
            raise PhonofilmError("a live student takes Euler's steps without guidance: set [sampling] so")
        self.teacher = load_module(AVTransformer, forcing.teacher).requires_grad_(False)
        if self.teacher.config != self.config:
            raise PhonofilmError(f"{forcing.teacher} is another network than the recipe's: make them the same")
        self.layout, self.count = self._layout()
        self.whole = self._film().positions(tuple(range(self.stems)))

    def build(self) -> nn.Module:
        student = load_module(AVTransformer, self.recipe.self_forcing.teacher).train()
        student.add_module(CRITIC, load_module(AVTransformer, self.recipe.self_forcing.teacher).train())
        return student

    def finish(self, model: nn.Module) -> None:
        """See `GeneratorTask.finish`."""
        super().finish(model)
        if hasattr(model, CRITIC):
            delattr(model, CRITIC)

    def batch(self, step: int) -> Batch:
        """Prompts, some of them empty."""
        rows, run = self._rows(step), self.recipe.run
        dropped = draw_switches(self.recipe.noise.drop_text, len(rows), generator_for("text", run.seed, step)).tolist()
        text = self.store.text([None if drop else row for row, drop in zip(rows, dropped, strict=True)])
        return {"text": text.states, "mask": text.mask}

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The critic's error on the student's clips, and in a share of batches how the student should move."""
        text = Text(batch["text"], batch["mask"])
        learns = float(torch.rand((), generator=generator)) < self.recipe.self_forcing.share
        exits = int(torch.randint(self.recipe.sampling.steps, (), generator=generator))
        with torch.set_grad_enabled(learns):
            film = self.roll_out(model, text, self._noise(len(text.states), generator, text), exits)
        made = film.map(lambda x: x.detach())
        sigma = self._levels(len(text.states), generator, text)
        noise = made.map(lambda x: torch.randn(x.shape, generator=generator).to(x))
        critic = Denoiser(getattr(model, CRITIC), self.recipe.prediction)
        loss, parts = critic.loss(made, noise, sigma, text, self.whole, self.recipe.loss)
        found = {f"critic_{name}": error for name, error in parts.items()}
        if learns:
            matching = self._matching(critic, film, add_noise(made, noise, sigma), sigma, text)
            found["matching"] = matching.detach()
            loss = loss + matching
        return loss, found

    def roll_out(self, model: nn.Module, text: Text, noise: list[Latents], exits: int) -> Latents:
        """A clip as the student makes it, [B, ...], each chunk on its own clean earlier ones.

        Only the last evaluation of each chunk, which is that of step `exits`, has gradients (if any are wanted).

        Args:
            noise: of each chunk.
            exits: the step whose estimate of what is clean is taken for the chunk, from 0.
        """
        causal = CausalNetwork.of(model, self.layout)  # type: ignore[arg-type]
        denoiser = Denoiser(model, self.recipe.prediction)  # type: ignore[arg-type]
        sigmas = flow_sigmas(self.recipe.sampling.steps, self.recipe.sampling.shift).tolist()
        wanted, cache, chunks = torch.is_grad_enabled(), causal.start(), []
        for x in noise:
            places = causal.places(cache)
            with torch.no_grad():
                past = causal.read(cache, len(text.states))
                for step in range(exits):
                    level = _level(x, sigmas[step])
                    clean = denoiser(x, level, text, places, past=past)
                    keep = sigmas[step + 1] / sigmas[step]
                    x = x.map(lambda noisy, to, keep=keep: to + keep * (noisy - to), clean)
            with torch.set_grad_enabled(wanted):
                chunks.append(denoiser(x, _level(x, sigmas[exits]), text, places, past=past))
            clean = chunks[-1].map(lambda v: v.detach())
            cache = causal.write(cache, clean, _level(clean, 0.0), text)
        return Latents(
            *(torch.cat([getattr(one, name) for one in chunks], axis) for name, axis in (("video", 2), ("audio", 3)))
        )

    def _matching(self, critic: Denoiser, film: Latents, noisy: Latents, sigma: Latents, text: Text) -> Tensor:
        """Half the squared distance to where a step from the critic's estimate to the teacher's would bring the clip.

        The step is measured in the teacher's mean error, for each clip and stream (equation 8 of 2311.18828).
        """
        forcing = self.recipe.self_forcing
        empty = self.store.text([None] * len(text.states))
        negative = Text(empty.states.to(text.states), empty.mask.to(text.mask.device))
        teacher = Denoiser(self.teacher.to(text.states.device), self.recipe.prediction)
        scales = Guidance(forcing.guidance, forcing.modality_guidance)
        with torch.no_grad():
            real = Guided(teacher, text, negative, self.whole, scales)(noisy, sigma)
            fake = critic(noisy, sigma, text, self.whole)

        def distance(x: Tensor, to: Tensor, away: Tensor) -> Tensor:
            size = (x.detach() - to).abs().flatten(1).mean(1).clamp_min(1e-4)
            way = (away - to) / size.view(-1, *(1 for _ in x.shape[1:]))
            return 0.5 * (x - (x.detach() - way)).square().mean()

        weights = Latents(*(torch.tensor(weight) for weight in (self.recipe.loss.video, self.recipe.loss.audio)))
        found = film.map(lambda x, to, away, weight: weight * distance(x, to, away), real, fake, weights)
        return torch.stack([found.video, found.audio]).sum()  # type: ignore[list-item]

    def validate(self, model: nn.Module, step: int, folder: Path) -> dict[str, float]:
        """The generator's errors, and what becomes of roll-outs: the deviation of the last chunk's latents over that of
        the first one's, below 1 where films fade ("drift_video", "drift_audio")."""
        found = super().validate(model, step, folder)
        rows = list(range(min(8, self.recipe.data.held_out)))
        device = next(model.parameters()).device
        read = self.store.text(rows)
        text = Text(read.states.to(device), read.mask.to(device))
        with torch.no_grad():
            noise = [
                Latents(*(draw_noise(shape, rows, f"live {name} {k}").to(device) for name, shape in shapes.items()))
                for k, shapes in enumerate(self._shapes())
            ]
            film = self.roll_out(model, text, noise, self.recipe.sampling.steps - 1)
        steps = self.layout.video_steps, self.layout.audio_steps
        for name, x, axis, size in (("video", film.video, 2, steps[0]), ("audio", film.audio, 3, steps[1])):
            assert x is not None
            last, first = x.narrow(axis, x.shape[axis] - size, size), x.narrow(axis, 0, size)
            found[f"drift_{name}"] = float(last.std() / first.std())
        return found

    def provenance(self) -> dict[str, str]:
        return {**super().provenance(), "teacher": file_sha256(self.recipe.self_forcing.teacher)}

    def _layout(self) -> tuple[ChunkLayout, int]:
        """How clips are cut, and into how many chunks."""
        grid, forcing = self.grid, self.recipe.self_forcing
        size, seconds = (grid.width, grid.height), Fraction(str(self.recipe.chunks.seconds))
        stems = tuple(range(self.stems))
        try:
            layout = ChunkLayout(size, grid.fps, grid.geometry, seconds, forcing.sinks, forcing.window, stems)
        except ValueError as error:
            raise PhonofilmError(f"chunks.seconds: {error}") from error
        count = (grid.video_shape[0] - 1) // layout.video_steps
        if count < 2:
            raise PhonofilmError(f"clips of {float(grid.seconds):g} s are too short: two chunks are needed at least")
        return layout, count

    def _film(self) -> Grid:
        """The grid of all chunks.

        Raises:
            PhonofilmError: codecs whose streams do not end together.
        """
        layout = self.layout
        film = Grid(1 + layout.frames * self.count, layout.size[1], layout.size[0], layout.fps, layout.geometry)
        if film.audio_length != 1 + layout.audio_steps * self.count:
            raise PhonofilmError("picture and sound of these latents do not end together, as chunks of a clip must")
        return film

    def _shapes(self) -> list[Mapping[str, tuple[int, ...]]]:
        """Of each chunk's latents, by stream."""
        found: list[Mapping[str, tuple[int, ...]]] = []
        for number in range(self.count):
            picture, (stems, length) = self.layout.shapes(number)
            found.append(
                {"video": (self.config.video.channels, *picture), "audio": (stems, self.config.audio.channels, length)}
            )
        return found

    def _noise(self, batch: int, generator: torch.Generator, like: Text) -> list[Latents]:
        return [
            Latents(
                *(torch.randn(batch, *shape, generator=generator).to(like.mask.device) for shape in shapes.values())
            )
            for shapes in self._shapes()
        ]

    def _levels(self, batch: int, generator: torch.Generator, like: Text) -> Latents:
        """One level for each clip, evenly in the time of the shifted schedule."""
        low, high = self.recipe.self_forcing.levels
        time, shift = low + (high - low) * torch.rand(batch, generator=generator), self.recipe.sampling.shift
        level = (shift * time / (1 + (shift - 1) * time)).to(like.mask.device)
        return Latents(level.view(-1, 1, 1, 1, 1), level.view(-1, 1, 1, 1))


def _level(latents: Latents, sigma: float) -> Latents:
    return latents.map(lambda x: torch.full((len(x), *(1 for _ in x.shape[1:])), sigma, device=x.device))
