"""OpenAI's videos API, and in the same form what else is done with films."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from phonofilm import strict_json
from phonofilm.app.server.base.files import INPUTS
from phonofilm.app.server.base.roles import MUSIC
from phonofilm.app.server.http import bodies
from phonofilm.app.server.http.bodies import Deleted, Film, Films
from phonofilm.app.server.http.desk import Asked, Desk
from phonofilm.app.server.http.films import ID, TYPES, film
from phonofilm.app.server.http.inputs import Given
from phonofilm.app.server.http.openapi import REFUSALS, takes
from phonofilm.app.server.store.records import Job, NewJob
from phonofilm.app.story.board import story_of
from phonofilm.app.web.refusals import RefusedError
from phonofilm.errors import PhonofilmError

Id = Annotated[str, Path(pattern=f"^{ID}$", description="The name of a film.")]
Variant = Literal[
    "video", "audio", "thumbnail", "spritesheet", "stems", "speech", "effects", "music", "mix", "waveform",
    "subtitles", "recipe",
]  # fmt: skip
FILES: dict[str, Any] = {kind: {} for kind in sorted({*TYPES.values(), "application/json"})}
BYTES: dict[int | str, dict[str, Any]] = {200: {"content": FILES, "description": "The file."}}
TIMED = ("hits_file", "follow")
GIVEN = ("speech_file", "effects_file", "music_file")
"""Files of a form: what control modules are told, and stems that are given."""
PART: dict[int | str, dict[str, Any]] = {
    206: {"content": FILES, "description": "The part that was asked for."},
    304: {"description": "It is what was sent before."},
}
CHANGES = 0.3
"""Seconds between two looks for a change; a worker tells of one about as often."""
MISSING = {
    "characters": "characters need a model that keeps a person's looks, and none that runs here does yet",
}


def router(desk: Desk) -> APIRouter:
    """All of it."""
    made = APIRouter(prefix="/v1", responses=REFUSALS, tags=["videos"])
    _making(made, desk)
    _working(made, desk)
    _missing(made)
    _looking(made, desk)
    return made


def _offer(
    made: APIRouter,
    desk: Desk,
    path: str,
    body: type[BaseModel],
    files: tuple[str, ...],
    plan: Callable[[Any, Asked], NewJob],
    summary: str,
) -> None:
    """An endpoint that takes a job."""

    async def endpoint(request: Request) -> Film:
        job, _ = await desk.take(request, body, plan)
        return await run_in_threadpool(desk.shown, job)

    made.post(
        path,
        response_model=Film,
        openapi_extra=takes(body, files),
        summary=summary,
        operation_id=path.strip("/").replace("/", "_"),
    )(endpoint)


def _making(made: APIRouter, desk: Desk) -> None:
    def make(values: bodies.Making, asked: Asked) -> NewJob:
        inputs = desk.service.inputs
        inputs.image(asked.sent, values.input_reference, asked.place, asked.given)
        inputs.stems(asked.sent, asked.given)
        request = values.request() | _timed(desk, values, asked, values.seconds)
        return desk.film_job("generate", request, values, asked)

    files = ("input_reference", *TIMED, *GIVEN)
    _offer(made, desk, "/videos", bodies.Making, files, make, "Make a film.")

    @made.post(
        "/videos/sync",
        openapi_extra=takes(bodies.Making, files),
        response_class=Response,
        responses=BYTES,
        summary="Make a film, and answer with the film itself once it is done.",
    )
    async def make_now(request: Request) -> Response:
        job, _ = await desk.take(request, bodies.Making, make)
        job = await desk.wait(request, job)
        return await run_in_threadpool(desk.content, request, job, "video")

    @made.post(
        "/videos/{video_id}/remix",
        response_model=Film,
        openapi_extra=takes(bodies.Remixing),
        summary="Do a film's job again with other words.",
    )
    async def remix(video_id: Id, request: Request) -> Film:
        source = await run_in_threadpool(desk.find, request, video_id)

        def plan(values: bodies.Remixing, asked: Asked) -> NewJob:
            return _remixed(desk, source, values, asked)

        job, _ = await desk.take(request, bodies.Remixing, plan)
        return await run_in_threadpool(desk.shown, job)


def _remixed(desk: Desk, source: Job, values: bodies.Remixing, asked: Asked) -> NewJob:
    if "request" not in source.spec:
        raise RefusedError(400, "what was only spoken cannot be remixed", code="invalid_value", param="video_id")
    for role, name in source.spec.get("inputs", {}).items():
        asked.given.copies[role] = (INPUTS, source.id, name)
    asked.given.seconds, asked.given.parent = source.seconds, source.id
    if source.kind == "story":
        raise RefusedError(400, "a story has no one prompt; send it again with other shots", param="video_id")
    more = {"soundtrack": source.spec["soundtrack"]} if "soundtrack" in source.spec else {}
    values = values.model_copy(update={"model": values.model or source.model})
    request = {**source.spec["request"], "prompt": values.prompt}
    return desk.film_job("remix", request, values, asked, kind=source.kind, **more)


def _timed(desk: Desk, values: bodies.Timing, asked: Asked, seconds: float | None) -> dict[str, Any]:
    """What control modules are told, where that comes in files."""
    desk.service.inputs.follow(asked.sent, values.follow, asked.who, asked.given)
    return {"hits": desk.service.inputs.hits(asked.sent, values.hits, seconds)}


def _working(made: APIRouter, desk: Desk) -> None:
    def on_film(task: str, audio: bool = False) -> Callable[[Any, Asked], NewJob]:
        def plan(values: Any, asked: Asked) -> NewJob:
            inputs = desk.service.inputs
            inputs.source(asked.sent, values.video, asked.who, asked.given, audio)
            if isinstance(values, bodies.Animating):
                inputs.image(asked.sent, values.input_reference, asked.place, asked.given)
            inputs.stems(asked.sent, asked.given)
            request = _request(task, values, asked)
            if isinstance(values, bodies.Timing):
                request |= _timed(desk, values, asked, asked.given.seconds)
            return desk.film_job(task, request, values, asked)

        return plan

    def soundtrack(values: bodies.Soundtrack, asked: Asked) -> NewJob:
        desk.service.inputs.source(asked.sent, values.video, asked.who, asked.given)
        desk.service.inputs.music(asked.sent, asked.given)
        names = {"effects": values.make_effects, "say": values.say, "voices": values.voices, "keep": values.keep}
        more = names | {"subtitles": values.subtitles, "loudness": values.loudness}
        return desk.film_job(
            "soundtrack", _request("foley", values, asked), values, asked, kind="soundtrack", soundtrack=more
        )

    def story(values: bodies.Telling, asked: Asked) -> NewJob:
        desk.service.inputs.music(asked.sent, asked.given)
        board = values.board(asked.given.names.get(MUSIC))
        try:
            told = story_of(board, "story", asked.place, files=False)
        except PhonofilmError as error:
            raise RefusedError(400, str(error), code="invalid_value", param="shots") from None
        if told.seconds > desk.service.settings.seconds:
            most = f"a story may last {desk.service.settings.seconds:g} s here; this one has {told.seconds:g}"
            raise RefusedError(400, most, code="invalid_value", param="shots")
        desk.service.check(values.request(), Given())  # what is wrong in all of them is not the fault of one
        for number, shot in enumerate(values.shots):
            _check_shot(desk, values, number, shot)
        asked.given.seconds = round(told.seconds, 6)
        return desk.film_job("story", values.request(), values, asked, kind="story", story=board)

    film, timed = ("video", *GIVEN), ("video", *TIMED, *GIVEN)
    for path, body, files, plan, summary in (
        ("/videos/edits", bodies.Editing, timed, on_film("edit"), "Make a film, or a part of it, by other words."),
        ("/videos/retake", bodies.Retaking, timed, on_film("retake"), "Make a part of a film again."),
        ("/videos/extensions", bodies.Extending, film, on_film("extend"), "Let a film go on."),
        ("/videos/foley", bodies.Foley, timed, on_film("foley"), "Make the sound of a film."),
        ("/videos/animate", bodies.Animating, ("audio", "input_reference", *film), on_film("animate", True),
         "Make a picture for a sound."),
        ("/videos/soundtrack", bodies.Soundtrack, ("video", "music_file"), soundtrack, "Make a whole sound track."),
        ("/videos/story", bodies.Telling, ("music_file",), story, "Make a film of several shots."),
    ):  # fmt: skip
        _offer(made, desk, path, body, files, plan, summary)


def _check_shot(desk: Desk, values: bodies.Telling, number: int, shot: bodies.Shot) -> None:
    """Refuse a shot that no model could make."""
    try:
        desk.service.check(values.request() | shot.request(), Given())
    except RefusedError as error:
        where = f"shots.{number}.{error.param}"
        raise RefusedError(400, f"shot {number + 1}: {error}", code=error.code, param=where) from None


def _request(task: str, values: Any, asked: Asked) -> dict[str, Any]:
    """The fields of a `RequestSpec` of a job on a film."""
    request = {**values.request(), "task": "retake" if task == "edit" else task}
    if task == "extend":
        request["seconds"] = values.seconds
    if task in ("edit", "retake"):
        end = asked.given.seconds if values.end is None else values.end
        request["span"] = [values.start, end]
    return request


def _missing(made: APIRouter) -> None:
    """What is not possible yet, in one sentence each."""

    def refuse(what: str) -> Callable[[], Response]:
        def endpoint() -> Response:
            raise RefusedError(501, MISSING[what], code="not_available")

        return endpoint

    only: dict[int | str, dict[str, Any]] = {501: REFUSALS[501]}
    made.post("/videos/characters", responses=only, status_code=501, include_in_schema=False)(refuse("characters"))
    made.get("/videos/characters/{id}", status_code=501, include_in_schema=False)(refuse("characters"))


def _looking(made: APIRouter, desk: Desk) -> None:
    @made.get("/videos", response_model=Films, summary="List films, the newest first.")
    def listed(
        request: Request,
        after: Annotated[str | None, Query(max_length=64, description="The last one of the page before.")] = None,
        limit: Annotated[int, Query(ge=1, le=100, description="How many.")] = 20,
        order: Annotated[Literal["asc", "desc"], Query(description="By age.")] = "desc",
    ) -> Films:
        who = desk.who(request, "read")
        found, more = desk.service.queue.list(who.sees, after, limit, order == "desc")
        data = [desk.shown(job) for job in found]
        ends: dict[str, Any] = {"first_id": data[0].id, "last_id": data[-1].id} if data else {}
        return Films(data=data, has_more=more, **ends)

    @made.get("/videos/{video_id}", response_model=Film, summary="How a film is doing.")
    def found(video_id: Id, request: Request) -> Film:
        return desk.standing(request, video_id)  # `Status` answers first

    @made.delete("/videos/{video_id}", response_model=Deleted, summary="Cancel a film, and erase all of it.")
    def erased(video_id: Id, request: Request) -> Deleted:
        desk.erase(desk.find(request, video_id, "write"))
        return Deleted(id=video_id)

    @made.post("/videos/{video_id}/cancel", response_model=Film, summary="Stop making a film.")
    def cancelled(video_id: Id, request: Request) -> Film:
        job = desk.find(request, video_id, "write")
        return desk.shown(desk.service.queue.cancel(job.id) or job)

    @made.head("/videos/{video_id}/content", include_in_schema=False)
    @made.get(
        "/videos/{video_id}/content",
        response_class=Response,
        responses=BYTES | PART,
        summary="A film, or what is beside it, whole or in parts (Range).",
    )
    def content(
        video_id: Id, request: Request, variant: Annotated[Variant, Query(description="Which file.")] = "video"
    ) -> Response:
        return desk.content(request, desk.find(request, video_id), variant)

    @made.get(
        "/videos/{video_id}/events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}, "description": "A film at each change, up to its end."}},
        summary="Progress as server-sent events.",
    )
    async def events(video_id: Id, request: Request) -> StreamingResponse:
        job = await run_in_threadpool(desk.find, request, video_id)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_events(desk, request, job), 200, headers, "text/event-stream")


async def _events(desk: Desk, request: Request, job: Job) -> AsyncIterator[str]:
    """One event for each change; a comment now and then keeps the connection."""
    said, quiet = "", 0.0
    while True:
        found = await desk.asked(desk.service.queue.standing, job.id)
        if found is None:
            yield 'event: erased\ndata: {"deleted": true}\n\n'
            return
        text = strict_json.dumps(film(*found).model_dump())
        if text != said or quiet > 15:
            yield f"data: {text}\n\n" if text != said else ": still here\n\n"
            said, quiet = text, 0.0
        if found[0].ended or await request.is_disconnected():
            return
        await asyncio.sleep(CHANGES)
        quiet += CHANGES
