"""The connection to the store, SQLite or PostgreSQL: what is committed is on disk. And its migrations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Executable, RootTransaction, RowMapping, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from phonofilm.app.server.store.turns import Turns
from phonofilm.errors import PhonofilmError

PATIENCE = 10.0
"""Seconds for which a writer waits for its turn; whoever can wait longer asks again."""
CONNECTIONS = 64
"""Of one process at most; as many threads as there are may ask at once without opening files anew."""
READING, ALONE = "phonofilm_reading", "alone"
"""How a connection is used: True for a transaction that reads, `ALONE` for one statement that does."""


class StoreAwayError(Exception):
    """The store did not begin a transaction in time, so nothing was changed: it may be asked again."""


class Database:
    """Transactions on one database.

    SQLite has one writer at a time, and whoever waits for it looks again and again, in no order. So the threads of a
    process wait for one another at a lock of ours, which wakes them, and only one of them at a time asks SQLite.

    Args:
        url: as SQLAlchemy has them: "sqlite:////data/phonofilm.db" or "postgresql+psycopg://user@host/name".

    Raises:
        PhonofilmError: a URL that is none, or a database that cannot be reached.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
            self.sqlite = parsed.get_backend_name() == "sqlite"
            self.engine = _sqlite(url) if self.sqlite else create_engine(url, pool_pre_ping=True, pool_size=10)
            self._turns = Turns()
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise PhonofilmError(
                "--database must be sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME, with its driver installed"
            ) from error
        try:
            with self.engine.connect():
                pass
        except DatabaseError as error:
            raise PhonofilmError(f"the store cannot be opened: {error.orig}") from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes; on disk when the block has ended.

        Raises:
            StoreAwayError: it could not begin within `PATIENCE`.
        """
        if self.sqlite and not self._turns.take(PATIENCE):
            raise StoreAwayError("the store has too many writers now")
        try:
            with self._connected() as connection, _begun(connection):
                yield connection
        finally:
            if self.sqlite:
                self._turns.give()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view, which waits for no writer.

        Raises:
            StoreAwayError: the store does not answer.
        """
        with self._connected() as connection:
            try:
                with connection.execution_options(**{READING: True}).begin():
                    yield connection
            except OperationalError as error:
                raise StoreAwayError(f"the store does not answer: {error.orig}") from error

    def look(self, query: Executable, **values: Any) -> RowMapping | None:
        """The first row of one statement that reads, which needs no transaction of its own.

        Raises:
            StoreAwayError: the store does not answer.
        """
        with self._connected() as connection:
            try:
                return connection.execution_options(**{READING: ALONE}).execute(query, values).mappings().first()
            except OperationalError as error:
                raise StoreAwayError(f"the store does not answer: {error.orig}") from error

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            connection = self.engine.connect()
        except (OperationalError, NoConnectionError) as error:
            raise StoreAwayError(f"the store does not answer: {error}") from error
        with connection:
            yield connection

    def migrate(self, revision: str = "head") -> None:
        """Bring the tables to a revision, forward or back ("base" is none at all).

        Raises:
            PhonofilmError: a store that a newer version of Phonofilm wrote, or one that others keep busy.
        """
        try:
            with self.write() as connection:
                _migrate(connection, revision)
        except StoreAwayError as error:
            raise PhonofilmError(f"the tables of the store cannot be checked: {error}; try again") from error

    def revision(self) -> str | None:
        """The revision that the tables have."""
        with self.read() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


def _migrate(connection: Connection, revision: str) -> None:
    config = _config()
    order = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]
    config.attributes["connection"] = connection
    now = MigrationContext.configure(connection).get_current_revision()
    if now is not None and now not in order:
        raise PhonofilmError(
            f"the store has revision {now}, of a newer Phonofilm; use that version, which can take it back"
        )
    wanted = order[-1] if revision == "head" else revision
    back = revision == "base" or (now is not None and order.index(wanted) < order.index(now))
    (command.downgrade if back else command.upgrade)(config, revision)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _begun(connection: Connection) -> RootTransaction:
    """A transaction on a connection; it fails here, where nothing was done yet, or never for being busy."""
    try:
        return connection.begin()
    except OperationalError as error:
        raise StoreAwayError(f"the store is busy: {error.orig}") from error


def _sqlite(url: str) -> Engine:
    engine = create_engine(
        url, connect_args={"timeout": PATIENCE, "check_same_thread": False}, pool_size=CONNECTIONS, max_overflow=0
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # we begin transactions ourselves, below
        cursor = connection.cursor()
        for setting in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={int(PATIENCE * 1000)}"):
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # a writer waits for its turn here, and not in the middle, where it could only fail
        reading = connection.get_execution_options().get(READING)
        if reading != ALONE:
            connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine
