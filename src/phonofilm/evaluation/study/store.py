"""Where ratings live: SQLite with a write-ahead log, so that many raters write at once and a crash loses nothing.

An answer is committed to disk before it is acknowledged, and its key is (rater, trial): sent again after a lost
connection it changes nothing. Every other thing that happens is a line in `events`, with its time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from phonofilm import strict_json
from phonofilm.errors import PhonofilmError

RATINGS_FILE = "ratings.sqlite"
SCHEMA = """
CREATE TABLE IF NOT EXISTS study (hash TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS raters (
    seat INTEGER PRIMARY KEY, token TEXT NOT NULL UNIQUE, outside TEXT UNIQUE, joined REAL NOT NULL, agent TEXT);
CREATE TABLE IF NOT EXISTS ratings (
    seat INTEGER NOT NULL REFERENCES raters, trial INTEGER NOT NULL, answers TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (seat, trial));
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, seat INTEGER NOT NULL, trial INTEGER, kind TEXT NOT NULL, detail TEXT, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS events_of ON events (seat, trial, kind);
CREATE TABLE IF NOT EXISTS withdrawn (seat INTEGER PRIMARY KEY REFERENCES raters, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS secret (key TEXT NOT NULL);
"""

_RATERS = "SELECT raters.*, withdrawn.at FROM raters LEFT JOIN withdrawn USING (seat)"
_PRESENT = "NOT EXISTS (SELECT 1 FROM withdrawn WHERE seat = ?)"


@dataclass(frozen=True)
class Rater:
    """Somebody who takes part: the seat decides what is shown, the token proves who it is.

    Attributes:
        outside: the name that a recruiting service knows the rater by.
        withdrawn: when the rater withdrew, and all answers were deleted; None for the others.
    """

    seat: int
    token: str
    outside: str | None
    joined: float
    agent: str | None = None
    withdrawn: float | None = None

    @property
    def code(self) -> str:
        """What a rater who has finished can show, and what cannot be guessed."""
        return hashlib.sha256(self.token.encode()).hexdigest()[:10].upper()


@dataclass(frozen=True)
class Rating:
    """One answered trial: {scale: 1 … 5, or None for "cannot tell"}; for a pair 1, 0 (tie) or −1."""

    seat: int
    trial: int
    answers: Mapping[str, int | None]
    at: float


@dataclass(frozen=True)
class Happening:
    """Something other than an answer: a clip played, a check done."""

    seat: int
    trial: int | None
    kind: str
    detail: Mapping[str, Any]
    at: float


class Ratings:
    """The ratings of one study; safe to use from many threads and processes at once."""

    def __init__(self, folder: Path, study_hash: str) -> None:
        """Open, or start, the ratings of the study with this hash.

        Raises:
            PhonofilmError: the ratings belong to another study, or the file is damaged.
        """
        self.path = folder / RATINGS_FILE
        try:
            with self._open() as store:
                store.executescript(SCHEMA)
                with _writing(store):
                    found = store.execute("SELECT hash FROM study").fetchone()
                    if found is None:
                        store.execute("INSERT INTO study VALUES (?)", (study_hash,))
                    if store.execute("SELECT key FROM secret").fetchone() is None:
                        store.execute("INSERT INTO secret VALUES (?)", (secrets.token_hex(32),))
                    self._secret = bytes.fromhex(store.execute("SELECT key FROM secret").fetchone()[0])
        except sqlite3.Error as error:
            raise PhonofilmError(f"{self.path} cannot be used: {error}") from error
        if found is not None and found[0] != study_hash:
            raise PhonofilmError(f"{self.path} holds ratings of another study: study.json was changed after it started")

    def link_key(self, outside: str) -> str:
        """The signature (HMAC-SHA256, 128 bits) that proves an outside name in a link; only this file can make it."""
        return hmac.new(self._secret, b"seat link\n" + outside.encode(), hashlib.sha256).hexdigest()[:32]

    def join(self, at: float, outside: str | None = None, agent: str | None = None) -> Rater | None:
        """A new rater on the next seat; None where this outside name has a seat already."""
        with self._open() as store, _writing(store):
            if outside is not None and self._rater(store, "outside", outside):
                return None
            seat = store.execute("SELECT COALESCE(MAX(seat) + 1, 0) FROM raters").fetchone()[0]
            rater = Rater(seat, secrets.token_urlsafe(16), outside, at, agent)
            store.execute("INSERT INTO raters VALUES (?, ?, ?, ?, ?)", (seat, rater.token, outside, at, agent))
            return rater

    def rater(self, token: str) -> Rater | None:
        with self._open() as store:
            return self._rater(store, "token", token)

    def named(self, outside: str) -> Rater | None:
        """The rater with this outside name."""
        with self._open() as store:
            return self._rater(store, "outside", outside)

    def withdraw(self, seat: int, at: float) -> None:
        """Delete all answers and events of a rater, and the outside name; the seat itself is never given again."""
        with self._open() as store, _writing(store):
            for table in ("ratings", "events"):
                store.execute(f"DELETE FROM {table} WHERE seat = ?", (seat,))
            store.execute("UPDATE raters SET outside = NULL, agent = NULL WHERE seat = ?", (seat,))
            store.execute("INSERT OR IGNORE INTO withdrawn VALUES (?, ?)", (seat, at))

    def rate(self, seat: int, trial: int, answers: Mapping[str, int | None], at: float) -> bool:
        """Keep an answer; False if this trial was answered before, in which case the first answer stays, or if the
        rater has withdrawn meanwhile."""
        row = (seat, trial, strict_json.dumps(dict(answers)), at)
        with self._open() as store, _writing(store):
            done = store.execute(f"INSERT OR IGNORE INTO ratings SELECT ?, ?, ?, ? WHERE {_PRESENT}", (*row, seat))
            return done.rowcount == 1

    def note(
        self, seat: int, trial: int | None, kind: str, at: float, detail: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """Keep an event, unless the rater has withdrawn meanwhile."""
        row = (seat, trial, kind, strict_json.dumps(dict(detail)), at)
        columns = "events (seat, trial, kind, detail, at)"
        with self._open() as store, _writing(store):
            store.execute(f"INSERT INTO {columns} SELECT ?, ?, ?, ?, ? WHERE {_PRESENT}", (*row, seat))

    def count_events(self, seat: int) -> int:
        with self._open() as store:
            return int(store.execute("SELECT COUNT(*) FROM events WHERE seat = ?", (seat,)).fetchone()[0])

    def answered(self, seat: int) -> set[int]:
        with self._open() as store:
            return {row[0] for row in store.execute("SELECT trial FROM ratings WHERE seat = ?", (seat,))}

    def raters(self) -> list[Rater]:
        with self._open() as store:
            return [Rater(*row) for row in store.execute(f"{_RATERS} ORDER BY seat")]

    def ratings(self) -> list[Rating]:
        with self._open() as store:
            rows = store.execute("SELECT seat, trial, answers, at FROM ratings ORDER BY seat, trial")
            return [Rating(seat, trial, _loads(answers), at) for seat, trial, answers, at in rows]

    def events(self, seat: int | None = None, trial: int | None = None, kind: str | None = None) -> list[Happening]:
        """Events in order, of one rater, trial or kind where given."""
        wanted = {"seat": seat, "trial": trial, "kind": kind}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given) or "1"
        with self._open() as store:
            rows = store.execute(
                f"SELECT seat, trial, kind, detail, at FROM events WHERE {where} ORDER BY id", tuple(given.values())
            )
            return [Happening(s, t, k, _loads(detail or "{}"), at) for s, t, k, detail, at in rows]

    @staticmethod
    def _rater(store: sqlite3.Connection, column: str, value: str) -> Rater | None:
        row = store.execute(f"{_RATERS} WHERE {column} = ?", (value,)).fetchone()
        return Rater(*row) if row else None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One connection for one thing to do: cheap, and none is ever shared between threads."""
        store = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            store.execute("PRAGMA journal_mode = WAL")
            store.execute("PRAGMA synchronous = FULL")  # an acknowledged answer survives a power cut
            store.execute("PRAGMA secure_delete = ON")  # of a rater who withdrew nothing stays in the file
            yield store
        finally:
            store.close()


def _loads(text: str) -> Any:
    """Stored JSON; files of earlier versions may hold NaN and lone surrogates, which are taken out."""
    return strict_json.plain(json.loads(text))


@contextmanager
def _writing(store: sqlite3.Connection) -> Iterator[None]:
    """One transaction that holds the write lock from its start, so that what it read is still true when it writes."""
    store.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        store.execute("ROLLBACK")
        raise
    store.execute("COMMIT")
