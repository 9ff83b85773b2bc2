"""What every request passes before the study sees it: limits of rate, size and time, and strict JSON."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable

from phonofilm import strict_json
from phonofilm.app.study.limits import Limits
from phonofilm.app.web.bodies import Receive, Scope, Send, read_json, replay, with_headers
from phonofilm.app.web.buckets import Buckets, address_key
from phonofilm.app.web.refusals import RefusedError

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
        send = with_headers(send, HEADERS if path.startswith(MEDIA) else HEADERS | {"Cache-Control": "no-store"})
        try:
            if not path.startswith(MEDIA):
                self._admit(scope, path, headers)
            if scope["method"] == "POST":
                receive = replay(await read_json(headers, receive, self._limits.body, self._limits.seconds), receive)
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


async def refuse(refusal: RefusedError, send: Send) -> None:
    """Answer with the refusal's status and sentence."""
    body = strict_json.dumps({"error": str(refusal)}).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **refusal.headers}
    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": lines})
    await send({"type": "http.response.body", "body": body, "more_body": False})
