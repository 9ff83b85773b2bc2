"""The one training loop: any task, from a recipe to exported weights, stopped and resumed at will."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from phonofilm.checkpoint import load_tensors, save_module, save_tensors
from phonofilm.config import from_dict, portable, to_dict
from phonofilm.errors import Cancelled, PhonofilmError
from phonofilm.training.learner import Learner, Progress, load_weights
from phonofilm.training.logging import RunLog
from phonofilm.training.tasks.base import Batch, Task, open_task

CHECKPOINT = "checkpoint.safetensors"
MAY_CHANGE = {
    "steps", "max_minutes", "output", "log_every", "save_every", "validate_every", "threads", "prefetch", "loaders"
}  # fmt: skip


def train(recipe: str | Path, overrides: Sequence[str] = (), resume: bool = False) -> Path:
    """Train what a recipe says and return the path of the exported weights.

    Args:
        recipe: a TOML file (see `recipes/`).
        overrides: "key.sub=value" settings that replace the recipe's.
        resume: go on from the checkpoint in the run's folder, if there is one.

    Raises:
        PhonofilmError: a wrong recipe, missing data, a checkpoint of another recipe.
        Cancelled: stopped by Ctrl-C, after the checkpoint was saved.
    """
    return fit(open_task(recipe, overrides), resume=resume)


def fit(task: Task, resume: bool = False) -> Path:
    """`train` for a task that is already made."""
    run = task.recipe.run
    if run.output.exists() and not run.output.is_dir():
        raise PhonofilmError(f"{run.output} is a file; name a folder as run.output")
    if run.threads:
        torch.set_num_threads(run.threads)
    learner, progress = _start(task, resume)
    samples = run.output / "samples"
    samples.mkdir(parents=True, exist_ok=True)
    failures = 0
    with RunLog(run.output, progress.step) as log, _Interrupt() as interrupt, _Batches(task, progress.step) as batches:
        clock, since = time.monotonic() - progress.seconds, progress.step
        mark = time.monotonic()
        while progress.fraction(run) < 1:
            metrics, norm = learner.step(progress, batches.take(learner.device))
            failures = 0 if math.isfinite(norm) else failures + 1
            if failures == 8:
                raise PhonofilmError(f"training diverged at step {progress.step}; lower optim.lr and start again")
            progress.step += 1
            progress.seconds = time.monotonic() - clock
            last = progress.fraction(run) >= 1
            if last or _due(progress.step, run.log_every):
                speed = (progress.step - since) * run.batch * run.accumulate / (time.monotonic() - mark)
                since, mark = progress.step, time.monotonic()
                _report(log, progress, run, {k: float(v) for k, v in metrics.items()}, norm, speed)
            if interrupt.asked or last or _due(progress.step, run.save_every):
                _save(learner, progress)
            if interrupt.asked and not last:
                raise Cancelled(f"stopped at step {progress.step}; the checkpoint is saved, go on with --resume")
            if last or _due(progress.step, run.validate_every):
                log.write(progress.step, _validate(learner, progress.step, samples), prefix="validation/")
                since, mark = progress.step, time.monotonic()
    return _export(learner, progress)


def _start(task: Task, resume: bool) -> tuple[Learner, Progress]:
    """A fresh learner, or the one the run's folder holds."""
    run = task.recipe.run
    path = run.output / CHECKPOINT
    if path.exists() and not resume:
        raise PhonofilmError(f"{run.output} already holds a run; go on with --resume, or choose another run.output")
    device = pick_device(run.device)
    torch.manual_seed(run.seed)
    model = task.build()
    if run.init is not None and not path.exists():
        load_weights(model, load_tensors(run.init)[0], str(run.init))
    learner = Learner(task, model, device)
    run.output.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return learner, Progress()
    tensors, metadata = load_tensors(path)
    saved = from_dict(type(task.recipe), json.loads(metadata["recipe"]))  # settings that are newer have their defaults
    _same_recipe(_plain(saved), _plain(task.recipe), path)
    learner.load(tensors)
    return learner, Progress(**json.loads(metadata["progress"]))


