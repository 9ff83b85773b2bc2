"""Live films over a WebSocket: each is made by a process of its own, and this one only hands on what comes.

The first message says what to make and is `begin`; after that the messages are those of `phonofilm stream --serve`
(docs/live.md).
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Annotated, Any, Literal

from fastapi import APIRouter, WebSocket
from pydantic import Field, StringConstraints, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect

from phonofilm import strict_json
from phonofilm.app.jobs.fields import size as read_size
from phonofilm.app.server.base.logs import log
from phonofilm.app.server.http.access import need
from phonofilm.app.server.http.bodies import NUMBERED, Body, Seed, Short
from phonofilm.app.server.http.desk import Desk
from phonofilm.app.server.http.errors import first_fault
from phonofilm.app.server.http.guard import headers_of
from phonofilm.app.web.buckets import address_key
from phonofilm.app.web.refusals import RefusedError

PROGRAM = "phonofilm.app.live.piped"
"""Makes one film; it may load a model, so it is no module of this process."""
PATH = "/v1/videos/stream"
FIRST = 10.0
"""Seconds in which a viewer must say what to make."""
IDLE = 600.0
"""Seconds in which nothing comes, as of a film that is paused, after which it is ended."""
STUCK = 60.0
"""Seconds in which a viewer takes nothing, after which it is given up."""
LOOK = 0.5
"""Seconds after which a thread that waits looks whether it is to stop."""
ENDING = 10.0
"""Seconds that a maker is given to leave."""
LARGEST = 64 * 2**20
"""Bytes of a piece."""
CHEAP = {"steps": 4, "guidance": [1.0, 1.0], "modality_guidance": [1.0, 1.0]}
"""How a draft is sampled, as by `phonofilm stream --draft`."""


class Beginning(Body):
    """The first message."""

    type: Literal["begin"]
    prompt: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    model: Short | None = None
    seed: Seed = 0
    size: Annotated[str, StringConstraints(pattern=r"^[0-9]{2,4}x[0-9]{2,4}$")] | None = None
    num_inference_steps: Annotated[int, Field(ge=1, le=1000), NUMBERED] | None = None
    draft: bool = False
    token: str = Field("", max_length=200)

    @property
    def sampling(self) -> dict[str, Any]:
        """What a source is told of how to sample."""
        said = {} if self.num_inference_steps is None else {"steps": self.num_inference_steps}
        return CHEAP | said if self.draft else said


def live_router(desk: Desk) -> APIRouter:
    """The endpoint of live films."""
    made = APIRouter(include_in_schema=False)
    running: set[WebSocket] = set()

    @made.get(PATH)
    def explain(request: Request) -> Response:
        raise RefusedError(426, "a live film comes over a WebSocket at this address", {"Upgrade": "websocket"})

    @made.websocket(PATH)
    async def stream(socket: WebSocket) -> None:
        try:
            await run_in_threadpool(_identify, desk, socket, "GET", "")
        except RefusedError as refusal:
            await socket.close(1008, str(refusal))
            return
        await socket.accept()
        try:
            asked = await _beginning(socket)
            who = await run_in_threadpool(_identify, desk, socket, "POST", asked.token)
            told = _told(desk, asked)
            if len(running) >= desk.service.settings.live:
                busy = "another live film is being made here; end that one, or try again later"
                none = "no live films are made here; --live of phonofilm serve says how many"
                raise RefusedError(429, busy if desk.service.settings.live else none)
        except RefusedError as refusal:
            await _end(socket, str(refusal))
            return
        except (WebSocketDisconnect, KeyError):
            return
        running.add(socket)
        log("live film began", owner=who, model=told["model"])

        def ended() -> None:
            running.discard(socket)
            log("live film ended", owner=who)

        await _film(socket, Maker(told, ended))

    return made


def _identify(desk: Desk, socket: WebSocket, method: str, token: str) -> str:
    """Whose film it is; the token of a page stands in the first message, since a WebSocket has no headers of its own.

    Raises:
        RefusedError: 401, 403 or 429.
    """
    headers = headers_of(socket.scope) | ({"x-csrf-token": token} if token else {})
    found = desk.access.identify(method, headers, address_key(socket.client.host if socket.client else None))
    need(found, "write")
    return found.owner


async def _beginning(socket: WebSocket) -> Beginning:
    """The first message.

    Raises:
        RefusedError: it does not come, or is none.
    """
    try:
        text = await asyncio.wait_for(socket.receive_text(), FIRST)
        return Beginning.model_validate(strict_json.loads(text.encode()))
    except TimeoutError:
        raise RefusedError(408, "the first message must say what to make") from None
    except ValidationError as error:
        raise first_fault(error.errors()) from None
    except ValueError:
        raise RefusedError(400, 'the first message is one JSON object, as {"type": "begin", "prompt": "…"}') from None


def _told(desk: Desk, asked: Beginning) -> dict[str, Any]:
    """What the process that makes the film is told.

    Raises:
        RefusedError: a model that is not here, or the server is stopping.
    """
    service, settings = desk.service, desk.service.settings
    if service.draining:
        raise RefusedError(503, "the server is stopping; try again soon")
    told: dict[str, Any] = {"prompt": asked.prompt, "model": settings.models[service.model(asked.model)]}
    told |= {"device": settings.device, "longest": settings.live_seconds, "seed": asked.seed}
    told |= {"size": None if asked.size is None else read_size(asked.size, "size"), "sampling": asked.sampling}
    return told | {"policies": None if settings.policy is None else list(settings.policy)}


class Maker:
    """A process that makes one film.

    Args:
        ended: called once, from a thread, when the process is gone.
    """

    def __init__(self, told: dict[str, Any], ended: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._came: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = threading.Semaphore(2)  # what nobody takes makes the process wait
        self._over, self._ended = threading.Event(), ended
        command = [sys.executable, "-m", PROGRAM]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.say(json.dumps(told))
        threading.Thread(target=self._read, name="live film", daemon=True).start()

    def say(self, text: str) -> None:
        """Tell it a line."""
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):  # it is gone
            self._process.stdin.write(" ".join(text.splitlines()).encode() + b"\n")
            self._process.stdin.flush()

    async def take(self) -> bytes | None:
        """A letter (B or J) and a piece or message; None when there are no more."""
        self._room.release()
        return await self._came.get()

    def leave(self) -> None:
        """Let it end by itself, for some seconds; this does not wait."""
        self._over.set()

    def _read(self) -> None:
        """Hand on what it writes, and see it out."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._process, suppress(OSError, RuntimeError):  # the loop may be closed
            while not self._over.is_set():
                if not self._room.acquire(timeout=LOOK):
                    continue
                piece = _piece(self._process.stdout)
                self._loop.call_soon_threadsafe(self._came.put_nowait, piece)
                if piece is None:
                    break
            last = threading.Timer(ENDING, self._process.kill)
            last.daemon = True
            last.start()
            with suppress(OSError):
                self._process.stdin.close()
            while self._process.stdout.read(65_536):  # what it still says must not hold it up
                pass
            self._process.wait()
            last.cancel()
        self._ended()


