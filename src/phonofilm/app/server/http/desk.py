"""What all endpoints are given: who asks, and how a job is taken, waited for and shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from phonofilm.app.server.base.files import INPUTS, RESULTS
from phonofilm.app.server.base.logs import log
from phonofilm.app.server.base.metrics import Metrics
from phonofilm.app.server.http.access import Access, Identity, need
from phonofilm.app.server.http.bodies import Common, Film
from phonofilm.app.server.http.errors import StrictResponse
from phonofilm.app.server.http.films import TYPES, film, recipe
from phonofilm.app.server.http.guard import headers_of
from phonofilm.app.server.http.inputs import Given
from phonofilm.app.server.http.reading import Sent, incoming, read
from phonofilm.app.server.http.service import Service, body_hash, new_id
from phonofilm.app.server.store.records import Job, NewJob
from phonofilm.app.web.buckets import address_key
from phonofilm.app.web.media_files import content_response
from phonofilm.app.web.refusals import RefusedError

M = TypeVar("M", bound=Common)
T = TypeVar("T")
LOOKS = 0.1
"""Seconds between two looks at a job that somebody waits for."""
LONGEST_WAIT = 3600.0
KEY = "idempotency-key"
STEMS = ("speech", "effects", "music", "mix")
LATER = ("source", "image", "follow", "given_stems", "model")
"""Fields of a request that the worker puts in: files, which have other places there, and what the model is there."""


@dataclass(frozen=True)
class Asked:
    """A request that makes a film, read and checked as far as its fields go."""

    sent: Sent
    place: Path
    who: Identity
    given: Given = field(default_factory=Given)


Plan = Callable[[Any, Asked], NewJob]
"""From the values of a body to a job; it may look at files and at films that were made before."""


@dataclass(frozen=True)
class Desk:
    """One server, as its endpoints see it."""

    service: Service
    access: Access
    metrics: Metrics

    def who(self, request: Request, scope: str) -> Identity:
        """Who asks, who must have a scope.

        Raises:
            RefusedError: 401, 403 or 429.
        """
        address = address_key(request.client.host if request.client else None)
        found = self.access.identify(request.method, headers_of(request.scope), address)
        need(found, scope)
        return found

    async def take(self, request: Request, body: type[BaseModel], plan: Plan) -> tuple[Job, Identity]:
        """Read, check and accept a job.

        Raises:
            RefusedError: what is wrong.
        """
        who = await run_in_threadpool(self.who, request, "write")
        self.service.check_open()
        key = request.headers.get(KEY)
        if key is not None and not 0 < len(key) <= 255:
            raise RefusedError(400, "an Idempotency-Key has 1 to 255 letters", code="idempotency")
        with incoming(self.service.settings.folder) as place:
            sent = await read(request, place)
            job = await run_in_threadpool(self._accept, request.url.path, Asked(sent, place, who), body, plan, key)
        log("job accepted", job=job.id, task=job.task, owner=who.owner)
        return job, who

    def _accept(self, path: str, asked: Asked, body: type[BaseModel], plan: Plan, key: str | None) -> Job:
        digest = body_hash(path, asked.sent)
        values = self.service.values(body, asked.sent)
        if (known := self.service.known(asked.who, key, digest)) is not None:
            return known
        return self.service.accept(plan(values, asked), asked.given, key, digest)

    def film_job(self, task: str, request: dict[str, Any], values: Common, asked: Asked, **more: Any) -> NewJob:
        """A job that makes a film, whose request was checked."""
        given = asked.given
        spec = self.service.check(request, given)
        size = None if spec.size is None else f"{spec.size[0]}x{spec.size[1]}"
        plain = {name: value for name, value in spec.to_json().items() if name not in LATER}
        kind = more.pop("kind", "film")
        return NewJob(
            id=new_id(),
            owner=asked.who.owner,
            kind=kind,
            task=task,
            model=self.service.model(values.model),
            spec={"request": plain, "inputs": given.names, **more},
            prompt=spec.prompt,
            size=size,
            seconds=spec.seconds if task in ("generate", "remix") else given.seconds,
            parent=given.parent,
            priority=values.priority,
            webhook=self.service.webhook(values),
        )

    def find(self, request: Request, id: str, scope: str = "read") -> Job:
        """A job of who asks.

        Raises:
            RefusedError: 404, also where it is somebody else's.
        """
        job = self.service.queue.get(id, self.who(request, scope).sees)
        if job is None:
            raise _unknown()
        return job

    def standing(self, request: Request, id: str) -> Film:
        """A job of who asks as it stands, with its place in the queue.

        Raises:
            RefusedError: 401, 403, or 404, also where it is somebody else's.
        """
        found = self.service.queue.standing(id, self.who(request, "read").sees)
        if found is None:
            raise _unknown()
        return film(*found)

    def shown(self, job: Job) -> Film:
        """A job, with its place in the queue."""
        return film(job, self.service.queue.ahead_of(job) if job.status == "queued" else None)

    async def asked(self, question: Callable[..., T], *given: Any) -> T:
        """What the store says: at once where it is a file here, for which a thread takes longer than the answer."""
        if self.service.queue.database.sqlite:
            return question(*given)
        return await run_in_threadpool(question, *given)

    async def wait(self, request: Request, job: Job) -> Job:
        """The job at its end; it is cancelled if nobody waits any more.

        Raises:
            RefusedError: 422 if it failed.
        """
        until = time.monotonic() + LONGEST_WAIT
        while not job.ended:
            await asyncio.sleep(LOOKS)
            if await request.is_disconnected() or time.monotonic() > until:
                await run_in_threadpool(self.service.queue.cancel, job.id)
            found = await self.asked(self.service.queue.get, job.id)
            if found is None:
                raise RefusedError(404, "the film was erased", code="not_found")
            job = found
        if job.status == "failed":
            raise RefusedError(422, job.error_message or "the job failed", code=job.error_code)
        return job

    def content(self, request: Request, job: Job, variant: str) -> Response:
        """A file of a film, or the part of it that is asked for.

        Raises:
            RefusedError: 404, 409 or 416.
        """
        if job.status != "completed":
            said = f"the job failed: {job.error_message}" if job.ended else "the film is not ready yet"
            raise RefusedError(409, said, code=job.error_code or "not_ready")
        if variant == "recipe":
            return StrictResponse(recipe(job))
        files = job.result["files"]
        name = f"stem-{variant}" if variant in STEMS else variant
        if name == "video" and name not in files:
            name = "audio"
        if name not in files:
            raise RefusedError(404, "this film has no such variant; its field variants lists them", param="variant")
        entry, place = files[name], (RESULTS, job.id, str(job.result["attempt"]))

        def stored(start: int, end: int) -> Any:
            return self.service.files.read(start, end, *place, entry["name"])

        suffix = entry["name"].rsplit(".", 1)[-1]
        shown = {"Content-Disposition": f'inline; filename="{job.id}-{entry["name"]}"'}
        return content_response(
            request, entry["bytes"], stored, entry["sha256"][:32], TYPES[suffix], "private, no-cache", shown
        )

    def erase(self, job: Job) -> None:
        """Forget a job with all its files."""
        self.service.queue.erase(job.id)
        self.service.files.remove(RESULTS, job.id)
        self.service.files.remove(INPUTS, job.id)
        log("job erased", job=job.id)


def _unknown() -> RefusedError:
    return RefusedError(404, "there is no such film", code="not_found", param="video_id")
