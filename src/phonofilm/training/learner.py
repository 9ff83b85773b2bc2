"""A network under training: its float32 weights, optimisers and average, in one process or several."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from phonofilm.errors import PhonofilmError
from phonofilm.model.moe.layer import rebalance
from phonofilm.precision import autocast
from phonofilm.training.optim.ema import EMA
from phonofilm.training.optim.optimizers import Optimisers, lr_scale
from phonofilm.training.optim.shares import spread, whole
from phonofilm.training.parallel.placement import TaskLoss, as_copies, last_only, recomputed, shared_out
from phonofilm.training.parallel.processes import ALONE, Processes
from phonofilm.training.tasks.base import Batch, RunConfig, Task, generator_for, mix


@dataclass
class Progress:
    """How far a run is: steps done, seconds spent, and how many steps were skipped.

    Attributes:
        norms: lengths of the last gradients that were no spikes. spikes: how many spikes in a row came last.
    """

    step: int = 0
    seconds: float = 0.0
    skipped: int = 0
    norms: tuple[float, ...] = ()
    spikes: int = 0

    def __post_init__(self) -> None:
        if min(self.step, self.seconds, self.skipped) < 0 or not math.isfinite(self.seconds):
            raise PhonofilmError(f"{self} is no progress of a run")

    def fraction(self, run: RunConfig) -> float:
        """Share of the run that is over, by steps or by time, whichever is further."""
        by_time = self.seconds / (60 * run.max_minutes) if run.max_minutes else 0.0
        return max(self.step / max(run.steps, 1), by_time)


class Learner:
    """Everything a step changes, and the weights (`init`) that it all began with.

    Several processes share the batches of a step, and hold each a copy of everything, or a share.

    Weights are float32 throughout. A bfloat16 copy with a float32 master was measured no faster than
    autocast on a CPU (codec 1.07 against 1.04 s, generator 1.13 against 1.09 s a step), and is less safe.
    """

    def __init__(self, task: Task, model: nn.Module, device: torch.device, processes: Processes = ALONE) -> None:
        self.task, self.run, self.device, self.processes = task, task.recipe.run, device, processes
        self.init = self.run.init
        self.shared = processes.joined and self.run.placement == "shares"
        self.model = (model if self.shared else model.to(device)).train()
        self.average = EMA(self.model, task.recipe.optim.ema)
        self._loss: nn.Module = TaskLoss(task, self.model)
        self._plain = deepcopy(self.average.module) if self.shared and processes.first else None
        if self.run.recompute:
            recomputed(self.model)
        if self.shared:
            shared_out(task, [self._loss, self.average.module], device, self.run.offload)
            self.model.to(device)
        self.optimisers = Optimisers(self.model, task.recipe.optim)
        if self.run.compile:
            task.compile(self.model)
        if processes.count > 1 and not self.shared:
            self._loss = as_copies(self._loss)

    def autocast(self) -> AbstractContextManager[object]:
        return autocast(self.device, {"auto": None, "autocast": True, "fp32": False}[self.run.precision])

    def step(
        self, progress: Progress, batches: Iterable[tuple[int, Batch]], limit: float = math.inf
    ) -> tuple[dict[str, Tensor], float]:
        """One optimiser step over `accumulate` batches, of which each process has some, with their numbers.

        Returns:
            this process's share of the mean metrics, and the norm of the whole gradient. The weights stay as they
            are if that is above `limit`.
        """
        seed, step, count = self.run.seed, progress.step, self.run.accumulate
        mine = self.processes.share(count)
        total: dict[str, Tensor] = {}
        for part, batch in batches:
            # dropout too is a pure function of the step and the batch
            torch.manual_seed(mix("step", seed, step, part) if part else mix("step", seed, step))
            generator = generator_for("loss", seed, step, part)
            with last_only(self._loss, part == mine[-1]):
                with self.autocast():
                    loss, metrics = self._loss(batch, generator)
                (loss / len(mine)).backward()
            for name, value in {"loss": loss, **metrics}.items():
                total[name] = total.get(name, torch.zeros((), device=self.device)) + value.detach() / count
        norm = self.optimisers.step(self._scale(progress), limit)
        if (least := rebalance(self.model)) is not None:
            total["least_used"] = torch.tensor(least / self.processes.count)  # each process says its part of a mean
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

    def gathered(self) -> dict[str, Tensor] | None:
        """`tensors` as the first process writes them, whole; None in the others, which all must ask."""
        found = {}
        for name, value in self.tensors().items():
            tensor = whole(value)
            if self.processes.first:
                found[name] = tensor.cpu() if self.shared else tensor
        return found if self.processes.first else None

    def averaged(self) -> nn.Module | None:
        """The averaged network for the first process, whole; None for the others, which all must ask."""
        if not self.shared:
            return self.average.module if self.processes.first else None
        state = {name: whole(value) for name, value in self.average.module.state_dict().items()}
        if self._plain is not None:
            self._plain.load_state_dict(state)
            self._plain.to(self.device)
        return self._plain

    def _frozen(self) -> frozenset[str]:
        """Names of weights that no step changes."""
        return frozenset(name for name, parameter in self.model.named_parameters() if not parameter.requires_grad)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `tensors` gave."""
        for module, prefix in ((self.model, "model."), (self.average.module, "ema.")):
            held = module.state_dict()
            still = {name: held[name] for name in self._frozen()}
            load_weights(module, still | spread(_under(prefix, tensors), held), "the checkpoint")
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
