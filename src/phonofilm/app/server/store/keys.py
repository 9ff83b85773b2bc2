"""API keys: made once, shown once, kept as hashes, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import bindparam, func, insert, select, update

from phonofilm.app.server.store.database import Database
from phonofilm.app.server.store.schema import keys
from phonofilm.errors import PhonofilmError

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""See one's own jobs; make and erase them; see metrics and everybody's jobs."""
_FORM = re.compile(r"pf_([0-9a-f]{12})_([0-9A-Za-z_-]{43})", re.ASCII)
NAMED = select(keys).where(keys.c.id == bindparam("id"))
_NOBODY = hashlib.sha256(b"nobody").hexdigest()


@dataclass(frozen=True)
class Key:
    """A key as it is kept; `id` names its owner."""

    id: str
    name: str
    scopes: frozenset[str]
    created_at: float
    revoked_at: float | None = None


@dataclass(frozen=True)
class Keys:
    """The API keys of a store."""

    database: Database
    clock: Callable[[], float] = time.time

    def make(self, name: str, scopes: Sequence[str] = ("read", "write")) -> tuple[str, Key]:
        """A new key, as text that is shown now and never again, and what is kept of it.

        Raises:
            PhonofilmError: an unknown scope, or a name that is empty or too long.
        """
        if wrong := [scope for scope in scopes if scope not in SCOPES]:
            raise PhonofilmError(f"no scope {wrong[0]!r}; there are {', '.join(SCOPES)}")
        if not scopes or not name.strip() or len(name) > 200:
            raise PhonofilmError("a key needs a name of at most 200 letters and at least one scope")
        id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        row = {"id": id, "name": name, "hash": _hash(secret), "scopes": ",".join(sorted(set(scopes)))}
        with self.database.write() as connection:
            connection.execute(insert(keys).values(row | {"created_at": self.clock()}))
        return f"pf_{id}_{secret}", Key(id, name, frozenset(scopes), self.clock())

    def check(self, text: str) -> Key | None:
        """The key that a text is, or None."""
        match = _FORM.fullmatch(text)
        row = None
        if match is not None:
            row = self.database.look(NAMED, id=match[1])
        kept = row["hash"] if row is not None else _NOBODY
        right = hmac.compare_digest(_hash(match[2] if match else text), kept)
        return None if row is None or not right or row["revoked_at"] is not None else _key(row)

    def named(self, id: str) -> Key | None:
        """A key by its id, unless it was revoked."""
        row = self.database.look(NAMED, id=id)
        return None if row is None or row["revoked_at"] is not None else _key(row)

    def revoke(self, id: str) -> None:
        """Let a key open nothing any more.

        Raises:
            PhonofilmError: there is none of this id.
        """
        with self.database.write() as connection:
            done = connection.execute(update(keys).where(keys.c.id == id).values(revoked_at=self.clock()))
        if not done.rowcount:
            raise PhonofilmError(f"no key {id!r}; phonofilm keys list shows them")

    def list(self) -> list[Key]:
        """All keys, the oldest first."""
        with self.database.read() as connection:
            return [_key(row) for row in connection.execute(select(keys).order_by(keys.c.created_at)).mappings()]

    def any(self) -> bool:
        """Whether there is a key that opens something."""
        with self.database.read() as connection:
            count = select(func.count()).select_from(keys).where(keys.c.revoked_at.is_(None))
            return bool(connection.scalar(count))


def _hash(secret: str) -> str:
    # 256 random bits need no slow hash
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(row: object) -> Key:
    values = dict(row)  # type: ignore[call-overload]
    return Key(
        values["id"], values["name"], frozenset(values["scopes"].split(",")), values["created_at"], values["revoked_at"]
    )
