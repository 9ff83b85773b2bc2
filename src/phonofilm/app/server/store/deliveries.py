"""Webhooks that are owed: each is tried until it is taken, with longer and longer pauses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import delete, select, update

from phonofilm.app.server.store.database import Database
from phonofilm.app.server.store.records import Delivery
from phonofilm.app.server.store.schema import deliveries

PAUSES = (5.0, 30.0, 120.0, 600.0, 3600.0, 4 * 3600.0, 12 * 3600.0)
"""Seconds after the first try, the second, and so on; after the last one it is given up."""


@dataclass(frozen=True)
class Deliveries:
    """The webhooks of a store."""

    database: Database
    clock: Callable[[], float] = time.time

    def next(self, lease_seconds: float = 60.0) -> Delivery | None:
        """One whose time has come; nobody else gets it for as long as a try may take."""
        now = self.clock()
        due = select(deliveries).where(deliveries.c.state == "owed", deliveries.c.next_at <= now)
        due = due.order_by(deliveries.c.next_at).limit(1)
        if not self.database.sqlite:
            due = due.with_for_update(skip_locked=True)
        with self.database.write() as connection:
            row = connection.execute(due).mappings().first()
            if row is None:
                return None
            taken = update(deliveries).where(deliveries.c.id == row["id"])
            connection.execute(taken.values(next_at=now + lease_seconds, tries=row["tries"] + 1))
            names = ("id", "job", "kind", "url", "payload", "created_at")
            return Delivery(**{name: row[name] for name in names}, tries=row["tries"] + 1)

    def waiting(self) -> bool:
        """Whether one is due."""
        with self.database.read() as connection:
            due = (deliveries.c.state == "owed") & (deliveries.c.next_at <= self.clock())
            return connection.scalar(select(deliveries.c.id).where(due).limit(1)) is not None

    def taken(self, delivery: Delivery) -> None:
        """It arrived."""
        self._set(delivery, "taken", self.clock())

    def refused(self, delivery: Delivery) -> bool:
        """It did not arrive; returns whether it will be tried again."""
        again = delivery.tries <= len(PAUSES)
        pause = PAUSES[delivery.tries - 1] if again else 0.0
        self._set(delivery, "owed" if again else "given_up", self.clock() + pause)
        return again

    def _set(self, delivery: Delivery, state: str, next_at: float) -> None:
        with self.database.write() as connection:
            connection.execute(
                update(deliveries).where(deliveries.c.id == delivery.id).values(state=state, next_at=next_at)
            )

    def forget(self, older: float) -> None:
        """Drop those of this age in seconds that are no longer owed."""
        done = (deliveries.c.state != "owed") & (deliveries.c.created_at < self.clock() - older)
        with self.database.write() as connection:
            connection.execute(delete(deliveries).where(done))
