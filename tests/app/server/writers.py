"""What other processes do to a store in `test_server_writers`; light to import, for each of them does."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

from sqlalchemy import select, update

from phonofilm.app.server.store.database import Database, StoreAwayError
from phonofilm.app.server.store.schema import workers


def count(url: str, times: int) -> None:
    """Add to a number, one transaction at a time, and leave."""
    store = Database(url)
    count_in(store, times)
    store.close()


def count_in(store: Database, times: int) -> None:
    """Add to a number so many times, and again as long as the store is away: nothing was changed then."""
    done = 0
    while done < times:
        with suppress(StoreAwayError):  # where processors are short
            with store.write() as connection:
                add(connection)
            done += 1


def die(url: str) -> None:
    """Be killed in the middle of a transaction."""
    store = Database(url)
    while True:
        with suppress(StoreAwayError), store.write() as connection:
            add(connection)
            os.kill(os.getpid(), signal.SIGKILL)


def add(connection: Any) -> None:
    """As the claims do: what is read decides what is written."""
    number = connection.scalar(select(workers.c.pid))
    connection.execute(update(workers).values(pid=number + 1))


def number_in(store: Database) -> int:
    """What was counted."""
    with store.read() as connection:
        return int(connection.scalar(select(workers.c.pid)) or 0)
