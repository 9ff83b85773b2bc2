"""What nobody needs any more is removed: expired films, what dead attempts left, files whose job was never accepted."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from phonofilm.app.server.base.files import INPUTS, RESULTS, Files
from phonofilm.app.server.base.logs import log
from phonofilm.app.server.store.claims import forget_workers, living
from phonofilm.app.server.store.deliveries import Deliveries
from phonofilm.app.server.store.queue import Queue

UNUSED = 3600.0
"""Seconds after which what belongs to no job is removed: a request may still be arriving until then."""
SILENT = 600.0
"""Seconds after which a worker that was not heard of is dead."""
KEYS = 7 * 86_400.0


@dataclass(frozen=True)
class Sweeper:
    """Cleans a store and its files; safe beside workers and servers that run."""

    queue: Queue
    files: Files
    scratch: Path
    unused: float = UNUSED
    clock: Callable[[], float] = time.time

    def sweep(self) -> dict[str, int]:
        """Remove what is over; returns how much of what."""
        found = {"expired": self._expired(), "results": self._results(), "inputs": self._inputs()}
        found |= {"scratch": self._scratch(), "keys": self.queue.forget_keys(KEYS)}
        Deliveries(self.queue.database, self.clock).forget(KEYS)
        forget_workers(self.queue.database, self.clock() - SILENT)
        if any(found.values()):
            log("swept", **found)
        return found

    def erase(self, id: str) -> None:
        """The files of a job that is no more."""
        self.files.remove(RESULTS, id)
        self.files.remove(INPUTS, id)

    def _expired(self) -> int:
        ids = self.queue.expired()
        for id in ids:
            self.queue.erase(id)
            self.erase(id)
        return len(ids)

    def _results(self) -> int:
        """Attempts that are not the one that was committed, and not the one that is under way."""
        count = 0
        folders = self.files.folders(RESULTS)
        known = self.queue.attempts(folders)
        for id in folders:
            status, attempt = known.get(id, ("gone", 0))
            for name in self.files.folders(RESULTS, id):
                number = int(name) if name.isdecimal() else -1
                kept = number == attempt and status in ("completed", "in_progress")
                if not kept:
                    self.files.remove(RESULTS, id, name)
                    count += 1
            if status == "gone":
                self.files.remove(RESULTS, id)
        return count

    def _inputs(self) -> int:
        folders = self.files.folders(INPUTS)
        known = self.queue.attempts(folders)
        old = [id for id, at in folders.items() if id not in known and at < self.clock() - self.unused]
        for id in old:
            self.files.remove(INPUTS, id)
        return len(old)

    def _scratch(self) -> int:
        if not self.scratch.is_dir():
            return 0
        alive = living(self.queue.database, self.clock() - SILENT)
        old = self.clock() - SILENT
        dead = [f for f in self.scratch.iterdir() if f.name not in alive and f.stat().st_mtime < old]
        for folder in dead:
            shutil.rmtree(folder, ignore_errors=True)
        return len(dead)
