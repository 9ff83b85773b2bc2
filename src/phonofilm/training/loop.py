"""The one training loop: any task, from a recipe to exported weights, stopped and resumed at will."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from phonofilm.checkpoint import load_tensors, save_module, save_tensors
from phonofilm.config import portable, read_toml, to_dict
from phonofilm.errors import Cancelled, PhonofilmError
from phonofilm.files import check_folder
from phonofilm.training.learner import Learner, Progress, load_weights
from phonofilm.training.logging import VALIDATION, NoLog, RunLog
from phonofilm.training.parallel.processes import Processes, joined
from phonofilm.training.resume import Checkpoint
from phonofilm.training.skipped import Skipped, named
from phonofilm.training.spikes import Spikes
from phonofilm.training.tasks.base import Batch, Task, parsed
from phonofilm.training.usage import Usage

CHECKPOINT = "checkpoint.safetensors"


def train(recipe: str | Path, overrides: Sequence[str] = (), resume: bool = False) -> Path:
    """Train what a recipe says and return the path of the exported weights.

    Started by torchrun, the processes share the batches of each step; see docs/training.md.

    Args:
        recipe: a TOML file (see `recipes/`).
        overrides: "key.sub=value" settings that replace the recipe's.
        resume: go on from the checkpoint in the run's folder, if there is one.

    Raises:
        PhonofilmError: a wrong recipe, missing data, a checkpoint of another recipe.
        Cancelled: stopped by Ctrl-C, after the checkpoint was saved.
    """
    cls, settings = parsed(read_toml(recipe, overrides), str(recipe))
    check_folder(settings.run.output)
    return fit(cls(settings), resume=resume)


def fit(task: Task, resume: bool = False) -> Path:
    """`train` for a task that is already made."""
    run = task.recipe.run
    with joined(run.device, alone=run.placement == "copies") as processes:
        processes.share(run.accumulate)
        return _fit(task, resume, processes)


def _fit(task: Task, resume: bool, processes: Processes) -> Path:
    run = task.recipe.run
    if run.threads:
        torch.set_num_threads(run.threads)
    learner, progress, saved = _start(task, resume, processes)
    samples = run.output / "samples"
    samples.mkdir(parents=True, exist_ok=True)
    with (
        RunLog(run.output, progress.step) if processes.first else NoLog() as log,
        _Interrupt() as interrupt,
        _Batches(task, progress.step, processes.share(run.accumulate)) as batches,
    ):
        skipped, spikes = Skipped(task, progress, log.say), Spikes(task.recipe.optim, progress, log.say)
        usage = Usage(task, learner.device, processes.count)
        for line in saved.check(task) if saved else ():
            log.say(line)
        if processes.latest(saved is not None and saved.owes_validation(task) and not log.validated(progress.step))[0]:
            _validate(learner, progress.step, samples, log)
        clock, since = time.monotonic() - progress.seconds, progress.step
        mark = time.monotonic()
        while progress.fraction(run) < 1:
            rates = learner.rates(progress)
            metrics, norm = learner.step(progress, batches.take(learner.device), spikes.limit())
            skipped.step(norm, metrics["loss"])
            if spikes.step(norm):
                _rewind(learner, spikes)
            progress.step += 1
            progress.seconds, asked = processes.latest(time.monotonic() - clock, interrupt.asked)
            last = progress.fraction(run) >= 1
            if last or _due(progress.step, run.log_every):
                speed = (progress.step - since) * run.batch * run.accumulate / (time.monotonic() - mark)
                since, mark = progress.step, time.monotonic()
                means = processes.summed({k: float(v) for k, v in metrics.items()})
                _report(log, progress, run, means, norm, rates, {"clips_per_second": speed, **usage.of(speed)})
            if asked or last or _due(progress.step, run.save_every):
                _save(learner, progress)
            if asked and not last:
                raise Cancelled(f"stopped at step {progress.step}; the checkpoint is saved, go on with --resume")
            if last or _due(progress.step, run.validate_every):
                _validate(learner, progress.step, samples, log)
                since, mark = progress.step, time.monotonic()
        skipped.finish()
        log.say(f"step {progress.step}  the run is complete; its averaged weights are exported as {run.export}")
    return _export(learner, progress)


def _start(task: Task, resume: bool, processes: Processes) -> tuple[Learner, Progress, Checkpoint | None]:
    """A fresh learner, or the one the run's folder holds and the checkpoint it comes from."""
    run = task.recipe.run
    path = run.output / CHECKPOINT
    found = bool(processes.latest(path.exists())[0])
    if found and not path.exists():
        raise PhonofilmError(f"process {processes.rank} does not see {path}: all need one folder for run.output")
    if found and not resume:
        raise PhonofilmError(f"{run.output} already holds a run; go on with --resume, or choose another run.output")
    device = processes.device(run.device)
    torch.manual_seed(run.seed)
    model = task.build()
    saved = Checkpoint.read(path, type(task.recipe)) if found else None
    if saved is None and run.init is not None:
        load_weights(model, {**_untrained(model, task), **_begun(task, load_tensors(run.init)[0])}, str(run.init))
    elif saved is not None:
        saved.check(task)  # before its tensors are tried
    learner = Learner(task, model, device, processes)
    run.output.mkdir(parents=True, exist_ok=True)
    if saved is None:
        return learner, Progress(), None
    learner.load(saved.tensors)
    learner.init = saved.recipe.run.init
    return learner, replace(saved.progress), replace(saved, tensors={})


