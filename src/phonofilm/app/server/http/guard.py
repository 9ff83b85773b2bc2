"""What every request passes first: its host, its origin, its size and its pace; and the headers of every answer."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect

from phonofilm.app.server.base.logs import log_error
from phonofilm.app.server.base.metrics import Metrics
from phonofilm.app.server.http.access import UNSAFE
from phonofilm.app.server.http.errors import refuse
from phonofilm.app.web.bodies import Message, Receive, Scope, Send, check_length, too_large, too_slow, with_headers
from phonofilm.app.web.buckets import Buckets, Rate, address_key
from phonofilm.app.web.refusals import RefusedError

PACE = Rate(2000, 400)
"""Requests from one address."""
SOURCES = "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'"
HEADERS = {
    "Content-Security-Policy": f"{SOURCES}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
PAGES = "/reports/"
OF_PAGES = HEADERS | {
    "Content-Security-Policy": "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox",
    "X-Frame-Options": "SAMEORIGIN",
}
"""Of reports: no script of theirs runs, and nothing is loaded; only the studio may frame them."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Rules:
    """What is let in.

    Attributes:
        names: hosts by which this server may be called.
        addresses: whether any address may be, as where it is served to a network.
        upload, body: bytes of a form and of anything else. seconds: in which a body must arrive.
    """

    names: frozenset[str] = LOOPBACK
    addresses: bool = False
    upload: int = 256 * 2**20
    body: int = 2**20
    seconds: float = 60.0


class Guard:
    """ASGI middleware: refuses before a body is read or an endpoint runs."""

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        rules: Rules,
        metrics: Metrics,
        pace: Rate = PACE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app, self._rules, self._metrics, self._clock = app, rules, metrics, clock
        self._pace = Buckets(pace, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = headers_of(scope)
        began, status = self._clock(), 500
        send = with_headers(send, OF_PAGES if scope["path"].startswith(PAGES) else HEADERS)

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._admit(scope, headers)
            most = self._rules.upload if "multipart/form-data" in headers.get("content-type", "") else self._rules.body
            check_length(headers, most)
            await self._app(scope, _limited(receive, most, self._rules.seconds), noted)
        except RefusedError as refusal:
            await refuse(refusal, noted)
        except ClientDisconnect:
            status = 499
        except Exception:
            log_error("request failed by a fault of the server", path=scope["path"], method=scope["method"])
            if status == 500:
                await refuse(RefusedError(500, "the server failed by a fault of its own; its log says more"), noted)
        finally:
            route = scope.get("route")
            self._metrics.request(scope["method"], getattr(route, "path", "other"), status, self._clock() - began)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket, which browsers open to any host for any page: it is refused before it is one."""
        try:
            self._admit({**scope, "method": "WEBSOCKET"}, headers_of(scope))
        except RefusedError as refusal:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": str(refusal)})
            return
        await self._app(scope, receive, send)

    def _admit(self, scope: Scope, headers: dict[str, str]) -> None:
        if wait := self._pace.take(address_key(scope["client"][0] if scope.get("client") else None)):
            raise RefusedError(429, "too many requests; wait a little", {"Retry-After": str(math.ceil(wait))})
        host = headers.get("host", "")
        if not self._is_ours(host):
            raise RefusedError(403, "this server is not called by that name; see --name", code="host")
        if scope["method"] in (*UNSAFE, "WEBSOCKET") and "origin" in headers and not _same(headers["origin"], host):
            raise RefusedError(403, "another page may not ask this server", code="origin")
        navigates = headers.get("sec-fetch-mode") == "navigate" and scope["method"] in ("GET", "HEAD")
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not navigates:
            raise RefusedError(403, "another page may not ask this server", code="origin")

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if name in self._rules.names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._rules.addresses


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers of a request, with names in small letters."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _same(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def _limited(receive: Receive, most: int, seconds: float) -> Receive:
    """Messages of a body, up to a size and a moment."""
    read, until = 0, time.monotonic() + seconds
    whole = False

    async def next_message() -> Any:
        nonlocal read, whole
        if whole:  # what follows only says that the client has gone
            return await receive()
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                message = await receive()
        except TimeoutError:
            raise too_slow() from None
        if message["type"] == "http.request":
            read += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if read > most:
                raise too_large()
        return message

    return next_message
