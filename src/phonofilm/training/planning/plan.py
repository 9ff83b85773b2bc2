"""Memory by part and time of a step, for a recipe on devices that need not be there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from phonofilm.errors import PhonofilmError
from phonofilm.training.optim.optimizers import Optimisers
from phonofilm.training.parallel.placement import blocks_of
from phonofilm.training.parallel.processes import Processes
from phonofilm.training.planning.devices import CPU, Device, parse
from phonofilm.training.planning.paper import StepCost, step_cost
from phonofilm.training.tasks.base import RunConfig, Task, open_task

FLOAT = 4
NEWTON_SCHULZ = 5


@dataclass(frozen=True)
class Plan:
    """What each process of a run takes.

    Attributes:
        memory: bytes by part. seconds: of one step by part: what is computed, sent (hidden behind the former as far
            as it goes), and the optimiser's. clips: in one step, over all processes.
    """

    count: int
    device: Device
    placement: str
    memory: dict[str, float]
    seconds: dict[str, float]
    clips: int

    @property
    def total(self) -> float:
        return sum(self.memory.values())

    @property
    def step(self) -> float:
        return max(self.seconds["computing"], self.seconds["sending"]) + self.seconds["optimiser"]

    def lines(self) -> list[str]:
        """The plan as text."""
        found = [f"{self.count} x {self.device.name}, {self.placement}; of each:"]
        found += [f"  {name:<12} {size / 1e9:9.3f} GB" for name, size in self.memory.items()]
        room = f" of {self.device.gigabytes:g}" if self.device.gigabytes else ""
        found += [f"  {'together':<12} {self.total / 1e9:9.3f} GB{room}"]
        found += [f"  {name:<12} {1000 * seconds:9.1f} ms" for name, seconds in self.seconds.items()]
        found += [f"  {'a step':<12} {1000 * self.step:9.1f} ms, {self.clips / self.step:.1f} clips/s"]
        if self.device.gigabytes and self.total > 1e9 * self.device.gigabytes:
            found += ["it does not fit: set run.placement=shares, run.recompute=true, or a smaller run.batch"]
        return found


def plan_training(recipe: str | Path, gpus: str, overrides: Sequence[str] = (), efficiency: float = 0.4) -> Plan:
    """Plan what a recipe's training takes.

    Args:
        gpus: how many of what, see `devices.parse`.
        efficiency: share of the device's peak that products of matrices reach.

    Raises:
        PhonofilmError: a recipe of something else than a generator, or devices that are not known.
    """
    if not 0 < efficiency <= 1:
        raise PhonofilmError(f"--efficiency {efficiency:g} is not possible; it lies between 0 and 1")
    count, device = parse(gpus)
    task = open_task(recipe, overrides)
    kind = torch.device("cpu")
    cost = step_cost(task, kind) if device.name == CPU or task.recipe.run.precision != "auto" else _on_gpu(task)
    return plan_of(task, cost, count, device, efficiency)


def _on_gpu(task: Task) -> StepCost:
    """The cost where bfloat16 is there, whatever this machine has."""
    return step_cost(task, torch.device("cpu"), precision="autocast")


def plan_of(task: Task, cost: StepCost, count: int, device: Device, efficiency: float) -> Plan:
    """The plan of a task on some devices, see `plan_training`."""
    run: RunConfig = task.recipe.run
    parts = len(Processes(0, count).share(run.accumulate))
    with torch.device("meta"):
        network = task.build()
    optimisers = Optimisers(network, task.recipe.optim)
    held = FLOAT * sum(p.numel() for p in network.parameters())
    moved = FLOAT * sum(p.numel() for p in optimisers.parameters)
    matrices = FLOAT * sum(p.numel() for p in optimisers.matrices.values())
    shares = run.placement == "shares" and count > 1
    lot = count if shares else 1
    memory = {
        "weights": held / lot,
        "gradients": moved / lot,
        "average": held / lot,
        "optimiser": (2 * (moved - matrices) + matrices) / lot,
        "orthogonal": _workspace(optimisers),
        "activations": cost.activations(run.recompute),
        "gathered": _gathered(network) if shares else 0,
    }
    speed = 1e12 * device.tflops * efficiency
    passes = 4 if run.recompute else 3
    travel = (count - 1) / count * parts * 3 * held if shares else 2 * (count - 1) / count * moved
    touched = (10 * moved + 3 * held) / lot
    seconds = {
        "computing": parts * passes * cost.flops / speed,
        "sending": travel / device.link if count > 1 else 0.0,
        "optimiser": _orthogonalising(optimisers) / speed + touched / device.memory,
    }
    return Plan(count, device, run.placement, memory, seconds, run.batch * run.accumulate)


def _gathered(network: nn.Module) -> float:
    """Two blocks at once, one of them with its gradients, and what lies outside of blocks."""
    sizes = [FLOAT * sum(p.numel() for p in block.parameters()) for block in blocks_of(network)]
    outside = FLOAT * sum(p.numel() for p in network.parameters()) - sum(sizes)
    return 3 * max(sizes, default=0) + 2 * outside


def _workspace(optimisers: Optimisers) -> float:
    """Bytes of Muon's largest lot of equal matrices: their moves in float32, and three copies in bfloat16."""
    lots: dict[tuple[int, ...], int] = {}
    for matrix in optimisers.matrices.values():
        lots[tuple(matrix.shape)] = lots.get(tuple(matrix.shape), 0) + matrix.numel()
    return (2 * FLOAT + 3 * 2) * max(lots.values(), default=0)


def _orthogonalising(optimisers: Optimisers) -> float:
    """Operations of Muon's products."""
    found = 0.0
    for matrix in optimisers.matrices.values():
        short, long = sorted(matrix.shape)
        found += NEWTON_SCHULZ * (4 * short * short * long + 2 * short**3)
    return found
