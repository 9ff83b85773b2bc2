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

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from phonofilm import strict_json
from phonofilm.app.live.making import Making, hello_of
from phonofilm.app.live.talk import LARGEST, talk
from phonofilm.app.live.viewers import LOOK, Message, Viewers
from phonofilm.app.server.base.metrics import Metrics
from phonofilm.app.server.http.guard import Guard, Rules
from phonofilm.app.server.http.run import Address, listening_socket
from phonofilm.app.web.live_film import LIVE_FILM

PAGE = Path(__file__).parent / "page"
FILES = {"": "text/html", "live.js": "text/javascript", "live.css": "text/css", "icon.svg": "image/svg+xml"}
FILES |= {LIVE_FILM.name: "text/javascript"}
ENDPOINT = "/v1/live"


@contextmanager
def serving(making: Making, port: int, alone: bool) -> Iterator[Viewers]:
    """Serve a film on this machine until the block ends; `viewers.url` says where.

    Args:
        alone: the film is made even if nobody watches.

    Raises:
        PhonofilmError: the port is taken.
    """
    viewers = Viewers(making.control, lambda: hello_of(making), alone)
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
        content = (LIVE_FILM if name == LIVE_FILM.name else PAGE / (name or "index.html")).read_bytes()
        return Response(content, media_type=FILES[name], headers={"Cache-Control": "no-cache"})

    async def live(socket: WebSocket) -> None:
        await socket.accept()
        await talk(Socket(socket), making.control, viewers)

    routes = [Route("/", page), Route("/{name}", page), WebSocketRoute(ENDPOINT, live)]
    return Starlette(routes=routes, middleware=[Middleware(Guard, rules=Rules(), metrics=Metrics())])


class Socket:
    """A WebSocket as a line to a viewer."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def send(self, message: Message) -> bool:
        """See `Line.send`."""
        try:
            if isinstance(message, bytes):
                await self._socket.send_bytes(message)
                return True
            await self._socket.send_text(strict_json.dumps(message))
            if message.get("type") == "end":
                await self._socket.close()
        except (RuntimeError, WebSocketDisconnect):
            return False
        return True

    async def receive(self) -> str | None:
        """See `Line.receive`."""
        try:
            return await self._socket.receive_text()
        except (WebSocketDisconnect, KeyError):  # gone, or bytes
            return None
