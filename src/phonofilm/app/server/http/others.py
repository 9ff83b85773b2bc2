"""Speech, models, health, metrics, the session of the page, and the page itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from phonofilm.app.server.base.files import RESULTS
from phonofilm.app.server.http.access import COOKIE, SESSION_SECONDS, cookie_of
from phonofilm.app.server.http.bodies import Body, Model, Models, Speaking
from phonofilm.app.server.http.desk import Asked, Desk
from phonofilm.app.server.http.errors import StrictResponse
from phonofilm.app.server.http.guard import headers_of
from phonofilm.app.server.http.openapi import REFUSALS, takes
from phonofilm.app.server.http.reading import read
from phonofilm.app.server.http.service import new_id
from phonofilm.app.server.store.records import NewJob
from phonofilm.app.web.buckets import address_key
from phonofilm.app.web.live_film import LIVE_FILM
from phonofilm.app.web.media_files import CHECKED, media_response
from phonofilm.app.web.refusals import RefusedError
from phonofilm.errors import PhonofilmError
from phonofilm.perception.speech.registry import split_name

PAGE = Path(__file__).parents[1] / "page"
PAGES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
VOICES = {"alloy": "heart-2", "ash": "joe-2", "ballad": "joe+2", "coral": "heart+1", "echo": "joe"}
VOICES |= {"fable": "joe+3", "nova": "heart", "onyx": "joe-4", "sage": "heart-1", "shimmer": "heart+2"}
VOICES |= {"verse": "joe+1", "marin": "heart+3", "cedar": "joe-1"}
"""OpenAI's names, and voices of ours of about the same kind."""


def speech_router(desk: Desk) -> APIRouter:
    """Words that are said, and the list of models."""
    made = APIRouter(prefix="/v1", responses=REFUSALS)

    def plan(values: Speaking, asked: Asked) -> NewJob:
        said = speech(values)
        return NewJob(new_id("speech"), asked.who.owner, "speech", "speech", "speech", said, values.input)

    @made.post(
        "/audio/speech",
        openapi_extra=takes(Speaking),
        response_class=Response,
        responses={200: {"content": {"audio/wav": {}, "audio/pcm": {}}, "description": "The sound."}},
        tags=["audio"],
        summary="Say words.",
    )
    async def say(request: Request) -> Response:
        job, _ = await desk.take(request, Speaking, plan)
        job = await desk.wait(request, job)
        entry = job.result["files"]["audio"]
        place = (RESULTS, job.id, str(job.result["attempt"]), entry["name"])
        wav = await run_in_threadpool(lambda: b"".join(desk.service.files.read(0, entry["bytes"], *place)))
        if job.spec["speech"]["response_format"] == "wav":
            return Response(wav, media_type="audio/wav")
        return Response(samples_of(wav), media_type="audio/pcm")

    def shown(name: str) -> Model:
        settings = desk.service.settings
        return Model(id=name, loras=list(settings.loras), adapters=list(settings.adapters))

    @made.get("/models", response_model=Models, tags=["models"], summary="The models that run here.")
    def models(request: Request) -> Models:
        desk.who(request, "read")
        return Models(data=[shown(name) for name in desk.service.settings.models])

    @made.get("/models/{model}", response_model=Model, tags=["models"], summary="One model.")
    def one(model: str, request: Request) -> Model:
        desk.who(request, "read")
        return shown(desk.service.model(model))

    return made


def speech(values: Speaking) -> dict[str, Any]:
    """The spec of a job that says words.

    Raises:
        RefusedError: 400: a voice or a way of speaking that is not possible.
    """
    name = values.voice if isinstance(values.voice, str) else values.voice.id
    voice = VOICES.get(name, name)
    try:
        base, _ = split_name(voice)
        if base.endswith(".onnx"):
            raise PhonofilmError("a voice is a name here, not a file")
    except PhonofilmError as error:
        raise RefusedError(400, str(error), code="invalid_value", param="voice") from None
    if values.speed != 1:
        raise RefusedError(400, "only a speed of 1 is possible", code="invalid_value", param="speed")
    if values.instructions:
        raise RefusedError(400, "voices take no instructions here", code="invalid_value", param="instructions")
    return {"speech": {"input": values.input, "voice": voice, "response_format": values.response_format}}


