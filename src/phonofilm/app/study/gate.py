"""What every request passes before the study sees it: limits of rate, size and time, and strict JSON."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from phonofilm import strict_json
from phonofilm.app.study.flow import RefusedError
from phonofilm.app.study.limits import Buckets, Limits, address_key

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
MEDIA = ("/media/", "/probe/", "/sound/", "/assets/")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'self'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Gate:
    """ASGI middleware: refuses with one sentence before a body is read to its end or an endpoint runs."""

    def __init__(
        self, app: Callable[..., Awaitable[None]], limits: Limits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app, self._limits = app, limits
        self._joins, self._addresses, self._raters = (
            Buckets(rate, clock) for rate in (limits.joins, limits.address, limits.rater)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = str(scope["path"])
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        send = _with_headers(send, cached=path.startswith(MEDIA))
        try:
            if not path.startswith(MEDIA):
                self._admit(scope, path, headers)
            if scope["method"] == "POST":
                receive = _replay(await self._body(headers, receive), receive)
        except RefusedError as refusal:
            await refuse(refusal, send)
            return
        await self._app(scope, receive, send)

    def _admit(self, scope: Scope, path: str, headers: dict[str, str]) -> None:
        address = address_key(scope["client"][0] if scope.get("client") else None)
        wait = self._addresses.take(address)
        if path == "/api/join" and scope["method"] == "POST":
            wait = max(wait, self._joins.take(address))
        if token := headers.get("x-rater"):
            wait = max(wait, self._raters.take(token[:100]))
        if wait:
            raise RefusedError(429, "too many requests; wait a little", {"Retry-After": str(math.ceil(wait))})

    async def _body(self, headers: dict[str, str], receive: Receive) -> bytes:
        """The body, read no further than the limit, and strict JSON or empty."""
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared[:20]) > self._limits.body:
            raise _too_large()
        try:
            async with asyncio.timeout(self._limits.seconds):
                body = await self._read(receive)
        except TimeoutError:
            raise RefusedError(408, "the request took too long to arrive", {"Connection": "close"}) from None
        if body:
            try:
                strict_json.loads(body)
            except ValueError as error:
                raise RefusedError(400, f"the request cannot be read: {error}") from None
        return body

    async def _read(self, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RefusedError(400, "the request ended too early")
            body += message.get("body", b"")
            if len(body) > self._limits.body:
                raise _too_large()
            if not message.get("more_body", False):
                return bytes(body)


def _too_large() -> RefusedError:
    # closing tells the sender to stop; what it still sends is not read
    return RefusedError(413, "the request is too large", {"Connection": "close"})


def _replay(body: bytes, receive: Receive) -> Receive:
    """Messages that give the body once, then whatever the connection says."""
    given = False

    async def next_message() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message


def _with_headers(send: Send, cached: bool) -> Send:
    extra = HEADERS if cached else HEADERS | {"Cache-Control": "no-store"}
    lines = [(name.lower().encode(), value.encode()) for name, value in extra.items()]

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *lines]}
        await send(message)

    return wrapped


async def refuse(refusal: RefusedError, send: Send) -> None:
    """Answer with the refusal's status and sentence."""
    body = strict_json.dumps({"error": str(refusal)}).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **refusal.headers}
    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": lines})
    await send({"type": "http.response.body", "body": body, "more_body": False})
