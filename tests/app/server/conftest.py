"""A store for each test: SQLite in a file, and PostgreSQL where it is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from phonofilm.app.server.store.database import Database

BINARIES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A migrated store of SQLite."""
    store = Database(f"sqlite:///{tmp_path / 'phonofilm.db'}")
    store.migrate()
    yield store
    store.close()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL that runs as a user of its own, in a data folder of its own."""
    if BINARIES is None or not (BINARIES / "initdb").exists():
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    folder = Path("/tmp") / f"phonofilm-pg-{os.getpid()}"
    folder.mkdir()
    user: dict[str, str] = {}
    if os.getuid() == 0:  # it refuses to run as root
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("needs PostgreSQL: apt-get install postgresql")
        shutil.chown(folder, "postgres")
        user = {"user": "postgres"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    init = [BINARIES / "initdb", "-D", data, "-U", "phonofilm", "-A", "trust", "--no-sync"]
    subprocess.run(init, check=True, capture_output=True, cwd=folder, **user)
    command = [BINARIES / "postgres", "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **user)
    try:
        for _ in range(200):
            ready = subprocess.run([BINARIES / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], capture_output=True)
            if ready.returncode == 0:
                break
            time.sleep(0.05)
        yield f"postgresql+psycopg://phonofilm@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated store of either kind, empty."""
    if request.param == "sqlite":
        made = Database(f"sqlite:///{tmp_path / 'phonofilm.db'}")
    else:
        made = Database(request.getfixturevalue("postgres"))
        made.migrate("base")
    made.migrate()
    yield made
    made.close()
