"""What `phonofilm plan-training` says against what training takes, at small sizes on this CPU.

python benchmarks/training.py LATENTS
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from phonofilm.training.learner import Learner, Progress
from phonofilm.training.planning.devices import this_cpu
from phonofilm.training.planning.paper import step_cost
from phonofilm.training.planning.plan import Plan, plan_of
from phonofilm.training.tasks.base import Batch, Task, generator_for, open_task

SIZES = ((4, "run.recompute=false"), (8, "run.recompute=false"), (8, "run.recompute=true"))
STEPS = 2


def main(latents: str) -> None:
    """Print a row for each size."""
    torch.set_num_threads(1)
    device = this_cpu(clock=time.process_time)
    print("| batch, setting | of | planned | measured |\n|---|---|---|---|")
    print(f"| products | TFLOP/s | | {device.tflops:.3f} |")
    for batch, setting in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            settings = [f"data.folder={latents}", f"run.output={folder}", f"run.batch={batch}", setting]
            task = open_task("recipes/nano_128.toml", settings)
            _row(f"{batch}, {setting}", task, plan_of(task, step_cost(task, torch.device("cpu")), 1, device, 1.0))


def _row(name: str, task: Task, plan: Plan) -> None:
    learner, progress = Learner(task, task.build(), torch.device("cpu")), Progress()
    batch = next(b for n in range(64) if {"video", "audio"} <= (b := task.batch(n)).keys() and len(b) == 4)
    times = []
    for _ in range(STEPS):
        begin = time.process_time()  # other work may share the core
        learner.step(progress, _once(batch))
        times.append(time.process_time() - begin)
        progress.step += 1
    sizes = {name: tensor.nbytes for name, tensor in learner.tensors().items()}
    held = {part: sum(size for key, size in sizes.items() if key.startswith(begin)) for part, begin in
            (("weights", "model."), ("average", "ema."), ("optimiser", "optim."))}  # fmt: skip
    held["activations"] = _kept(learner, batch)
    for part, size in held.items():
        print(f"| {name} | {part}, MB | {plan.memory[part] / 1e6:.1f} | {size / 1e6:.1f} |")
    step, best = plan.step, min(times)
    share = f"{100 * step / best:.0f} % of the peak"
    print(f"| {name} | step at the peak, s | {step:.2f} | {best:.2f} ({share}) |", flush=True)


def _once(batch: Batch) -> Iterator[tuple[int, Batch]]:
    yield 0, batch


def _kept(learner: Learner, batch: Batch) -> int:
    """Bytes that autograd keeps for one batch; of blocks that are computed again, what goes into them."""
    known = {p.untyped_storage().data_ptr(): 0 for p in learner.model.parameters()}
    alive = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            known[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), learner.autocast():
        learner.task.loss(learner.model, batch, generator_for("plan"))
    return sum(known.values())


if __name__ == "__main__":
    main(str(Path(sys.argv[1])))
