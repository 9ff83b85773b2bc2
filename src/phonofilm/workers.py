"""Processes that work for one that listens: an interrupt is the parent's to handle, and it ends them quietly."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Workers(ProcessPoolExecutor):
    """A pool whose processes never hear Ctrl-C, not even while they start.

    As a context it gives up on an error at once: what waits is dropped, and what is in hand is ended as if by an
    exception, so that no file is left half-written.

    Args:
        start: how processes begin, as `multiprocessing.get_context` has it; None is the system's way.
        initializer, initargs: called in each process before anything else.
    """

    def __init__(
        self, workers: int, start: str | None = None, initializer: Callable[..., object] | None = None, *initargs: Any
    ) -> None:
        self._others = set(multiprocessing.active_children())
        context = multiprocessing.get_context(start)
        super().__init__(workers, context, initializer=_begin, initargs=(initializer, initargs))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with _uninterrupted():  # processes start here, and inherit what is blocked
            return super().submit(_work, fn, *args, **kwargs)

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        if kind is not None:
            for child in set(multiprocessing.active_children()) - self._others:
                child.terminate()
        self.shutdown(wait=True, cancel_futures=kind is not None)


_left = threading.Event()


def _begin(initializer: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a forked process has its parent's
    if initializer is not None:
        initializer(*arguments)
    signal.signal(signal.SIGTERM, _leave)


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
