"""Those who watch a film while it is made: each gets every piece, and the slowest makes the source wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from phonofilm.media.live.fragments import boxes
from phonofilm.streaming.control import Control
from phonofilm.streaming.loop import MadeChunk

AHEAD = 6
"""Pieces that may wait for one viewer."""
PATIENCE = 30.0
"""Seconds after which a viewer who takes nothing is left behind, if there are others."""
LOOK = 0.05
Message = dict[str, Any] | bytes


class Viewer:
    """One who watches: messages wait for it here.

    Attributes:
        counts: it says how many pieces it has shown; without that, pieces that were sent count as shown.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._ready = loop, asyncio.Event()
        self._messages: deque[Message] = deque()
        self.sent = self.shown = 0
        self.counts = False
        self.since = time.monotonic()

    def put(self, *messages: Message) -> None:
        """Let messages wait; from any thread."""
        self._messages.extend(messages)
        self._loop.call_soon_threadsafe(self._ready.set)

    async def get(self) -> Message:
        """The next message."""
        while not self._messages:
            self._ready.clear()
            await self._ready.wait()
        return self._messages.popleft()

    def passed(self) -> None:
        """A piece went over the line."""
        self.sent += 1
        self.since = time.monotonic()

    def took(self, count: int) -> None:
        """It has shown so many pieces since it last said so."""
        self.counts = True
        self.shown += max(0, count)
        self.since = time.monotonic()

    @property
    def waiting(self) -> int:
        """Pieces that it does not have yet, or not shown."""
        held = sum(isinstance(message, bytes) for message in list(self._messages))
        return held + (max(0, self.sent - self.shown) if self.counts else 0)


class Viewers:
    """An `Output`: what is written goes to everybody who watches.

    Args:
        hello: what a viewer is told first. alone: the film is made even if nobody watches.
    """

    def __init__(self, control: Control, hello: Callable[[], dict[str, Any]], alone: bool) -> None:
        self._control, self._hello, self._alone = control, hello, alone
        self._viewers: list[Viewer] = []
        self._lock = threading.Lock()
        self._head = b""
        self._ended = False
        self.url = ""

    def join(self, loop: asyncio.AbstractEventLoop) -> Viewer:
        """A new viewer, who sees the film from its next piece on."""
        viewer = Viewer(loop)
        with self._lock:
            viewer.put({"type": "hello", **self._hello()})
            if self._head:
                viewer.put(self._head)
            if self._ended:
                viewer.put({"type": "end"})
            self._viewers.append(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """It watches no more."""
        with self._lock:
            if viewer in self._viewers:
                self._viewers.remove(viewer)

    def tell(self, message: dict[str, Any]) -> None:
        """Tell everybody something."""
        with self._lock:
            for viewer in self._viewers:
                viewer.put(message)

    def told(self, made: MadeChunk) -> None:
        """Tell everybody of a chunk."""
        chunk = made.chunk
        facts = {"index": chunk.index, "start": float(chunk.start), "prompt": chunk.prompt}
        self.tell({"type": "chunk", **facts, "cost": round(made.cost, 4)})

    def write(self, piece: bytes) -> None:
        """See `Output.write`; it waits for whoever is slow, and for somebody to watch."""
        while not self._control.stopped and not self._have_room():
            time.sleep(LOOK)
        head = next((end for name, _, end in boxes(piece) if name == "moov"), 0)
        with self._lock:
            for viewer in self._viewers:
                viewer.put(piece)
            if head:
                self._head = piece[:head]

    def close(self) -> None:
        """Tell everybody that the film is over."""
        self._ended = True
        self.tell({"type": "end"})

    def drain(self, seconds: float = 5.0) -> None:
        """Wait until everybody has what was written, but not for long."""
        until = time.monotonic() + seconds
        while self._viewers and time.monotonic() < until:
            time.sleep(LOOK)

    def _have_room(self) -> bool:
        with self._lock:
            full = [viewer for viewer in self._viewers if viewer.waiting >= AHEAD]
            if not self._viewers:
                return self._alone
            lost = [viewer for viewer in full if time.monotonic() - viewer.since > PATIENCE]
            if lost and (self._alone or len(lost) < len(self._viewers)):
                for viewer in lost:
                    viewer.put({"type": "end", "why": "nothing was shown for too long"})
                    self._viewers.remove(viewer)
                return len(lost) == len(full)
            return not full
