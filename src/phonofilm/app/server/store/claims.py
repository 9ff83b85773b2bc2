"""What a worker does with jobs: claim one under a lease, keep the lease, and commit its end, once.

Each claim has a number, the attempt. Whoever lost the lease, by being stopped or cut off for too long, finds that the
job has another attempt or another worker, and can change nothing any more: the fence.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, insert, or_, select, update

from phonofilm.app.server.base.failpoints import failpoint
from phonofilm.app.server.store.database import Database
from phonofilm.app.server.store.ending import CANCELLED, Error, end
from phonofilm.app.server.store.records import Job
from phonofilm.app.server.store.schema import jobs, workers

DIED: Error = ("worker_died", "the job ended its worker several times; it is not tried again")


def _fence(id: Any, attempt: Any, worker: Any) -> ColumnElement[bool]:
    """That a job is still this attempt of this worker, and wanted."""
    mine = (jobs.c.id == id) & (jobs.c.attempt == attempt) & (jobs.c.worker == worker)
    return mine & (jobs.c.status == "in_progress") & ~jobs.c.cancel_requested


WANTED = select(jobs.c.number).where(_fence(bindparam("id"), bindparam("attempt"), bindparam("worker")))
"""Made once: a worker asks it many times a second, and to build it takes longer than to ask it."""


@dataclass(frozen=True)
class Claims:
    """Jobs as one worker sees them.

    Attributes:
        worker: its name, of which there is one.
        lease_seconds: for how long a claim holds without a sign of life.
        attempts: how often a job is begun at most.
        keep_seconds: as for `Queue`.
    """

    database: Database
    worker: str
    lease_seconds: float = 15.0
    attempts: int = 5
    keep_seconds: float | None = None
    clock: Callable[[], float] = time.time

    def waiting(self) -> bool:
        """Whether there may be a job to claim; it asks without keeping anyone waiting."""
        with self.database.read() as connection:
            return connection.scalar(select(jobs.c.number).where(self._free()).limit(1)) is not None

    def _free(self) -> ColumnElement[bool]:
        lost = (jobs.c.status == "in_progress") & (jobs.c.lease_until < self.clock())
        return or_(jobs.c.status == "queued", lost)

    def claim(self) -> Job | None:
        """The next job, now this worker's: the highest priority first, then the oldest."""
        now = self.clock()
        choice = (
            select(jobs.c.number)
            .where(self._free(), jobs.c.attempt < self.attempts)
            .order_by(jobs.c.priority.desc(), jobs.c.number)
            .limit(1)
        )
        if not self.database.sqlite:
            choice = choice.with_for_update(skip_locked=True)
        values = {"status": "in_progress", "attempt": jobs.c.attempt + 1, "worker": self.worker, "progress": 0}
        values |= {"lease_until": now + self.lease_seconds, "started_at": now, "stage": None, "seconds_left": None}
        with self.database.write() as connection:
            self._give_up(connection, now)
            number = connection.scalar(choice)
            if number is None:
                return None
            connection.execute(update(jobs).where(jobs.c.number == number).values(values))
            row = connection.execute(select(jobs).where(jobs.c.number == number)).mappings().one()
        failpoint("claim")
        return Job.of(row)

    def _give_up(self, connection: Any, now: float) -> None:
        """End jobs that nobody does any more: cancelled, or begun too often."""
        dead = (jobs.c.status == "in_progress") & (jobs.c.lease_until < now)
        for also, error in ((jobs.c.cancel_requested, CANCELLED), (jobs.c.attempt >= self.attempts, DIED)):
            for id in connection.scalars(select(jobs.c.id).where(dead, also)).all():
                end(connection, jobs.c.id == id, "failed", now, self.keep_seconds, error=error)

    def renew(self, job: Job, progress: int, stage: str | None, seconds_left: float | None) -> bool:
        """Say that this worker lives and how far it is; returns whether the job is still wanted, and its own."""
        now = self.clock()
        values = {"lease_until": now + self.lease_seconds, "progress": progress, "stage": stage}
        with self.database.write() as connection:
            done = connection.execute(
                update(jobs).where(self._mine(job)).values(values | {"seconds_left": seconds_left})
            )
            return done.rowcount == 1

    def wanted(self, job: Job) -> bool:
        """Whether the job is still this worker's and was not cancelled."""
        return self.database.look(WANTED, id=job.id, attempt=job.attempt, worker=self.worker) is not None

    def _mine(self, job: Job) -> ColumnElement[bool]:
        return _fence(job.id, job.attempt, self.worker)

    def complete(self, job: Job, result: Mapping[str, Any], seconds: float, notices: Sequence[str] = ()) -> bool:
        """Commit what was made, if the job is still this worker's; returns whether it was."""
        failpoint("commit")
        with self.database.write() as connection:
            done = end(
                connection, self._mine(job), "completed", self.clock(), self.keep_seconds, result, seconds, notices
            )
        failpoint("committed")
        return done

    def fail(self, job: Job, error: Error) -> bool:
        """Commit that the job is not possible; or that it was cancelled, where somebody asked for that."""
        mine = (jobs.c.id == job.id) & (jobs.c.attempt == job.attempt) & (jobs.c.worker == self.worker)
        with self.database.write() as connection:
            asked = connection.scalar(select(jobs.c.cancel_requested).where(mine))
            said = CANCELLED if asked else error
            return end(connection, mine, "failed", self.clock(), self.keep_seconds, error=said)

    def give_back(self, job: Job) -> bool:
        """Let another worker begin the job anew, as when this one is to stop; the attempt does not count."""
        values = {"status": "queued", "attempt": jobs.c.attempt - 1, "worker": None, "lease_until": None}
        with self.database.write() as connection:
            done = connection.execute(
                update(jobs).where(self._mine(job)).values(values | {"progress": 0, "stage": None})
            )
            return done.rowcount == 1

    def live(self) -> None:
        """Note that this worker is there, for health and for sweeping."""
        now = self.clock()
        with self.database.write() as connection:
            seen = connection.execute(update(workers).where(workers.c.id == self.worker).values(seen_at=now))
            if not seen.rowcount:
                row = {"id": self.worker, "host": socket.gethostname()[:200], "pid": os.getpid()}
                connection.execute(insert(workers).values(row | {"started_at": now, "seen_at": now}))

    def leave(self) -> None:
        """Note that this worker is gone."""
        release(self.database, self.worker)


def release(database: Database, worker: str) -> None:
    """Free the jobs of a worker that is known to be dead, without waiting for its lease to end."""
    with database.write() as connection:
        mine = (jobs.c.worker == worker) & (jobs.c.status == "in_progress")
        connection.execute(update(jobs).where(mine).values(lease_until=0.0))
        connection.execute(delete(workers).where(workers.c.id == worker))


def living(database: Database, since: float) -> dict[str, float]:
    """Workers that were seen after a time, and when."""
    with database.read() as connection:
        found = connection.execute(select(workers.c.id, workers.c.seen_at).where(workers.c.seen_at >= since))
        return {row.id: row.seen_at for row in found}


def forget_workers(database: Database, before: float) -> None:
    """Drop workers that were not heard of since a time."""
    with database.write() as connection:
        connection.execute(delete(workers).where(workers.c.seen_at < before))
