"""What the store keeps of a job, as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Status = Literal["queued", "in_progress", "completed", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class NewJob:
    """A job that is to be accepted.

    Attributes:
        kind: "film", "soundtrack" or "speech"; task: as people call it.
        spec: all that a worker needs, as plain values.
        webhook: where its end is told.
    """

    id: str
    owner: str
    kind: str
    task: str
    model: str
    spec: Mapping[str, Any]
    prompt: str = ""
    size: str | None = None
    seconds: float | None = None
    parent: str | None = None
    priority: int = 0
    webhook: str | None = None


@dataclass(frozen=True)
class Job:
    """A job as it stands; times are seconds since 1970."""

    number: int
    id: str
    owner: str
    kind: str
    task: str
    model: str
    prompt: str
    spec: Mapping[str, Any]
    size: str | None
    seconds: float | None
    parent: str | None
    priority: int
    status: Status
    attempt: int
    worker: str | None
    lease_until: float | None
    cancel_requested: bool
    progress: int
    stage: str | None
    seconds_left: float | None
    error_code: str | None
    error_message: str | None
    created_at: float
    started_at: float | None
    completed_at: float | None
    expires_at: float | None
    webhook: str | None = None
    notices: tuple[str, ...] = ()
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in ("completed", "failed")

    @staticmethod
    def of(row: Mapping[Any, Any]) -> Job:
        """From a row of the table."""
        values = dict(row)
        values["spec"] = json.loads(values["spec"])
        values["result"] = json.loads(values["result"] or "{}")
        values["notices"] = tuple(json.loads(values["notices"] or "[]"))
        return Job(**values)


@dataclass(frozen=True)
class Limits:
    """How many jobs may wait: in all, and of one key, with those that are being done."""

    queue: int = 1000
    per_owner: int = 200


@dataclass(frozen=True)
class Delivery:
    """A webhook that is owed."""

    id: str
    job: str
    kind: str
    url: str
    payload: str
    tries: int
    created_at: float
