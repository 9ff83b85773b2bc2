"""One part of a film is made while the other part comes: its latency, and input that is late or comes in bursts."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from phonofilm.streaming.control import Control
from phonofilm.streaming.handing import handed
from phonofilm.streaming.source import LiveChunk, LiveFollower
from phonofilm.streaming.statistics import Statistics, percentiles

WAITING = 256
"""Pieces of input that may wait; more make whoever writes them wait."""
Resize = Callable[[np.ndarray], np.ndarray]


@dataclass
class Following:
    """Numbers of one run.

    Attributes:
        latency: seconds from the arrival of the last input of a chunk to the chunk, written.
        oldest: the same from the arrival of its first input, which has waited for the others.
        late: chunks whose input took longer to come than it lasts. most_waiting: pieces of input that waited at once.
    """

    statistics: Statistics = field(default_factory=Statistics)
    latency: array[float] = field(default_factory=lambda: array("d"))
    oldest: array[float] = field(default_factory=lambda: array("d"))
    late: int = 0
    most_waiting: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values, times in seconds."""
        found = self.statistics.to_json()
        if self.latency:
            found |= {"latency": percentiles(self.latency), "latency_of_the_oldest": percentiles(self.oldest)}
            found |= {"input_late": self.late, "most_waiting": self.most_waiting}
        return found


@dataclass(frozen=True, eq=False)
class _Piece:
    """Input that came: a frame [H, W, 3], or sound [C, T], and when."""

    content: np.ndarray
    came: float


def follow(
    follower: LiveFollower[Any],
    state: Any,
    control: Control,
    given: Iterator[np.ndarray],
    deliver: Callable[[np.ndarray, LiveChunk], None],
    following: Following | None = None,
    resize: Resize = lambda frames: frames,
    began: float | None = None,
) -> Following:
    """Make a chunk as soon as its input has come, and hand it to `deliver` with the frames as they came.

    Args:
        given: frames [H, W, 3] one by one, or sound [C, any length]; it is read in a thread of its own.
        resize: frames [F, H, W, 3] to the size of the format.

    Raises:
        PhonofilmError: what the input, the model or `deliver` raise. All that was delivered before is whole.
    """
    following = following or Following()
    began = time.perf_counter() if began is None else began
    fmt, index, frames = follower.format, 0, 0
    # not joined: a pipe that gives nothing any more would keep its thread for ever
    with handed(lambda: _arriving(given), control, WAITING, "input", join=False) as pieces:
        gather = _Gather(pieces.take, follower.takes == "frames")
        while not control.stopped and (part := gather.take(follower.length(index))) is not None:
            content, wanted = part
            start = time.perf_counter()
            seen = resize(content) if follower.takes == "frames" else content
            state, chunk = follower.next(state, control.at(frames / fmt.fps), seen)
            cost = time.perf_counter() - start
            shown, chunk = _cut(
                content if follower.takes == "frames" else chunk.frames, chunk, wanted, frames, follower
            )
            following.statistics.playing.comes(time.perf_counter(), float(chunk.start))
            before = time.perf_counter()
            deliver(shown, chunk)
            now = time.perf_counter()
            length = float(len(shown) / fmt.fps)
            following.statistics.add(cost, length, now - before)
            following.latency.append(now - gather.last)
            following.oldest.append(now - gather.first)
            following.late += gather.last - gather.first > length
            if following.statistics.first is None:
                following.statistics.first = now - began
            following.most_waiting = pieces.most_waiting
            index, frames = index + 1, frames + len(shown)
    return following


def _arriving(given: Iterator[np.ndarray]) -> Iterator[_Piece]:
    return (_Piece(content, time.perf_counter()) for content in given)


def _cut(
    shown: np.ndarray, chunk: LiveChunk, wanted: int, before: int, follower: LiveFollower[Any]
) -> tuple[np.ndarray, LiveChunk]:
    """The last chunk up to where its input ended."""
    fmt = follower.format
    count = wanted if follower.takes == "frames" else len(chunk.frames)
    if follower.takes == "sound":  # frames up to the one in which the sound ends
        ends = [fmt.samples_at(before + n) - fmt.samples_at(before) for n in range(1, count + 1)]
        count = next((n for n, end in enumerate(ends, 1) if end >= wanted), count)
    if count == len(chunk.frames):
        return shown, chunk
    samples = fmt.samples_at(before + count) - fmt.samples_at(before)
    stems = {name: sound[:, :samples] for name, sound in chunk.stems.items()}
    return shown[:count], LiveChunk(chunk.index, chunk.start, chunk.frames[:count], stems, chunk.prompt)


class _Gather:
    """Puts together what a chunk takes; `first` and `last` are when the first and the last piece of it came."""

    def __init__(self, pieces: Callable[[], _Piece | None], frames: bool) -> None:
        self._pieces, self._frames = pieces, frames
        self._rest: list[_Piece] = []
        self._ended = False
        self.first = self.last = 0.0

    def take(self, length: int) -> tuple[np.ndarray, int] | None:
        """What chunk needs, filled up where the input ends, and how much of it came; None if nothing did."""
        held, self._rest = self._rest, []
        size = sum(self._size(piece) for piece in held)
        while size < length and not self._ended:
            if (piece := self._pieces()) is None:
                self._ended = True
                break
            held.append(piece)
            size += self._size(piece)
        if not held:
            return None
        self.first, self.last = held[0].came, held[-1].came
        whole = np.stack([p.content for p in held]) if self._frames else np.concatenate([p.content for p in held], 1)
        axis = 0 if self._frames else 1
        if size > length:
            over = whole[:, length:]
            self._rest, whole = [_Piece(over, held[-1].came)], whole[:, :length]
        elif size < length:
            missing = [(0, length - size) if n == axis else (0, 0) for n in range(whole.ndim)]
            whole = np.pad(whole, missing, mode="edge") if self._frames else np.pad(whole, missing)
        return whole, min(size, length)

    def _size(self, piece: _Piece) -> int:
        return 1 if self._frames else piece.content.shape[1]