def samples_of(wav: bytes) -> bytes:
    """The samples of a WAV file of 16 or 24 bits as 16 bits each (Python's `wave` reads no extensible ones)."""
    place, width = 12, 2
    while place + 8 <= len(wav):
        name, size = wav[place : place + 4], int.from_bytes(wav[place + 4 : place + 8], "little")
        body = wav[place + 8 : place + 8 + size]
        if name == b"fmt ":
            width = int.from_bytes(body[14:16], "little") // 8
        if name == b"data":
            found = bytearray(2 * (len(body) // width))
            found[0::2], found[1::2] = body[width - 2 :: width], body[width - 1 :: width]
            return bytes(found)
        place += 8 + size + size % 2
    raise ValueError("a WAV file without samples")


class Login(Body):
    """A key, where one is needed."""

    key: Annotated[str, Field(max_length=200)] | None = None


def other_router(desk: Desk, workers: Callable[[], int]) -> APIRouter:
    """All that is no API of films."""
    made = APIRouter(include_in_schema=False)

    @made.get("/healthz")
    def healthy() -> StrictResponse:
        desk.service.queue.counts()
        return StrictResponse({"ok": True})

    @made.get("/readyz")
    def ready() -> StrictResponse:
        service = desk.service
        wrong = [
            said
            for is_wrong, said in (
                (service.draining, "the server is stopping"),
                (service.free() < service.settings.reserve, "the disk is full"),
                (not workers(), "no worker lives"),
            )
            if is_wrong
        ]
        return StrictResponse({"ready": not wrong, "why": wrong}, 503 if wrong else 200)

    @made.get("/metrics")
    def metrics(request: Request) -> Response:
        desk.who(request, "admin")
        return Response(desk.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @made.get("/session")
    def session(request: Request) -> StrictResponse:
        cookie = cookie_of(headers_of(request.scope))
        known = bool(cookie) and desk.access.known(cookie)
        said: dict[str, Any] = {
            "needs_key": not desk.access.open,
            "known": known,
            "models": list(desk.service.settings.models),
        }
        said["live"] = desk.service.settings.live > 0
        said["reports"] = list(desk.service.settings.reports) if known or desk.access.open else []
        said["token"] = desk.access.token(cookie) if known else None
        return StrictResponse(said, headers={"Cache-Control": "no-store"})

    @made.post("/session")
    async def log_in(request: Request) -> StrictResponse:
        sent = await read(request, PAGE)
        values = desk.service.values(Login, sent)
        address = address_key(request.client.host if request.client else None)
        cookie = await run_in_threadpool(desk.access.log_in, values.key, address)
        answer = StrictResponse({"token": desk.access.token(cookie)})
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, cookie, SESSION_SECONDS, secure=secure, httponly=True, samesite="strict")
        return answer

    @made.get("/reports/{number}")
    def shown(number: str, request: Request) -> Response:
        desk.who(request, "read")
        files = list(desk.service.settings.reports.values())
        if not (number.isascii() and number.isdecimal()) or len(number) > 3 or int(number) >= len(files):
            raise RefusedError(404, "there is no such report")
        try:
            return Response(Path(files[int(number)]).read_bytes(), media_type=PAGES[".html"])
        except OSError:
            raise RefusedError(404, "the file of this report is gone; make it anew") from None

    @made.head("/")
    @made.get("/")
    def index(request: Request) -> Response:
        return _page(request, PAGE / "index.html")

    @made.head("/studio/{name}")
    @made.get("/studio/{name}")
    def asset(name: str, request: Request) -> Response:
        if name == LIVE_FILM.name:
            return _page(request, LIVE_FILM)
        if name not in {path.name for path in PAGE.iterdir() if path.suffix in PAGES}:
            raise RefusedError(404, "there is nothing at this address")
        return _page(request, PAGE / name)

    return made


def _page(request: Request, path: Path) -> Response:
    tag = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
    return media_response(request, path, tag, PAGES[path.suffix], CHECKED)
