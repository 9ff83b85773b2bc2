"""Serving: a socket, the threads that send webhooks and sweep, and the workers of this machine."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from phonofilm.app.server.base.logs import log, log_error, start_logs
from phonofilm.app.server.base.settings import Settings
from phonofilm.app.server.http.app import Parts, create_app
from phonofilm.app.server.http.guard import LOOPBACK, Rules
from phonofilm.app.server.store.database import Database
from phonofilm.app.server.store.deliveries import Deliveries
from phonofilm.app.server.store.keys import Keys
from phonofilm.app.server.work.supervisor import Supervisor
from phonofilm.app.server.work.sweep import Sweeper
from phonofilm.app.server.work.webhooks import Messenger, server_secret
from phonofilm.errors import PhonofilmError
from phonofilm.files import check_folder

SWEEPS = 60.0
HEAD_SECONDS = 10.0
"""In which the head of a request must arrive."""
LONGEST_HEAD = 65_536
"""Bytes of a head that comes in pieces."""
CONNECTIONS = 1000
LARGEST_MESSAGE = 16_384
"""Bytes of a message over a WebSocket."""


@dataclass(frozen=True)
class Address:
    """Where it is served.

    Attributes:
        behind_proxy: a proxy in front of it does TLS. certificate, key: files for TLS here.
    """

    host: str = "127.0.0.1"
    port: int = 8720
    behind_proxy: bool = False
    certificate: Path | None = None
    key: Path | None = None

    @property
    def local(self) -> bool:
        """Whether only this machine can ask."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class PatientOnce(HttpToolsProtocol):
    """HTTP/1.1 whose heads come in time and are short: whoever drips one byte by byte, or never ends it, is cut off."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._in_head, self._head = False, 0
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head += len(data)
            if self._head > LONGEST_HEAD:
                self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head = True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._deadline.cancel()
        super().on_headers_complete()

    def _wait_for_head(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._cut)

    def _cut(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()

    def on_response_complete(self) -> None:
        self._deadline.cancel()
        self._wait_for_head()
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        self._deadline.cancel()
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        super().connection_lost(exc)


def serve(settings: Settings, address: Address, workers: int, on_start: Callable[[str], None]) -> None:
    """Answer until stopped; then no job is accepted any more, and those in hand are finished.

    Args:
        workers: how many to start here; 0 where others do the jobs.
        on_start: told the address of the page.

    Raises:
        PhonofilmError: an address that is not safe as it is set up, a port that is taken, a store that cannot be used.
    """
    start_logs()
    check_safe(settings, address)
    names = LOOPBACK | {address.host} | set(settings.names)
    rules = Rules(frozenset(names), not address.local, settings.upload, settings.body, settings.receive_seconds)
    app, parts = create_app(settings, rules, open_to_all=address.local)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        http=PatientOnce,
        ws="wsproto",
        ws_max_size=LARGEST_MESSAGE,
        lifespan="off",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=max(1, int(settings.drain_seconds)),
        proxy_headers=address.behind_proxy,
        ssl_certfile=None if address.certificate is None else str(address.certificate),
        ssl_keyfile=None if address.key is None else str(address.key),
    )
    with listening_socket(address) as listener:
        _run(config, listener, settings, parts, workers, lambda: on_start(_url(address, listener)))


def check_safe(settings: Settings, address: Address) -> None:
    """Refuse to be reached by others without keys and without TLS.

    Raises:
        PhonofilmError: with what to do.
    """
    if address.local:
        return
    if not (address.behind_proxy or (address.certificate and address.key)):
        raise PhonofilmError(
            "keys and films would cross the network in the clear: give --tls-cert and --tls-key, or --behind-proxy "
            "where a proxy does TLS"
        )
    check_folder(settings.folder).mkdir(parents=True, exist_ok=True)
    database = Database(settings.database_url)
    database.migrate()
    if not Keys(database).any():
        raise PhonofilmError("others can reach this address, so keys are needed: phonofilm keys new NAME makes one")


def listening_socket(address: Address) -> socket.socket:
    """A socket that is bound to an address.

    Raises:
        PhonofilmError: it is taken, or none of this machine.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address.host, address.port))
    except OSError as error:
        listener.close()
        where = f"{address.host}:{address.port}"
        raise PhonofilmError(f"{where} cannot be served: {error.strerror}; try another --port") from error
    return listener


def _url(address: Address, listener: socket.socket) -> str:
    shown = "localhost" if address.host in ("127.0.0.1", "0.0.0.0", "::", "::1") else address.host
    scheme = "https" if address.certificate else "http"
    return f"{scheme}://{shown}:{listener.getsockname()[1]}/"


class _Server(uvicorn.Server):
    """Tells the service to accept nothing more as soon as it is to stop."""

    def __init__(self, config: uvicorn.Config, parts: Parts, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._parts, self._on_start = parts, on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn has it, but a polite stop that was obeyed is no error: the signal is not raised again."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._parts.service.draining = True
        log("server is stopping", signal=sig)
        super().handle_exit(sig, frame)


def _run(
    config: uvicorn.Config,
    listener: socket.socket,
    settings: Settings,
    parts: Parts,
    workers: int,
    on_start: Callable[[], None],
) -> None:
    supervisor = Supervisor(settings, parts.database, workers)
    secret = server_secret(settings.folder, "webhook")
    messenger = Messenger(Deliveries(parts.database), parts.service.outgoing, secret)
    ended = threading.Event()
    sweeper = threading.Thread(target=_sweep, args=(parts, settings, ended), name="sweeper", daemon=True)
    supervisor.start()
    messenger.start()
    sweeper.start()
    try:
        _Server(config, parts, on_start).run(sockets=[listener])
    finally:
        supervisor.stop()
        messenger.stop()
        ended.set()
        sweeper.join(20)
        parts.database.close()
        log("server stopped")


def _sweep(parts: Parts, settings: Settings, ended: threading.Event) -> None:
    sweeper = Sweeper(parts.queue, parts.files, settings.scratch)
    while True:
        try:
            sweeper.sweep()
        except Exception:
            log_error("sweeping failed")
        if ended.wait(SWEEPS):
            return