def _untrained(model: torch.nn.Module, task: Task) -> dict[str, torch.Tensor]:
    """Fresh weights of the parts that weights to begin with may lack, since they serve training alone or are zero."""
    names = tuple(task.may_be_fresh)
    return {name: value for name, value in model.state_dict().items() if name.startswith(names)}


def _begun(task: Task, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights to begin with, made into those of the task's network where it differs from theirs in a known way."""
    begin = getattr(task, "begin", None)
    return tensors if begin is None else begin(tensors)


def _save(learner: Learner, progress: Progress) -> None:
    metadata = {
        "progress": json.dumps(asdict(progress)),
        "recipe": json.dumps(_recipe(learner)),
    }
    tensors = learner.gathered()
    if tensors is not None:
        save_tensors(learner.run.output / CHECKPOINT, tensors, metadata)
    learner.processes.wait()


def _rewind(learner: Learner, spikes: Spikes) -> None:
    """Weights, average and optimiser as the checkpoint has them; the run goes on with the batches that follow."""
    path = learner.run.output / CHECKPOINT
    if path.exists():
        saved = Checkpoint.read(path, type(learner.task.recipe))
        learner.load(saved.tensors)
        spikes.rewound(saved.progress.step)


@torch.no_grad()
def _validate(learner: Learner, step: int, folder: Path, log: RunLog | NoLog) -> None:
    network = learner.averaged()
    if network is None:
        learner.processes.wait()
        return
    with learner.autocast():
        found = learner.task.validate(network, step, folder)
    log.write(step, found, prefix=VALIDATION)
    wrong = [name for name, value in found.items() if not math.isfinite(value)]
    if wrong:
        faulty = learner.task.faulty(None)
        where = f": values are not finite in {named(faulty)}" if faulty else ", though the held-out clips are"
        log.say(f"note: {VALIDATION}{wrong[0]} is not finite{where}")
    learner.processes.wait()


@torch.no_grad()
def _export(learner: Learner, progress: Progress) -> Path:
    """The averaged weights, finished and narrowed, with what they depend on in their metadata."""
    task, run = learner.task, learner.run
    path, network = run.output / task.filename, learner.averaged()
    if network is None:
        learner.processes.wait()
        return path
    with learner.autocast():
        task.finish(network)
    metadata = {
        "recipe": json.dumps(portable(_recipe(learner)), sort_keys=True),
        "step": str(progress.step),
        "torch": torch.__version__,
        **task.provenance(),
    }
    try:
        if (save := getattr(task, "save", None)) is not None:
            save(path, network, getattr(torch, run.export), metadata)
        else:
            save_module(path, network, dtype=getattr(torch, run.export), metadata=metadata)
    except PhonofilmError as error:
        if run.export == "float32" or not all(tensor.isfinite().all() for tensor in network.state_dict().values()):
            raise
        raise PhonofilmError(f"{error}; export wider numbers: --resume --set run.export=float32") from error
    learner.processes.wait()
    return path


def _recipe(learner: Learner) -> dict[str, Any]:
    """The recipe as it is written down: what the run began with is not what a resumed one is told."""
    values = to_dict(learner.task.recipe)
    values["run"]["init"] = None if learner.init is None else str(learner.init)
    return values


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _report(
    log: RunLog | NoLog,
    progress: Progress,
    run: Any,
    metrics: dict[str, float],
    norm: float,
    rates: dict[str, float],
    speeds: dict[str, float],
) -> None:
    counts = {"skipped": progress.skipped, **speeds, "minutes": progress.seconds / 60}
    values = {**metrics, "gradient": norm, **rates, **counts}
    speed = speeds["clips_per_second"]
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
    """Batches in order from a step on, `prefetch` of them made ahead by threads.

    Args:
        parts: which batches of each step are taken.
    """

    def __init__(self, task: Task, step: int, parts: range) -> None:
        self.task, self.parts = task, parts
        self._next = step * len(parts)
        self._pool = ThreadPoolExecutor(task.recipe.run.loaders) if task.recipe.run.prefetch else None
        self._ahead: list[Any] = []

    def __enter__(self) -> _Batches:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def take(self, device: torch.device) -> Iterator[tuple[int, Batch]]:
        """The batches of one optimiser step, with their numbers among all of the step."""
        for part in self.parts:
            batch = self._one()
            yield part, {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}

    def _one(self) -> Batch:
        if self._pool is None:
            return self.task.batch(self._number())
        while len(self._ahead) <= self.task.recipe.run.prefetch:
            self._ahead.append(self._pool.submit(self.task.batch, self._number()))
        return self._ahead.pop(0).result()

    def _number(self) -> int:
        """Number of the next batch among all of the run."""
        step, place = divmod(self._next, len(self.parts))
        self._next += 1
        return step * self.task.recipe.run.accumulate + self.parts[place]
