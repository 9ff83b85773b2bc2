"""Jobs as clients see them, and the files that belong to them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from starlette.requests import Request

from phonofilm import strict_json
from phonofilm.app.server.base.logs import log_error
from phonofilm.app.server.http.bodies import Film
from phonofilm.app.server.http.errors import away, refuse
from phonofilm.app.server.store.database import StoreAwayError
from phonofilm.app.server.store.records import Job
from phonofilm.app.web.bodies import Receive, Scope, Send
from phonofilm.app.web.refusals import RefusedError

TYPES = {"mp4": "video/mp4", "wav": "audio/wav", "webp": "image/webp", "jpg": "image/jpeg", "json": "application/json"}
TYPES |= {"zip": "application/zip", "vtt": "text/vtt; charset=utf-8"}

ID = "[a-z]{1,10}_[0-9a-f]{32}"
"""What the names of films look like."""
ROUTE = SimpleNamespace(path="/v1/videos/{video_id}")
"""As metrics name it."""
_PATH = re.compile(f"/v1/videos/({ID})", re.ASCII)


def film(job: Job, ahead: int | None = None) -> Film:
    """A job as JSON has it.

    Args:
        ahead: how many are made before it.
    """
    facts: dict[str, Any] = dict(job.result.get("facts", {}))
    size = f"{facts['width']}x{facts['height']}" if "width" in facts else job.size or ""
    error = None
    if job.error_code is not None:
        error = {"code": job.error_code, "message": job.error_message or ""}
    waits = job.status == "in_progress"
    return Film(
        id=job.id,
        model=job.model,
        status=job.status,
        progress=job.progress,
        created_at=int(job.created_at),
        completed_at=whole(job.completed_at),
        expires_at=whole(job.expires_at),
        size=size,
        seconds="" if job.seconds is None else f"{job.seconds:g}",
        prompt=job.prompt or None,
        remixed_from_video_id=job.parent,
        error=error,
        task=job.task,
        stage=job.stage if waits else None,
        seconds_left=job.seconds_left if waits else None,
        queue_position=ahead,
        variants=variants(job),
        notices=list(job.notices),
        facts=facts,
    )


def whole(moment: float | None) -> int | None:
    """Seconds since 1970 as OpenAI's clients read them."""
    return None if moment is None else int(moment)


def variants(job: Job) -> list[str]:
    """What there is of a job."""
    return [*job.result.get("files", {}), "recipe"] if job.status == "completed" else []


def recipe(job: Job) -> dict[str, Any]:
    """All that was asked, to ask it again."""
    asked = {name: value for name, value in job.spec.items() if name != "inputs"}
    return {"id": job.id, "task": job.task, "model": job.model, **asked, "facts": dict(job.result.get("facts", {}))}


class Status:
    """ASGI middleware, within the guard: answers `GET /v1/videos/{id}`, which every client asks again and again.

    It says what the application's route says, which describes it, without what other requests pass on their way there:
    no list of routes, one statement to the store, no second check of what was just made.

    Args:
        standing: finds a film of who asks. asked: asks the store, as `Desk.asked`.
    """

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        standing: Callable[[Request, str], Film],
        asked: Callable[..., Awaitable[bytes]],
    ) -> None:
        self._app, self._standing, self._asked = app, standing, asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = _PATH.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if asked is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = ROUTE
        request = Request(scope)
        try:
            body = await self._asked(self._answer, request, asked[1])
        except RefusedError as refusal:
            await refuse(refusal, send)
            return
        except StoreAwayError:
            log_error("the store does not answer")
            await refuse(away(), send)
            return
        headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _answer(self, request: Request, id: str) -> bytes:
        return strict_json.dumps(self._standing(request, id).model_dump(mode="json")).encode()
