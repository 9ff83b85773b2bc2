"""A network under training: its float32 weights, optimisers and average."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from phonofilm.errors import PhonofilmError
from phonofilm.model.moe.layer import rebalance
from phonofilm.precision import autocast
from phonofilm.training.optim.ema import EMA
from phonofilm.training.optim.optimizers import Optimisers, lr_scale
from phonofilm.training.tasks.base import Batch, RunConfig, Task, generator_for, mix


@dataclass
class Progress:
    """How far a run is: steps done, seconds spent, and how many steps were skipped."""

    step: int = 0
    seconds: float = 0.0
    skipped: int = 0

    def __post_init__(self) -> None:
        if min(self.step, self.seconds, self.skipped) < 0 or not math.isfinite(self.seconds):
            raise PhonofilmError(f"{self} is no progress of a run")

    def fraction(self, run: RunConfig) -> float:
        """Share of the run that is over, by steps or by time, whichever is further."""
        by_time = self.seconds / (60 * run.max_minutes) if run.max_minutes else 0.0
        return max(self.step / max(run.steps, 1), by_time)


class Learner:
    """Everything a step changes, and the weights (`init`) that it all began with.

    Weights are float32 throughout. A bfloat16 copy with a float32 master was measured no faster than
    autocast on a CPU (codec 1.07 against 1.04 s, generator 1.13 against 1.09 s a step), and is less safe.
    """

    def __init__(self, task: Task, model: nn.Module, device: torch.device) -> None:
        self.task, self.run, self.device = task, task.recipe.run, device
        self.init = self.run.init
        self.model = model.to(device).train()
        self.optimisers = Optimisers(self.model, task.recipe.optim)
        self.average = EMA(self.model, task.recipe.optim.ema)
        if self.run.compile:
            task.compile(self.model)

    def autocast(self) -> AbstractContextManager[object]:
        return autocast(self.device, {"auto": None, "autocast": True, "fp32": False}[self.run.precision])

    def step(self, progress: Progress, batches: Iterable[Batch]) -> tuple[dict[str, Tensor], float]:
        """One optimiser step over `accumulate` batches; returns mean metrics and the gradient's norm."""
        seed, step, count = self.run.seed, progress.step, self.run.accumulate
        torch.manual_seed(mix("step", seed, step))  # dropout too is a pure function of the step
        total: dict[str, Tensor] = {}
        for part, batch in enumerate(batches):
            generator = generator_for("loss", seed, step, part)
            with self.autocast():
                loss, metrics = self.task.loss(self.model, batch, generator)
            (loss / count).backward()
            for name, value in {"loss": loss, **metrics}.items():
                total[name] = total.get(name, torch.zeros((), device=self.device)) + value.detach() / count
        norm = self.optimisers.step(self._scale(progress))
        if (least := rebalance(self.model)) is not None:
            total["least_used"] = torch.tensor(least)
        self.average.update(self.model, step)
        return total, norm

    def rates(self, progress: Progress) -> dict[str, float]:
        """The learning rates of the step that comes next, by name."""
        config, parts, scale = self.optimisers.config, self.optimisers.parts, self._scale(progress)
        rates = {"adamw": ("learning_rate", config.lr), "muon": ("muon_learning_rate", config.muon_lr)}
        return {name: rate * scale for kind, (name, rate) in rates.items() if kind in parts}

    def _scale(self, progress: Progress) -> float:
        return lr_scale(self.optimisers.config, progress.step, progress.fraction(self.run))

    def tensors(self) -> dict[str, Tensor]:
        """All of it, flat: weights that are not frozen, their average, and the optimiser's state."""
        still = self._frozen()
        return {
            **{f"model.{name}": value for name, value in self.model.state_dict().items() if name not in still},
            **{f"ema.{name}": value for name, value in self.average.module.state_dict().items() if name not in still},
            **{f"optim.{name}": value for name, value in self.optimisers.tensors()},
        }

    def _frozen(self) -> frozenset[str]:
        """Names of weights that no step changes."""
        return frozenset(name for name, parameter in self.model.named_parameters() if not parameter.requires_grad)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `tensors` gave."""
        for module, prefix in ((self.model, "model."), (self.average.module, "ema.")):
            held = module.state_dict()
            still = {name: held[name] for name in self._frozen()}
            load_weights(module, still | _under(prefix, tensors), "the checkpoint")
        self.optimisers.load(_under("optim.", tensors))


def load_weights(module: nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """Strict load.

    Raises:
        PhonofilmError: other names or shapes than this module's.
    """
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise PhonofilmError(f"{where} does not fit the recipe's model: {first}") from error


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
