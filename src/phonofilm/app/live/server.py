"""A film in the making over HTTP: a page, and a WebSocket that gives fragmented MP4 and takes prompts.

Messages are JSON objects with a "type". The film itself is binary: first its head, then piece after piece.

| from the server | |
|---|---|
| hello | mime, width, height, fps, prompt, paused |
| chunk | index, start, prompt, cost: of the piece that was sent last |
| note | text: a prompt that was refused, and why |
| state | prompt, paused: whenever somebody changed them |
| end | the film is over |

| from a viewer | |
|---|---|
| prompt | text: from the next chunk on |
| pause | paused: true or false |
| stop | ends the film |
| took | count: pieces that were shown; once said, those that were not make the source wait |
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from phonofilm import strict_json
from phonofilm.app.live.making import Making
from phonofilm.app.live.viewers import LOOK, Viewer, Viewers
from phonofilm.app.server.base.metrics import Metrics
from phonofilm.app.server.http.guard import Guard, Rules
from phonofilm.app.server.http.run import Address, listening_socket
from phonofilm.media.live.fragments import FragmentWriter

PAGE = Path(__file__).parent / "page"
FILES = {"": "text/html", "live.js": "text/javascript", "live.css": "text/css", "icon.svg": "image/svg+xml"}
LARGEST = 16_384
"""Bytes of a message from a viewer."""
ENDPOINT = "/v1/live"


@contextmanager
def serving(making: Making, port: int, alone: bool) -> Iterator[Viewers]:
    """Serve a film on this machine until the block ends; `viewers.url` says where.

    Args:
        alone: the film is made even if nobody watches.

    Raises:
        PhonofilmError: the port is taken.
    """
    fmt, control = making.source.format, making.control
    mime = FragmentWriter((fmt.width, fmt.height), fmt.fps, fmt.sample_rate, fmt.channels).mime

    def hello() -> dict[str, Any]:
        facts = {"mime": mime, "width": fmt.width, "height": fmt.height, "fps": float(fmt.fps)}
        return facts | {"prompt": control.prompt, "paused": control.paused, "model": making.metadata["model"]}

    viewers = Viewers(control, hello, alone)
    with listening_socket(Address("127.0.0.1", port)) as listener:
        viewers.url = f"http://localhost:{listener.getsockname()[1]}/"
        config = uvicorn.Config(
            live_app(making, viewers),
            log_config=None,
            access_log=False,
            server_header=False,
            ws="wsproto",
            ws_max_size=LARGEST,
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), name="server", daemon=True)
        thread.start()
        while not server.started and thread.is_alive():  # the address is told when it answers
            time.sleep(LOOK)
        try:
            yield viewers
        finally:
            viewers.drain()
            server.should_exit = True
            thread.join(5)


def live_app(making: Making, viewers: Viewers) -> Starlette:
    """The page of a film, and its WebSocket; other pages and other names of this machine are refused."""

    async def page(request: Request) -> Response:
        name = request.path_params.get("name", "")
        if name not in FILES:
            return Response("there is no such page", 404)
        content = (PAGE / (name or "index.html")).read_bytes()
        return Response(content, media_type=FILES[name], headers={"Cache-Control": "no-cache"})

    async def live(socket: WebSocket) -> None:
        await socket.accept()
        viewer = viewers.join(asyncio.get_running_loop())
        tasks = [asyncio.create_task(_send(socket, viewer)), asyncio.create_task(_obey(socket, viewer))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            viewers.leave(viewer)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _obey(socket: WebSocket, viewer: Viewer) -> None:
        while True:
            try:
                text = await socket.receive_text()
            except (WebSocketDisconnect, KeyError):  # gone, or bytes
                return
            if (refusal := obey(text, viewer, making, viewers)) is not None:
                viewer.put({"type": "note", "text": refusal})

    routes = [Route("/", page), Route("/{name}", page), WebSocketRoute(ENDPOINT, live)]
    return Starlette(routes=routes, middleware=[Middleware(Guard, rules=Rules(), metrics=Metrics())])


async def _send(socket: WebSocket, viewer: Viewer) -> None:
    while True:
        message = await viewer.get()
        try:
            if isinstance(message, bytes):
                await socket.send_bytes(message)
                viewer.passed()
                continue
            await socket.send_text(strict_json.dumps(message))
        except (RuntimeError, WebSocketDisconnect):
            return
        if message.get("type") == "end":
            await socket.close()
            return


def obey(text: str, viewer: Viewer, making: Making, viewers: Viewers) -> str | None:
    """Do what a message says; returns why not, in one line, where it is not possible."""
    try:
        message = strict_json.loads(text.encode())
    except ValueError:
        return "a message is one JSON object"
    kind = message.get("type") if isinstance(message, dict) else None
    control = making.control
    if kind == "prompt" and isinstance(message.get("text"), str):
        if (refusal := control.say(message["text"])) is not None:
            return refusal
    elif kind == "pause" and isinstance(message.get("paused"), bool):
        control.pause(message["paused"])
    elif kind == "stop":
        control.stop()
        return None
    elif kind == "took" and isinstance(message.get("count"), int) and not isinstance(message["count"], bool):
        viewer.took(message["count"])
        return None
    else:
        return 'unknown message; there are prompt (text), pause (paused), stop and took (count), each with its "type"'
    viewers.tell({"type": "state", "prompt": control.prompt, "paused": control.paused})
    return None
