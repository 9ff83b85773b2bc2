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
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError

from phonofilm.errors import PhonofilmError

BUSY_SECONDS = 30
READING = "phonofilm_reading"


class Database:
    """Transactions on one database.

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
        """A transaction that writes; on disk when the block has ended."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view, which waits for no writer."""
        with self.engine.connect().execution_options(**{READING: True}) as connection, connection.begin():
            yield connection

    def migrate(self, revision: str = "head") -> None:
        """Bring the tables to a revision, forward or back ("base" is none at all).

        Raises:
            PhonofilmError: a store that a newer version of Phonofilm wrote.
        """
        config = _config()
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        with self.engine.begin() as connection:
            config.attributes["connection"] = connection
            now = MigrationContext.configure(connection).get_current_revision()
            if now is not None and now not in known:
                raise PhonofilmError(
                    f"the store has revision {now}, of a newer Phonofilm; use that version, which can take it back"
                )
            order = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]
            wanted = order[-1] if revision == "head" else revision
            back = revision == "base" or (now is not None and order.index(wanted) < order.index(now))
            (command.downgrade if back else command.upgrade)(config, revision)

    def revision(self) -> str | None:
        """The revision that the tables have."""
        with self.read() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _sqlite(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # we begin transactions ourselves, below
        cursor = connection.cursor()
        for setting in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_SECONDS * 1000}"):
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # a writer waits for its turn here, and not in the middle, where it could only fail
        reading = connection.get_execution_options().get(READING)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine
