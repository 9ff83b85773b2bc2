"""Two threads: one makes the next chunk while the other one writes the last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from phonofilm.errors import PhonofilmError
from phonofilm.streaming.control import Control
from phonofilm.streaming.handing import LOOK, handed
from phonofilm.streaming.source import LiveChunk, LiveSource
from phonofilm.streaming.statistics import Statistics
from phonofilm.types import nearest

EARLY = 0.5
"""Seconds that a chunk is given out before its time, where the pace is that of the clock."""


@dataclass(frozen=True, eq=False)
class MadeChunk:
    """A chunk, the state before and after it, and what it cost.

    Attributes:
        cut: it was cut short by the end of the film; `after` stands behind what was cut off.
    """

    before: Any
    after: Any
    chunk: LiveChunk
    cost: float
    cut: bool = False


Deliver = Callable[[MadeChunk], None]


def run(
    source: LiveSource[Any],
    state: Any,
    control: Control,
    deliver: Deliver,
    *,
    frames: int = 0,
    until: Fraction | None = None,
    paced: bool = False,
    ahead: int = 1,
    statistics: Statistics | None = None,
    began: float | None = None,
) -> Statistics:
    """Make chunks and hand each to `deliver`, in this thread, until the end of the film or until it is stopped.

    A `deliver` that takes its time makes the source wait: no more than `ahead` chunks lie between them.

    Args:
        frames: that the film has already, which is where it goes on. until: seconds of the whole film; None: endless.
        paced: give chunks out as they are played, not as fast as they are made.
        began: when the command began (`time.perf_counter`), from which the first chunk is counted.

    Raises:
        PhonofilmError: what source or `deliver` raise. All that was delivered before is whole.
    """
    statistics = Statistics() if statistics is None else statistics
    began = time.perf_counter() if began is None else began
    with handed(lambda: chunks(source, state, control, frames, until), control, max(1, ahead), "chunks") as ready:
        for made in ready:
            fps = source.format.fps
            length = float(len(made.chunk.frames) / fps)
            early = statistics.playing.comes(time.perf_counter(), float(made.chunk.start))
            if paced and not _sleep(early - EARLY, control):
                return statistics
            start = time.perf_counter()
            deliver(made)
            now = time.perf_counter()
            statistics.add(made.cost, length, now - start)
            if statistics.first is None:
                statistics.first = now - began
            if control.stopped:
                break
    return statistics


def _sleep(seconds: float, control: Control) -> bool:
    """Wait, unless the film is stopped meanwhile; returns whether to go on."""
    until = time.perf_counter() + seconds
    while (left := until - time.perf_counter()) > 0 and not control.stopped:
        time.sleep(min(left, LOOK))
    return not control.stopped


def chunks(
    source: LiveSource[Any], state: Any, control: Control, frames: int = 0, until: Fraction | None = None
) -> Iterator[MadeChunk]:
    """Chunk after chunk, in this thread, each from the prompt of its moment.

    Raises:
        PhonofilmError: what the source raises of its first prompt, or of its work.
    """
    fmt = source.format
    end = None if until is None else max(1, nearest(until * fmt.fps))
    while (end is None or frames < end) and control.wait():
        prompt = control.at(frames / fmt.fps)
        start = time.perf_counter()
        try:
            after, chunk = source.next(state, prompt)
        except PhonofilmError as error:
            control.refuse(prompt, error)
            continue
        control.accept(prompt)
        _check(chunk, frames, fmt.samples_at)
        made = MadeChunk(state, after, chunk, time.perf_counter() - start)
        yield made if end is None else _cut(made, frames, end, fmt.samples_at)
        state, frames = after, frames + len(chunk.frames)


def _check(chunk: LiveChunk, frames: int, samples_at: Callable[[int], int]) -> None:
    """Picture and sound of a chunk end together, to the sample."""
    expected = samples_at(frames + len(chunk.frames)) - samples_at(frames)
    lengths = {name: sound.shape[1] for name, sound in chunk.stems.items()}
    if any(length != expected for length in lengths.values()):
        raise AssertionError(f"chunk {chunk.index} has {len(chunk.frames)} frames and sound of {lengths}")


def _cut(made: MadeChunk, frames: int, end: int, samples_at: Callable[[int], int]) -> MadeChunk:
    """The chunk up to the last frame of the film."""
    chunk, count = made.chunk, end - frames
    if len(chunk.frames) <= count:
        return made
    samples = samples_at(end) - samples_at(frames)
    stems = {name: sound[:, :samples] for name, sound in chunk.stems.items()}
    short = LiveChunk(chunk.index, chunk.start, chunk.frames[:count], stems, chunk.prompt)
    return MadeChunk(made.before, made.after, short, made.cost, cut=True)
