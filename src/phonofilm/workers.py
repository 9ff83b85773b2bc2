"""A pool of processes that ignore interrupts: the parent handles one, and ends them without a message."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import Any

from threadpoolctl import threadpool_limits

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What numeric libraries ask, when they are loaded, how many threads to run."""


class Workers(ProcessPoolExecutor):
    """A pool whose processes never hear Ctrl-C, not even while they start.

    As a context it gives up on an error at once: what waits is dropped, and what is in hand is ended as if by an
    exception, so that no file is left half-written.

    They share the processor's cores among them: libraries that would each take every core for themselves, and wait for
    one another in loops that do nothing, make a clip several times as long.

    Args:
        start: how processes begin, as `multiprocessing.get_context` has it; None is the system's way.
    """

    def __init__(self, workers: int, start: str | None = None) -> None:
        self._others = set(multiprocessing.active_children())
        context = multiprocessing.get_context(start)
        super().__init__(workers, context, initializer=_begin, initargs=(max(1, cores() // workers),))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with _uninterrupted():  # processes start here, and inherit what is blocked
            return super().submit(_work, fn, *args, **kwargs)

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        if kind is not None:
            for child in set(multiprocessing.active_children()) - self._others:
                child.terminate()
        self.shutdown(wait=True, cancel_futures=kind is not None)


_left = threading.Event()


def cores() -> int:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin(threads: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a forked process has its parent's
    limit_threads(threads)
    signal.signal(signal.SIGTERM, _leave)


def limit_threads(threads: int) -> None:
    """Let every numeric library of this process, those loaded later too, run so many threads."""
    os.environ.update(dict.fromkeys(VARIABLES, str(threads)))
    threadpool_limits(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


@contextmanager
def one_thread() -> Iterator[None]:
    """For work in pieces too small to be worth sharing: one thread meanwhile.

    A library that is first loaded within it keeps to one.
    """
    torch = sys.modules.get("torch")
    before, threads = {name: os.environ.get(name) for name in VARIABLES}, torch and torch.get_num_threads()
    limits = threadpool_limits(1)
    os.environ.update(dict.fromkeys(VARIABLES, "1"))
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        limits.restore_original_limits()
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        if torch:
            torch.set_num_threads(threads)


def _work(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    if _left.is_set():  # what had been handed over before its parent gave up
        raise SystemExit
    return fn(*args, **kwargs)


def _leave(number: int, frame: FrameType | None) -> None:
    _left.set()
    raise SystemExit


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold an interrupt back meanwhile, where the system can."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