def _piece(file: IO[bytes]) -> bytes | None:
    head = file.read(5)
    size = int.from_bytes(head[1:], "big")
    if len(head) < 5 or size > LARGEST:
        return None
    body = file.read(size)
    return head[:1] + body if len(body) == size else None


async def _film(socket: WebSocket, maker: Maker) -> None:
    """Hand on what the maker and the viewer say."""
    down, up = asyncio.create_task(_down(socket, maker)), asyncio.create_task(_up(socket, maker))
    try:
        await asyncio.wait([down, up], return_when=asyncio.FIRST_COMPLETED)
        if down.done():
            await _end(socket, down.result())
    finally:
        maker.leave()
        down.cancel()
        up.cancel()


async def _down(socket: WebSocket, maker: Maker) -> str:
    """Pieces and messages from the maker to the viewer; returns why there are no more."""
    why = ""
    while True:
        try:
            piece = await asyncio.wait_for(maker.take(), IDLE)
        except TimeoutError:
            return f"nothing happened for {IDLE / 60:.0f} minutes"
        if piece is None:
            return why or "the film ended before its time; the server's log says more"
        message = json.loads(piece[1:]) if piece[:1] == b"J" else {}
        if message.get("type") == "end":  # its reason may still follow, as a note
            why = message.get("why", "the film is over")
            continue
        if why and message.get("type") == "note":
            why = message["text"]
            continue
        send = socket.send_text(piece[1:].decode()) if message else socket.send_bytes(piece[1:])
        try:
            await asyncio.wait_for(send, STUCK)
        except (TimeoutError, RuntimeError, WebSocketDisconnect):
            return "nothing was shown for too long"


async def _up(socket: WebSocket, maker: Maker) -> None:
    """Messages of the viewer to the maker."""
    with suppress(WebSocketDisconnect, KeyError, RuntimeError):
        while True:
            maker.say(await socket.receive_text())


async def _end(socket: WebSocket, why: str) -> None:
    """Say why it is over, if somebody is still there."""
    with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
        async with asyncio.timeout(STUCK):
            await socket.send_text(strict_json.dumps({"type": "end", "why": why}))
            await socket.close()
