"""The tables, as the newest migration leaves them (`tests` compare the two)."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("owner", String(64), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("task", String(20), nullable=False),
    Column("model", String(200), nullable=False),
    Column("prompt", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("size", String(20)),
    Column("seconds", Float),
    Column("parent", String(64)),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("status", String(20), nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("worker", String(64)),
    Column("lease_until", Float),
    Column("cancel_requested", Boolean, nullable=False),
    Column("progress", Integer, nullable=False, server_default="0"),
    Column("stage", String(20)),
    Column("seconds_left", Float),
    Column("notices", Text),
    Column("error_code", String(60)),
    Column("error_message", Text),
    Column("result", Text),
    Column("webhook", Text),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("completed_at", Float),
    Column("expires_at", Float),
    Index("jobs_by_turn", "status", "priority", "number"),
    Index("jobs_by_owner", "owner", "number"),
    Index("jobs_by_expiry", "expires_at"),
)
"""A job from its acceptance to its erasure. Times are seconds since 1970."""

idempotency = Table(
    "idempotency",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("body_hash", String(64), nullable=False),
    Column("job", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
)
"""Which job an Idempotency-Key stands for; it outlives the job."""

usage = Table(
    "usage",
    metadata,
    Column("job", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("seconds", Float, nullable=False),
    Column("at", Float, nullable=False),
    Index("usage_by_owner", "owner", "at"),
)
"""Seconds of film that were made, once a job."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("job", String(64), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("url", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_at", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("job", "kind", name="one_delivery_a_job"),
    Index("deliveries_by_turn", "state", "next_at"),
)
"""Webhooks that are owed: sent at least once, always with the same id."""

keys = Table(
    "keys",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("scopes", String(200), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("revoked_at", Float),
)
"""API keys, of which only hashes are kept."""

workers = Table(
    "workers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("host", String(200), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
)
"""Who does jobs, and when each was last heard of."""