def pick_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is one, else the CPU.

    Raises:
        PhonofilmError: a device this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise PhonofilmError(f"device {name!r} is not usable here; try device=cpu") from error
    return torch.device(name)


def _plain(recipe: Any) -> dict[str, Any]:
    """A recipe as it comes back from JSON: the same with paths as text and tuples as lists."""
    return json.loads(json.dumps(to_dict(recipe)))


def _same_recipe(saved: dict[str, Any], wanted: dict[str, Any], path: Path) -> None:
    for name in sorted(saved.keys() | wanted.keys()):
        one, other = saved.get(name), wanted.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            free = MAY_CHANGE if name == "run" else set()
            changed = [key for key in sorted(one.keys() | other.keys()) if one.get(key) != other.get(key)]
            changed = [f"{name}.{key}" for key in changed if key not in free]
        else:
            changed = [name] if one != other else []
        if changed:
            raise PhonofilmError(
                f"{path} was made with another {changed[0]}; resume with the same recipe, "
                f"or start a new run with run.init"
            )


def _save(learner: Learner, progress: Progress) -> None:
    metadata = {
        "progress": json.dumps({"step": progress.step, "seconds": progress.seconds}),
        "recipe": json.dumps(to_dict(learner.task.recipe)),
    }
    save_tensors(learner.run.output / CHECKPOINT, learner.tensors(), metadata)


@torch.no_grad()
def _validate(learner: Learner, step: int, folder: Path) -> dict[str, float]:
    with learner.autocast():
        return learner.task.validate(learner.average.module, step, folder)


@torch.no_grad()
def _export(learner: Learner, progress: Progress) -> Path:
    """The averaged weights, finished and narrowed, with what they depend on in their metadata."""
    task, run = learner.task, learner.run
    with learner.autocast():
        task.finish(learner.average.module)
    metadata = {
        "recipe": json.dumps(portable(to_dict(task.recipe)), sort_keys=True),
        "step": str(progress.step),
        "torch": torch.__version__,
        **task.provenance(),
    }
    path = run.output / task.filename
    save_module(path, learner.average.module, dtype=getattr(torch, run.export), metadata=metadata)
    return path


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _report(log: RunLog, progress: Progress, run: Any, metrics: dict[str, float], norm: float, speed: float) -> None:
    values = {**metrics, "gradient": norm, "clips_per_second": speed, "minutes": progress.seconds / 60}
    scalars = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    left = (progress.seconds / max(progress.fraction(run), 1e-9) - progress.seconds) / 60
    log.write(
        progress.step, values, line=f"{scalars}  |g| {norm:.2f}  {speed:.1f} clips/s  {max(left, 0):.0f} min left"
    )


class _Interrupt:
    """Turns the first Ctrl-C (or a polite kill) into a wish that the loop grants after its step."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def _ask(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class _Batches:
    """Batches in order from a step on, `prefetch` of them made ahead by threads."""

    def __init__(self, task: Task, step: int) -> None:
        self.task, self.count = task, task.recipe.run.accumulate
        self._next = step * self.count
        self._pool = ThreadPoolExecutor(task.recipe.run.loaders) if task.recipe.run.prefetch else None
        self._ahead: list[Any] = []

    def __enter__(self) -> _Batches:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def take(self, device: torch.device) -> Iterator[Batch]:
        """The batches of one optimiser step."""
        for _ in range(self.count):
            batch = self._one()
            yield {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}

    def _one(self) -> Batch:
        if self._pool is None:
            self._next += 1
            return self.task.batch(self._next - 1)
        while len(self._ahead) <= self.task.recipe.run.prefetch:
            self._ahead.append(self._pool.submit(self.task.batch, self._next))
            self._next += 1
        return self._ahead.pop(0).result()
