"""One job being done: how far it is, told to the store now and then, and whether it is still wanted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from phonofilm.app.server.base.logs import log_error
from phonofilm.app.server.store.claims import Claims
from phonofilm.app.server.store.database import StoreAwayError
from phonofilm.app.server.store.records import Job

TOLD = 0.4
"""Seconds between two reports to the store."""
FRESH = 0.02
"""For so many seconds the store's word that a job is wanted holds."""
SHARES = {"loading": 3, "waiting": 3, "reading": 3, "text": 2, "speaking": 3, "sampling": 74, "decoding": 12}
SHARES |= {"mixing": 3, "measuring": 2, "writing": 6, "previews": 4}
"""About which part of the time each stage takes; a stage that is not known moves nothing."""
ORDER: tuple[str, ...] = (
    "loading",
    "waiting",
    "reading",
    "text",
    "speaking",
    "sampling",
    "decoding",
    "mixing",
    "measuring",
)
ORDER += ("writing", "previews")


def fraction(stage: str, done: int, total: int, reached: float) -> float:
    """How much of a job is done, from 0 to 1, never less than was `reached`."""
    if stage not in SHARES:
        return reached
    whole = sum(SHARES.values())
    before = sum(SHARES[name] for name in ORDER[: ORDER.index(stage)])
    now = (before + SHARES[stage] * min(1.0, done / max(total, 1))) / whole
    return max(reached, min(now, 0.99))


class Watch:
    """Keeps the lease of a job while it is done; a context.

    Attributes:
        lost: the job is no longer this worker's, or was cancelled.
        stopping: told by the worker that it is to leave; the job then goes back.
    """

    def __init__(self, claims: Claims, job: Job, stopping: Callable[[], bool]) -> None:
        self.claims, self.job, self.stopping = claims, job, stopping
        self.lost = False
        self._reached, self._stage, self._began = 0.0, "loading", time.monotonic()
        self._asked = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell, name=f"lease of {job.id}", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def progress(self, stage: str, done: int, total: int) -> None:
        """As a `JobContext` reports it."""
        self._stage, self._reached = stage, fraction(stage, done, total, self._reached)

    def cancel(self) -> bool:
        """Whether to stop; the store is asked, so that a cancel is heard within one step of any work."""
        if self.lost or self.stopping():
            return True
        now = time.monotonic()
        if now - self._asked >= FRESH:
            self._asked = now
            with suppress(StoreAwayError):  # the lease decides
                self.lost = not self.claims.wanted(self.job)
        return self.lost

    def _tell(self) -> None:
        while not self._ended.wait(min(TOLD, self.claims.lease_seconds / 4)):
            try:
                if not self.claims.renew(self.job, int(100 * self._reached), self._stage, self._left()):
                    self.lost = True
                    return
            except Exception:  # the store is away for a moment; the lease decides
                log_error("the store could not be told", job=self.job.id)

    def _left(self) -> float | None:
        spent = time.monotonic() - self._began
        return round(spent / self._reached * (1 - self._reached), 1) if self._reached > 0.05 else None
