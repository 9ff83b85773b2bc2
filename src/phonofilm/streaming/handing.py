"""What one thread gives to another, a few at a time; neither waits for ever for a partner that has ended."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

from phonofilm.streaming.control import Control

T = TypeVar("T")
LOOK = 0.05
"""Seconds after which a thread that waits looks whether it is to stop."""


class Handed(Generic[T]):
    """What was given and is not taken yet.

    Args:
        most: that may wait; who gives more waits.
    """

    def __init__(self, control: Control, most: int) -> None:
        self._control = control
        self._waiting: queue.Queue[T | BaseException | None] = queue.Queue(most)
        self._ended = threading.Event()
        self.most_waiting = 0

    def take(self) -> T | None:
        """The next one; None when there are no more, or the film was stopped.

        Raises:
            BaseException: what ended the other thread.
        """
        while not self._control.stopped:
            self.most_waiting = max(self.most_waiting, self._waiting.qsize())
            try:
                item = self._waiting.get(timeout=LOOK)
            except queue.Empty:
                continue
            if isinstance(item, BaseException):
                raise item
            return item
        return None

    def __iter__(self) -> Iterator[T]:
        while (item := self.take()) is not None:
            yield item

    def _give(self, item: T | BaseException | None) -> None:
        while not self._ended.is_set():
            with suppress(queue.Full):
                self._waiting.put(item, timeout=LOOK)
                return

    def _work(self, made: Callable[[], Iterable[T]]) -> None:
        try:
            for item in made():
                self._give(item)
                if self._ended.is_set():
                    return
            self._give(None)
        except BaseException as error:  # it is raised again where the others are taken
            self._give(error)


@contextmanager
def handed(
    made: Callable[[], Iterable[T]], control: Control, most: int, name: str, join: bool = True
) -> Iterator[Handed[T]]:
    """Run `made` in a thread of its own, which ends with the block or with what it makes.

    Args:
        most: as of `Handed`. name: of the thread.
        join: wait for its end. Without that a thread that reads where nothing comes any more is left behind.
    """
    waiting: Handed[T] = Handed(control, most)
    thread = threading.Thread(target=waiting._work, args=(made,), name=name, daemon=True)
    thread.start()
    try:
        yield waiting
    finally:
        waiting._ended.set()
        if join:
            thread.join()
