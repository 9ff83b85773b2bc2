"""Who asks: an API key, the page by its cookie, or, on this machine alone, anybody."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

from phonofilm.app.server.store.keys import SCOPES, Keys
from phonofilm.app.web.buckets import Buckets, Rate
from phonofilm.app.web.refusals import RefusedError

COOKIE = "phonofilm_session"
SESSION_SECONDS = 7 * 86_400
LOCAL = "local"
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
WRONG_KEYS = Rate(10, 1 / 6)
"""Wrong keys from one address: ten, then one in six seconds."""


@dataclass(frozen=True)
class Identity:
    """Who asks. owner: whose jobs they are."""

    owner: str
    scopes: frozenset[str]

    @property
    def sees(self) -> str | None:
        """Whose jobs are seen: None for everybody's."""
        return None if "admin" in self.scopes else self.owner


@dataclass
class Access:
    """Tells who asks.

    Attributes:
        open: whether a key is needed: not where only this machine can ask.
        secret: signs cookies.
        wrong: counts wrong keys by address.
    """

    keys: Keys
    secret: bytes
    open: bool
    clock: Callable[[], float] = time.time
    wrong: Buckets = field(default_factory=lambda: Buckets(WRONG_KEYS))

    def identify(self, method: str, headers: Mapping[str, str], address: str) -> Identity:
        """Who sent a request.

        Raises:
            RefusedError: 401 without a key that is right, 403 without the token of the page, 429 after many guesses.
        """
        bearer = headers.get("authorization", "")
        if bearer.lower().startswith("bearer "):
            key = self.keys.check(bearer[7:].strip())
            if key is not None:
                return Identity(key.id, key.scopes)
            if not self.open:
                self._count_wrong(address)
                raise _unknown("this API key is not right")
        cookie = cookie_of(headers)
        found = self._session(cookie) if cookie else None
        if found is not None:
            if method in UNSAFE and not hmac.compare_digest(headers.get("x-csrf-token", ""), self.token(cookie)):
                raise RefusedError(403, "this page is out of date; load it again", code="csrf")
            return found
        if not self.open:
            raise _unknown("an API key is needed: Authorization: Bearer pf_…")
        if method in UNSAFE and ("origin" in headers or "sec-fetch-site" in headers):
            raise RefusedError(403, "a page in a browser must send its token; load the studio again", code="csrf")
        return Identity(LOCAL, frozenset(SCOPES))

    def _count_wrong(self, address: str) -> None:
        if wait := self.wrong.take(address):
            raise RefusedError(429, "too many wrong keys; wait a little", {"Retry-After": str(int(wait) + 1)})

    def log_in(self, key: str | None, address: str) -> str:
        """A cookie for the page of whoever has a key, or for anybody where none is needed.

        Raises:
            RefusedError: 401, 429.
        """
        if key is None and self.open:
            return self._signed(LOCAL)
        found = self.keys.check(key or "")
        if found is None:
            self._count_wrong(address)
            raise _unknown("this API key is not right")
        return self._signed(found.id)

    def _signed(self, owner: str) -> str:
        said = f"{owner}.{int(self.clock()) + SESSION_SECONDS}.{secrets.token_hex(16)}"
        return f"{said}.{self._mac('session', said)}"

    def _session(self, cookie: str) -> Identity | None:
        said, _, mac = cookie.rpartition(".")
        if not hmac.compare_digest(mac.encode(), self._mac("session", said).encode()):
            return None
        owner, until, _ = said.split(".")
        if float(until) < self.clock():
            return None
        if owner == LOCAL:
            return Identity(LOCAL, frozenset(SCOPES)) if self.open else None
        key = self.keys.named(owner)
        return None if key is None else Identity(key.id, key.scopes)

    def token(self, cookie: str) -> str:
        """What a page must send with all that changes something: no other page can read it."""
        return self._mac("csrf", cookie)

    def known(self, cookie: str) -> bool:
        """Whether a cookie opens something."""
        return self._session(cookie) is not None

    def _mac(self, purpose: str, said: str) -> str:
        digest = hmac.new(self.secret, f"{purpose}\0{said}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def cookie_of(headers: Mapping[str, str]) -> str:
    """The page's cookie, or ""."""
    try:
        found = SimpleCookie(headers.get("cookie", "")[:4096]).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None or not found.value.isascii() else found.value


def need(identity: Identity, scope: str) -> None:
    """Refuse who may not.

    Raises:
        RefusedError: 403.
    """
    if scope not in identity.scopes:
        raise RefusedError(403, f"this key has no scope {scope}", code="scope")


def _unknown(message: str) -> RefusedError:
    return RefusedError(401, message, {"WWW-Authenticate": "Bearer"}, code="invalid_api_key")
