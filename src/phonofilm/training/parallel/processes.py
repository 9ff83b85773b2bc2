"""The processes of a run, as torchrun starts them: which batches each takes, and what all must agree on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from phonofilm.device import pick_device
from phonofilm.errors import PhonofilmError

PATIENCE = timedelta(hours=2)
"""How long processes wait for the first one, which validates and exports alone."""


@dataclass(frozen=True)
class Processes:
    """This process among all of a run; the default is the only one, which waits for nobody.

    Attributes:
        rank: its number. count: of all. local: its number on this machine, and that of its GPU.
        joined: whether there is a process group, which a lone process may have too.
    """

    rank: int = 0
    count: int = 1
    local: int = 0
    joined: bool = False

    @property
    def first(self) -> bool:
        """Whether this is the one that validates, logs and writes."""
        return self.rank == 0

    def share(self, parts: int) -> range:
        """Which of a step's batches are this process's.

        Raises:
            PhonofilmError: they cannot be shared equally.
        """
        if parts % self.count:
            raise PhonofilmError(
                f"run.accumulate = {parts} batches a step cannot be shared by {self.count} processes: set "
                f"run.accumulate to a multiple of {self.count}, and run.batch to what one of them takes at once"
            )
        return range(self.rank, parts, self.count)

    def device(self, name: str) -> torch.device:
        """Where this process computes: each one of a machine has a GPU of its own."""
        device = pick_device(name, ("cuda", "cpu"))
        if device.type == "cuda" and self.count > 1:
            device = pick_device(f"cuda:{self.local}")
            torch.cuda.set_device(device)
        return device

    def latest(self, *values: float) -> list[float]:
        """The largest of what each process says, number by number; all get the same."""
        if self.count == 1:
            return list(values)
        found = self._tensor(values)
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return [float(value) for value in found.tolist()]

    def summed(self, values: Mapping[str, float]) -> dict[str, float]:
        """Sums over processes, of names that not all of them need to have."""
        if self.count == 1:
            return dict(values)
        parts: list[Mapping[str, float]] = [{}] * self.count
        distributed.all_gather_object(parts, dict(values))
        names = dict.fromkeys(name for part in parts for name in part)
        return {name: sum(part.get(name, 0.0) for part in parts) for name in names}

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.count > 1:
            self.latest(0.0)

    def _tensor(self, values: tuple[float, ...]) -> torch.Tensor:
        kind = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        return torch.tensor(values, dtype=torch.float64, device=kind)


ALONE = Processes()


@contextmanager
def joined(device: str, alone: bool = True) -> Iterator[Processes]:
    """This process's place among those that torchrun started; without torchrun it is the only one.

    Args:
        device: the name of the device of the run.
        alone: whether a lone process goes without a group. One that is in a group already stays in it.
    """
    rank, count, local = (int(os.environ.get(name, default)) for name, default in
                          (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))  # fmt: skip
    if distributed.is_initialized():
        yield Processes(distributed.get_rank(), distributed.get_world_size(), local, joined=True)
    elif count == 1 and (alone or "MASTER_ADDR" not in os.environ):
        yield ALONE
    else:
        kind = pick_device(device, ("cuda", "cpu")).type
        distributed.init_process_group("nccl" if kind == "cuda" else "gloo", timeout=PATIENCE)
        try:
            yield Processes(rank, count, local, joined=True)
        finally:
            distributed.destroy_process_group()
