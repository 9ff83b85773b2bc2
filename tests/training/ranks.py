"""Training in several processes, as torchrun would start them, from one import of torch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from training_toy import ToyTask

from phonofilm.training.loop import fit
from phonofilm.training.tasks.base import make_task

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["ranks"])


def in_processes(count: int, work: Callable[..., None], *arguments: Any) -> list[int]:
    """Call `work(*arguments)` in each of so many processes; returns their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [SERVER.Process(target=_one, args=(rank, count, port, work, arguments)) for rank in range(count)]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    for process in started:
        if process.is_alive():
            process.kill()
            process.join()
    return [process.exitcode or 0 for process in started]


def _one(rank: int, count: int, port: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    work(*arguments)


def train_toy(folder: Path, settings: Mapping[str, Any], kill: int | None = None, resume: bool = False) -> None:
    """Train the toy; whichever process takes batch `kill` dies as a machine does that loses its power."""
    task = ToyTask(folder, (lambda batch: die() if batch == kill else None), **settings)
    fit(task, resume=resume)
    (folder / f"batches-{os.environ['RANK']}.txt").write_text(" ".join(map(str, task.batches)))


def train_recipe(values: Mapping[str, Any], resume: bool = False) -> None:
    """Train what a recipe says."""
    fit(make_task(values), resume=resume)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
