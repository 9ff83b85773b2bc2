"""What the server does with jobs: accept, look up, list, cancel, erase. What it has accepted is on disk."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from phonofilm.app.server.base.failpoints import failpoint
from phonofilm.app.server.store.database import Database
from phonofilm.app.server.store.ending import CANCELLED, end
from phonofilm.app.server.store.records import STATUSES, Job, Limits, NewJob, Status
from phonofilm.app.server.store.schema import idempotency, jobs, usage
from phonofilm.errors import PhonofilmError

AHEAD = "jobs_ahead"
WAITING: tuple[Status, ...] = ("queued", "in_progress")


def _standing() -> Select[*tuple[Any, ...]]:
    """A job of this id, and how many are done before it."""
    other = jobs.alias()
    older = (other.c.priority == jobs.c.priority) & (other.c.number < jobs.c.number)
    turn = or_(other.c.priority > jobs.c.priority, older)
    ahead = select(func.count()).select_from(other).where(other.c.status == "queued", turn).scalar_subquery()
    return select(jobs, case((jobs.c.status == "queued", ahead)).label(AHEAD)).where(jobs.c.id == bindparam("id"))


STANDING = _standing()
STANDING_OF = STANDING.where(jobs.c.owner == bindparam("owner"))
"""Made once: to build them takes longer than to ask them."""


class QueueFull(PhonofilmError):
    """There are as many jobs as there may be."""


class KeyReused(PhonofilmError):
    """An Idempotency-Key came a second time with another body, or its job has been erased."""


@dataclass(frozen=True)
class Queue:
    """Jobs as the server sees them.

    Attributes:
        clock: seconds since 1970.
        keep_seconds: how long a job and its films are kept after its end; None is for ever.
    """

    database: Database
    limits: Limits = field(default_factory=Limits)
    keep_seconds: float | None = None
    clock: Callable[[], float] = time.time

    def accept(self, new: NewJob, key: str | None = None, body_hash: str = "") -> Job:
        """Take a job on; it is on disk when this returns. The same key and body give the same job again.

        Raises:
            QueueFull: too many jobs, in all or of this owner.
            KeyReused: the key stands for another body.
        """
        try:
            with self.database.write() as connection:
                if key is not None and (known := self._known(connection, new.owner, key, body_hash)) is not None:
                    return known
                self._check_room(connection, new.owner)
                self._insert(connection, new, key, body_hash)
                failpoint("accept")
        except IntegrityError:
            # only PostgreSQL lets two writers come so far; the other one was first
            known = self.known(new.owner, key, body_hash) if key is not None else None
            if known is None:
                raise
            return known
        job = self.get(new.id)
        assert job is not None
        return job

    def known(self, owner: str, key: str, body_hash: str) -> Job | None:
        """The job that a key stands for, if there is one.

        Raises:
            KeyReused: with another body, or a job that has been erased.
        """
        with self.database.read() as connection:
            return self._known(connection, owner, key, body_hash)

    def _known(self, connection: Connection, owner: str, key: str, body_hash: str) -> Job | None:
        where = (idempotency.c.owner == owner) & (idempotency.c.key == key)
        row = connection.execute(select(idempotency).where(where)).mappings().first()
        if row is None:
            return None
        if row["body_hash"] != body_hash:
            raise KeyReused("this Idempotency-Key came with another request before; use a new key")
        found = connection.execute(select(jobs).where(jobs.c.id == row["job"])).mappings().first()
        if found is None:
            raise KeyReused("the job of this Idempotency-Key has been erased; use a new key")
        return Job.of(found)

    def _check_room(self, connection: Connection, owner: str) -> None:
        waiting = select(func.count()).select_from(jobs).where(jobs.c.status.in_(WAITING))
        if (connection.scalar(waiting) or 0) >= self.limits.queue:
            raise QueueFull("the queue is full; try again later")
        if (connection.scalar(waiting.where(jobs.c.owner == owner)) or 0) >= self.limits.per_owner:
            raise QueueFull(f"you have {self.limits.per_owner} jobs waiting, which is the most; wait for some to end")

    def _insert(self, connection: Connection, new: NewJob, key: str | None, body_hash: str) -> None:
        now = self.clock()
        row = {name: getattr(new, name) for name in ("id", "owner", "kind", "task", "model", "prompt", "size")}
        row |= {name: getattr(new, name) for name in ("seconds", "parent", "priority", "webhook")}
        row |= {"spec": json.dumps(dict(new.spec)), "status": "queued", "cancel_requested": False, "created_at": now}
        connection.execute(insert(jobs).values(row))
        if key is not None:
            known = {"owner": new.owner, "key": key, "body_hash": body_hash, "job": new.id, "created_at": now}
            connection.execute(insert(idempotency).values(known))

    def get(self, id: str, owner: str | None = None) -> Job | None:
        """A job, if there is one and it belongs to `owner` (None is whoever runs the server)."""
        query = select(jobs).where(jobs.c.id == id)
        if owner is not None:
            query = query.where(jobs.c.owner == owner)
        row = self.database.look(query)
        return None if row is None else Job.of(row)

    def standing(self, id: str, owner: str | None = None) -> tuple[Job, int | None] | None:
        """As `get`, and how many jobs are done before it, as long as it waits; in one statement."""
        row = self.database.look(STANDING if owner is None else STANDING_OF, id=id, owner=owner)
        if row is None:
            return None
        values = dict(row)
        before = values.pop(AHEAD)
        return Job.of(values), before

    def list(
        self, owner: str | None, after: str | None = None, limit: int = 20, newest_first: bool = True
    ) -> tuple[list[Job], bool]:
        """Jobs by age, and whether there are more.

        Args:
            after: the last one of the page before; one that is not known gives an empty page.
        """
        query = select(jobs).order_by(jobs.c.number.desc() if newest_first else jobs.c.number).limit(limit + 1)
        if owner is not None:
            query = query.where(jobs.c.owner == owner)
        if after is not None:
            last = self.get(after, owner)
            if last is None:
                return [], False
            query = query.where(jobs.c.number < last.number if newest_first else jobs.c.number > last.number)
        with self.database.read() as connection:
            found = [Job.of(row) for row in connection.execute(query).mappings()]
        return found[:limit], len(found) > limit

    def cancel(self, id: str, owner: str | None = None) -> Job | None:
        """Ask a job to stop: one that waits ends now, one that is being done within a step."""
        with self.database.write() as connection:
            query = select(jobs).where(jobs.c.id == id)
            if owner is not None:
                query = query.where(jobs.c.owner == owner)
            row = connection.execute(query).mappings().first()
            if row is None:
                return None
            if row["status"] == "queued":
                end(connection, jobs.c.id == id, "failed", self.clock(), self.keep_seconds, error=CANCELLED)
            elif row["status"] == "in_progress":
                connection.execute(update(jobs).where(jobs.c.id == id).values(cancel_requested=True))
        return self.get(id)

    def erase(self, id: str, owner: str | None = None) -> bool:
        """Forget a job, whatever its state; who does it notices that it is gone. Its files are the caller's."""
        query = delete(jobs).where(jobs.c.id == id)
        if owner is not None:
            query = query.where(jobs.c.owner == owner)
        with self.database.write() as connection:
            return connection.execute(query).rowcount == 1

    def expired(self) -> Sequence[str]:
        """Jobs whose time to be kept is over."""
        with self.database.read() as connection:
            return connection.scalars(select(jobs.c.id).where(jobs.c.expires_at < self.clock())).all()

    def forget_keys(self, older: float) -> int:
        """Drop idempotency keys of this age in seconds whose job is gone; returns how many."""
        gone = ~idempotency.c.job.in_(select(jobs.c.id))
        query = delete(idempotency).where(idempotency.c.created_at < self.clock() - older, gone)
        with self.database.write() as connection:
            return int(connection.execute(query).rowcount)

    def attempts(self, ids: Iterable[str]) -> dict[str, tuple[str, int]]:
        """Status and attempt of those jobs that there are."""
        with self.database.read() as connection:
            query = select(jobs.c.id, jobs.c.status, jobs.c.attempt).where(jobs.c.id.in_(list(ids)))
            return {row.id: (row.status, row.attempt) for row in connection.execute(query)}

    def counts(self) -> dict[str, int]:
        """Jobs by status."""
        with self.database.read() as connection:
            found = connection.execute(select(jobs.c.status, func.count()).group_by(jobs.c.status))
            return dict.fromkeys(STATUSES, 0) | {row[0]: row[1] for row in found}

    def ahead_of(self, job: Job) -> int:
        """How many jobs that wait are done before this one."""
        before = or_(jobs.c.priority > job.priority, (jobs.c.priority == job.priority) & (jobs.c.number < job.number))
        with self.database.read() as connection:
            query = select(func.count()).select_from(jobs).where(jobs.c.status == "queued", before)
            return connection.scalar(query) or 0

    def used(self, owner: str, since: float = 0.0) -> float:
        """Seconds of film that were made for an owner."""
        with self.database.read() as connection:
            total = select(func.sum(usage.c.seconds)).where(usage.c.owner == owner, usage.c.at >= since)
            return float(connection.scalar(total) or 0.0)
