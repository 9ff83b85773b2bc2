"""The end of a job: its state, what is counted, and the webhook that is owed, in one transaction."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select, update

from phonofilm.app.server.store.records import Status
from phonofilm.app.server.store.schema import deliveries, jobs, usage

Error = tuple[str, str]
"""A code and a sentence."""
CANCELLED: Error = ("cancelled", "the job was cancelled")


def end(
    connection: Connection,
    where: ColumnElement[bool],
    status: Status,
    now: float,
    keep_seconds: float | None,
    result: Mapping[str, Any] | None = None,
    seconds: float | None = None,
    notices: Sequence[str] = (),
    error: Error | None = None,
) -> bool:
    """End the one job that `where` names, if it is still there and so; returns whether it was.

    Args:
        seconds: of film that were made.
    """
    values: dict[str, Any] = {"status": status, "completed_at": now, "lease_until": None, "seconds_left": None}
    values |= {"expires_at": None if keep_seconds is None else now + keep_seconds, "stage": None}
    values |= {"notices": json.dumps(list(notices))}
    if status == "completed":
        values |= {"progress": 100, "result": json.dumps(dict(result or {})), "seconds": seconds}
    if error is not None:
        values |= {"error_code": error[0], "error_message": error[1]}
    found = connection.execute(
        update(jobs).where(where, jobs.c.status.in_(("queued", "in_progress"))).values(values).returning(jobs.c.id)
    ).first()
    if found is None:
        return False
    row = connection.execute(select(jobs).where(jobs.c.id == found.id)).mappings().one()
    if status == "completed":
        connection.execute(insert(usage).values(job=row["id"], owner=row["owner"], seconds=seconds or 0.0, at=now))
    if row["webhook"]:
        _owe(connection, row["id"], row["webhook"], f"video.{status}", now)
    return True


def _owe(connection: Connection, job: str, url: str, kind: str, now: float) -> None:
    id = f"evt_{secrets.token_hex(16)}"
    payload = {"id": id, "object": "event", "created_at": int(now), "type": kind, "data": {"id": job}}
    row = {"id": id, "job": job, "kind": kind, "url": url, "payload": json.dumps(payload), "state": "owed"}
    connection.execute(insert(deliveries).values(row | {"tries": 0, "next_at": now, "created_at": now}))
