"""Many pieces of work in processes of their own, of which none can stop the others, whatever it does to its process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from phonofilm.errors import PhonofilmError
from phonofilm.workers import Workers

AHEAD = 2
"""Pieces handed to each process at a time: what waits is not held in memory."""


@dataclass(frozen=True)
class Outcome:
    """What a piece of work gave, or in one line why it gave nothing."""

    value: Any = None
    error: str | None = None


def run_all(function: Callable[[Any], Any], tasks: Sequence[Any], workers: int) -> Iterator[tuple[int, Outcome]]:
    """Number and outcome of each task, as they are done.

    Args:
        function: a module's own function, and what it takes and gives can be sent to another process.
        workers: processes; 0 works in this one, which a crash of a decoder then ends.
    """
    waiting = deque(enumerate(tasks))
    if workers == 0:
        for number, task in waiting:
            yield number, attempt(function, task)
        return
    while waiting:
        suspects = yield from _flow(function, waiting, workers)
        for number, task in suspects:  # one of them has ended its process: each by itself tells which
            yield number, _alone(function, task)


def attempt(function: Callable[[Any], Any], task: Any) -> Outcome:
    """The outcome of a task in this process; errors become one line."""
    try:
        return Outcome(function(task))
    except PhonofilmError as error:
        return Outcome(error=str(error))
    except MemoryError:
        return Outcome(error="it does not go into memory")
    except Exception as error:
        return Outcome(error=f"internal error, {type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _flow(
    function: Callable[[Any], Any], waiting: deque[tuple[int, Any]], workers: int
) -> Generator[tuple[int, Outcome], None, list[tuple[int, Any]]]:
    """Work until nothing waits, or until a process ends; returns what was in hand then."""
    held: dict[Future[Outcome], tuple[int, Any]] = {}
    with Workers(workers, "spawn") as pool:
        try:
            while waiting or held:
                while waiting and len(held) < AHEAD * workers:
                    number, task = waiting.popleft()
                    held[pool.submit(attempt, function, task)] = number, task
                for future in wait(held, return_when=FIRST_COMPLETED).done:
                    outcome = future.result()
                    yield held.pop(future)[0], outcome
        except BrokenProcessPool:
            return sorted(held.values(), key=lambda one: one[0])
    return []


def _alone(function: Callable[[Any], Any], task: Any) -> Outcome:
    with Workers(1, "spawn") as pool:
        try:
            return pool.submit(attempt, function, task).result()
        except BrokenProcessPool:
            return Outcome(error="reading it ended the process (a decoder crashed, or memory ran out)")
