"""The application of one server."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI

from phonofilm import __version__
from phonofilm.app.server.base.files import Files
from phonofilm.app.server.base.metrics import Metrics
from phonofilm.app.server.base.settings import Settings
from phonofilm.app.server.http.access import Access
from phonofilm.app.server.http.desk import Desk
from phonofilm.app.server.http.errors import StrictResponse, register
from phonofilm.app.server.http.films import Status
from phonofilm.app.server.http.guard import Guard, Rules
from phonofilm.app.server.http.live import live_router
from phonofilm.app.server.http.openapi import describe
from phonofilm.app.server.http.others import other_router, speech_router
from phonofilm.app.server.http.service import Service, free_bytes
from phonofilm.app.server.http.videos import router
from phonofilm.app.server.store.claims import living
from phonofilm.app.server.store.database import Database
from phonofilm.app.server.store.keys import Keys
from phonofilm.app.server.store.queue import Queue
from phonofilm.app.server.store.records import Limits
from phonofilm.app.server.work.outgoing import Outgoing
from phonofilm.app.server.work.webhooks import server_secret
from phonofilm.files import check_folder

LIVES = 20.0
"""Seconds for which a worker that was heard of is taken to live."""


@dataclass(frozen=True)
class Parts:
    """What an application is made of, for whoever runs it."""

    database: Database
    queue: Queue
    files: Files
    service: Service
    access: Access


def create_app(
    settings: Settings,
    rules: Rules | None = None,
    open_to_all: bool = True,
    outgoing: Outgoing | None = None,
    free: Callable[[], int] | None = None,
) -> tuple[FastAPI, Parts]:
    """The application, on a store that is brought up to date.

    Args:
        open_to_all: no key is needed, as where only this machine can ask.
        outgoing: sends requests. free: bytes that are free on the disk.

    Raises:
        PhonofilmError: a store or a place for files that cannot be used.
    """
    check_folder(settings.folder).mkdir(parents=True, exist_ok=True)
    database = Database(settings.database_url)
    database.migrate()
    queue = Queue(database, Limits(settings.queue, settings.per_key), settings.keep_seconds)
    files = Files(settings.files_url)
    outgoing = outgoing or Outgoing(settings.hosts)
    service = Service(settings, queue, files, outgoing, free or (lambda: free_bytes(settings.folder)))
    access = Access(Keys(database), server_secret(settings.folder, "session"), open_to_all)
    desk = Desk(service, access, Metrics())
    app = FastAPI(
        title="Phonofilm",
        version=__version__,
        summary="Films with sound, made together on one clock.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        openapi_url="/openapi.json",
        default_response_class=StrictResponse,
    )

    def workers() -> int:
        return len(living(database, time.time() - LIVES))

    desk.metrics.watch(queue.counts, workers, service.free)
    register(app)
    app.include_router(live_router(desk))  # before films, whose ids stand in the same place
    app.include_router(router(desk))
    app.include_router(speech_router(desk))
    app.include_router(other_router(desk, workers))
    describe(app)
    limits = rules or Rules(upload=settings.upload, body=settings.body, seconds=settings.receive_seconds)
    app.add_middleware(Status, standing=desk.standing, asked=desk.asked)
    app.add_middleware(Guard, rules=limits, metrics=desk.metrics)
    return app, Parts(database, queue, files, service, access)
