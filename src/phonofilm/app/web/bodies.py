"""Bodies of requests: read no further than a limit and no longer than a deadline, and checked to be strict JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from phonofilm import strict_json
from phonofilm.app.web.refusals import RefusedError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def read_json(headers: Mapping[str, str], receive: Receive, most: int, seconds: float) -> bytes:
    """A body that is strict JSON, or empty.

    Args:
        headers: of the request, with names in small letters. most: bytes. seconds: in which it must arrive.

    Raises:
        RefusedError: 400, 408 or 413.
    """
    check_length(headers, most)
    try:
        async with asyncio.timeout(seconds):
            body = await _read(receive, most)
    except TimeoutError:
        raise too_slow() from None
    if body:
        try:
            strict_json.loads(body)
        except ValueError as error:
            raise RefusedError(400, f"the request cannot be read: {error}") from None
    return body


def check_length(headers: Mapping[str, str], most: int) -> None:
    """Refuse a body that says itself that it is too long, before any of it is read."""
    declared = headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > most:
        raise too_large()


async def _read(receive: Receive, most: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "the request ended too early")
        body += message.get("body", b"")
        if len(body) > most:
            raise too_large()
        if not message.get("more_body", False):
            return bytes(body)


def too_large() -> RefusedError:
    """413; closing tells the sender to stop, and what it still sends is not read."""
    return RefusedError(413, "the request is too large", {"Connection": "close"})


def too_slow() -> RefusedError:
    """408."""
    return RefusedError(408, "the request took too long to arrive", {"Connection": "close"})


def replay(body: bytes, receive: Receive) -> Receive:
    """Messages that give the body once, then whatever the connection says."""
    given = False

    async def next_message() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message


def with_headers(send: Send, extra: Mapping[str, str]) -> Send:
    """Send these headers with every answer."""
    lines = [(name.lower().encode(), value.encode()) for name, value in extra.items()]

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *lines]}
        await send(message)

    return wrapped
