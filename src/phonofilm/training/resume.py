"""Going on with a run: what may change, what must not, and what is still owed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from phonofilm.checkpoint import load_tensors
from phonofilm.config import from_dict
from phonofilm.errors import PhonofilmError
from phonofilm.training.learner import Progress
from phonofilm.training.optim.optimizers import lr_scale
from phonofilm.training.tasks.base import Task

FREE = frozenset(
    f"run.{name}"
    for name in (
        *("output", "steps", "max_minutes", "device", "compile", "threads", "prefetch", "loaders", "init", "export"),
        *("log_every", "save_every", "validate_every", "placement", "offload", "recompute", "peak_tflops"),
    )
)
"""Settings that training does not depend on once it has begun, for every task."""

RISE = 1.05
"""A learning rate that grows by more than this factor at resume is reported."""


@dataclass(frozen=True)
class Checkpoint:
    """A run as it was saved: tensors, progress, and the recipe it was made with."""

    path: Path
    tensors: dict[str, Tensor]
    progress: Progress
    recipe: Any

    @staticmethod
    def read(path: Path, recipe: type[Any]) -> Checkpoint:
        """Read a checkpoint of a task with recipes of this class; settings that are newer have their defaults.

        Raises:
            PhonofilmError: a corrupt file, or one that is no checkpoint of such a task.
        """
        tensors, metadata = load_tensors(path)
        try:
            values, done = json.loads(metadata["recipe"]), json.loads(metadata["progress"])
        except (KeyError, ValueError) as error:
            raise PhonofilmError(f"{path} is no checkpoint of a run; choose another run.output") from error
        try:
            return Checkpoint(path, tensors, from_dict(Progress, done), from_dict(recipe, values))
        except PhonofilmError as error:
            raise PhonofilmError(f"{path} is of another kind of run ({error}); choose another run.output") from error

    def check(self, task: Task) -> list[str]:
        """What the user should know before the run goes on with the recipe of `task`, one line each.

        Raises:
            PhonofilmError: a setting that training depends on is another one.
        """
        free, lines = FREE | task.free_at_resume, []
        for name, was, now in _differences(self.recipe, task.recipe):
            if any(name == setting or name.startswith(f"{setting}.") for setting in free):
                continue
            if not (isinstance(was, Path) and isinstance(now, Path) and was.name == now.name):
                raise PhonofilmError(
                    f"{self.path} was made with another {name}; resume with the same recipe, "
                    f"or start a new run with run.init"
                )
            lines.append(f"note: {name} is {now} instead of {was}: it must hold the same as before")
        return lines + self._rise(task)

    def owes_validation(self, task: Task) -> bool:
        """Whether the run may have ended between the checkpoint and the validation of its step."""
        every, step = self.recipe.run.validate_every, self.progress.step
        over = any(self.progress.fraction(run) >= 1 for run in (self.recipe.run, task.recipe.run))
        return step > 0 and (over or (every > 0 and step % every == 0))

    def _rise(self, task: Task) -> list[str]:
        """A line where the first step has a much larger learning rate than the last one had."""
        progress, optim = self.progress, task.recipe.optim
        if progress.step == 0 or progress.fraction(task.recipe.run) >= 1:
            return []
        share = progress.fraction(self.recipe.run) * (1 - 1 / progress.step)
        was = lr_scale(self.recipe.optim, progress.step - 1, share)
        now = lr_scale(optim, progress.step, progress.fraction(task.recipe.run))
        if progress.step < optim.warmup or now <= RISE * was:
            return []
        return [
            f"note: the learning rate goes up again, from {optim.lr * was:.2g} to {optim.lr * now:.2g} "
            f"({now / was:.3g} times): the run had begun to cool down, and is now longer"
        ]


def _differences(one: Any, other: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Settings of two recipes of one class that differ, with their dotted names."""
    for field in dataclasses.fields(one):
        name, was, now = f"{where}{field.name}", getattr(one, field.name), getattr(other, field.name)
        if dataclasses.is_dataclass(was) and type(was) is type(now):
            yield from _differences(was, now, f"{name}.")
        elif isinstance(was, Mapping) and isinstance(now, Mapping):
            for key in sorted(was.keys() | now.keys()):
                if _text(was.get(key)) != _text(now.get(key)):
                    yield f"{name}.{key}", was.get(key), now.get(key)
        elif _text(was) != _text(now):
            yield name, was, now


def _text(value: Any) -> str:
    """A setting as JSON, where tuples and lists are the same."""
    return json.dumps(value, sort_keys=True, default=str)
