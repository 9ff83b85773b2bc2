"""The study over HTTP: one page, a few JSON calls, and the blinded clips. Every refusal is a 4xx of one sentence."""

from __future__ import annotations

import hashlib
import io
import sqlite3
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from phonofilm import strict_json
from phonofilm.app.study.build import CLIPS, PROBE, PROBE_OFFSETS
from phonofilm.app.study.flow import HEADPHONE_SOUNDS, Flow
from phonofilm.app.study.gate import Gate
from phonofilm.app.study.limits import DEFAULT_LIMITS, Limits
from phonofilm.app.web.media_files import CHECKED, media_response
from phonofilm.app.web.refusals import RefusedError
from phonofilm.errors import PhonofilmError
from phonofilm.files import write_bytes

PAGE = Path(__file__).parent / "page"
ASSETS = {"study.css": "text/css", "study.js": "text/javascript"}
SIDES = ("left", "right")
Token = Annotated[str | None, Header(alias="X-Rater", max_length=100)]
Endpoint = Callable[..., Response]
Name = Annotated[str | None, Query(max_length=200)]


class Body(BaseModel):
    """Types are taken as they are (no "3" for 3), and a field that is not known is refused."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Joining(Body):
    """`outside` is the name a recruiting service knows the rater by, `key` the signature of a link with it."""

    outside: str | None = Field(None, max_length=200)
    key: str | None = Field(None, max_length=100)


class Happened(Body):
    kind: str = Field(max_length=20)
    trial: int | None = Field(None, ge=0)
    clip: int | None = Field(None, ge=0)
    at: float | None = Field(None, ge=0, allow_inf_nan=False)
    text: str | None = Field(None, max_length=4000)


class Answers(Body):
    answers: dict[str, int | None] = Field(max_length=40)


class Heard(Body):
    """`attempt` counts the tries before this one, so that a try sent twice is counted once."""

    heard: list[str] = Field(max_length=20)
    attempt: int | None = Field(None, ge=0)


class Latency(Body):
    """`offset` in ms, or None when the rater could not tell."""

    offset: float | None = Field(None, ge=-1000, le=1000, allow_inf_nan=False)
    audio: dict[str, Annotated[float, Field(allow_inf_nan=False)] | None] = Field(default_factory=dict, max_length=10)


FIELDS = {name for model in (Joining, Happened, Answers, Heard, Latency) for name in model.model_fields}
FIELDS |= {"trial", "X-Rater", "rater"}


class StrictResponse(JSONResponse):
    """JSON without NaN and lone surrogates, whatever the values are."""

    def render(self, content: Any) -> bytes:
        return strict_json.dumps(content).encode()


def create_app(
    folder: Path,
    clock: Callable[[], float] = time.time,
    limits: Limits = DEFAULT_LIMITS,
    signed_only: bool = False,
) -> FastAPI:
    """The application of one study folder.

    Args:
        signed_only: let in only raters with a signed link (`phonofilm study links`).

    Raises:
        PhonofilmError: the folder holds no usable study.
    """
    flow = Flow.of(folder, clock, signed_only, limits.events)
    app = FastAPI(
        title=flow.study.title,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        default_response_class=StrictResponse,
    )
    app.add_middleware(Gate, limits=limits)
    _refusals(app)
    _pages(app, flow)
    _calls(app, flow)
    _media(app, flow)
    return app


def _refusals(app: FastAPI) -> None:
    """Every refusal is {"error": one sentence}, which repeats nothing of what was sent."""

    @app.exception_handler(RefusedError)
    def refused(request: Request, error: RefusedError) -> Response:
        return StrictResponse({"error": str(error)}, error.status, dict(error.headers))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        return StrictResponse({"error": _sentence(error)}, 422)

    @app.exception_handler(HTTPException)
    def missing(request: Request, error: HTTPException) -> Response:
        said = {404: "there is no such page", 405: "this page is not asked for in this way"}
        message = said.get(error.status_code, "the request cannot be met")
        return StrictResponse({"error": message}, error.status_code, error.headers)

    @app.exception_handler(sqlite3.OperationalError)
    def stuck(request: Request, error: sqlite3.OperationalError) -> Response:
        # a full disk or a copy that locks the file: nothing was acknowledged, and the page tries again
        return StrictResponse({"error": "the answers cannot be stored now; try again"}, 503, {"Retry-After": "2"})


def _sentence(error: RequestValidationError) -> str:
    first = error.errors()[0]
    where = next((str(part) for part in reversed(first["loc"]) if part in FIELDS), None)
    if first["type"] == "extra_forbidden":
        return "the request has a field that is not known here"
    said = str(first["msg"]).lower()
    return f"{where}: {said}" if where else f"the request is not as it should be: {said}"


def _readable(app: FastAPI, path: str) -> Callable[[Endpoint], Endpoint]:
    """Answer GET and HEAD by the same function."""

    def register(endpoint: Endpoint) -> Endpoint:
        app.head(path, include_in_schema=False)(endpoint)
        app.get(path)(endpoint)
        return endpoint

    return register


def _pages(app: FastAPI, flow: Flow) -> None:
    @_readable(app, "/")
    def index(request: Request) -> Response:
        return _page(request, "index.html", "text/html; charset=utf-8")

    @_readable(app, "/assets/{name}")
    def asset(name: str, request: Request) -> Response:
        if name not in ASSETS:
            raise RefusedError(404, "there is no such page")
        return _page(request, name, ASSETS[name])

    @app.get("/api/study")
    def about() -> dict[str, Any]:
        return {
            "title": flow.study.title,
            "trials": len(flow.study.trials(0)),
            "minutes": round(flow.study.minutes),
            "probe": list(PROBE_OFFSETS),
        }


def _calls(app: FastAPI, flow: Flow) -> None:
    @app.get("/api/join")
    def check_link(id: Name = None, key: Name = None) -> dict[str, Any]:
        return {"known": flow.check_link(id, key) is not None}

    @app.post("/api/join")
    def join(joining: Joining, request: Request) -> dict[str, Any]:
        agent = request.headers.get("User-Agent", "")[:300] or None
        rater = flow.join(joining.outside, joining.key, agent)
        return {"token": rater.token, "key": flow.link_key(rater)}

    @app.get("/api/state")
    def state(token: Token = None) -> dict[str, Any]:
        return flow.state(flow.who(token))

    @app.post("/api/event")
    def event(happened: Happened, token: Token = None) -> dict[str, Any]:
        detail = {"clip": happened.clip, "at": happened.at, "text": happened.text}
        given = {key: value for key, value in detail.items() if value is not None}
        flow.report(flow.who(token), happened.trial, happened.kind, given)
        return {"ok": True}

    @app.post("/api/rate/{trial}")
    def rate(trial: int, answers: Answers, token: Token = None) -> dict[str, Any]:
        rater = flow.who(token)
        flow.rate(rater, trial, answers.answers)
        return flow.state(rater)

    @app.post("/api/headphones")
    def headphones(heard: Heard, token: Token = None) -> dict[str, Any]:
        rater = flow.who(token)
        passed = flow.check_headphones(rater, heard.heard, heard.attempt)
        return {"passed": passed, **flow.state(rater)}

    @app.post("/api/latency")
    def latency(found: Latency, token: Token = None) -> dict[str, Any]:
        rater = flow.who(token)
        flow.set_latency(rater, found.offset, found.audio)
        return flow.state(rater)

    @app.post("/api/withdraw")
    def withdraw(token: Token = None) -> dict[str, Any]:
        flow.withdraw(flow.who(token))
        return {"withdrawn": True}


def _media(app: FastAPI, flow: Flow) -> None:
    # a tag of the name and the content: copies of one film under two names are not told apart by it
    tags = {s.file: _tag(f"{s.file} {s.sha256}".encode()) for s in flow.study.stimuli}
    probes = {f"{offset}.mp4": _tag((flow.folder / PROBE / f"{offset}.mp4").read_bytes()) for offset in PROBE_OFFSETS}
    sounds = {side: flow.folder / PROBE / f"{side}.wav" for side in SIDES}
    for side, path in sounds.items():
        if not path.is_file():
            write_bytes(path, one_sided(side))

    @_readable(app, "/media/{name}")
    def clip(name: str, request: Request) -> Response:
        if name not in tags:
            raise RefusedError(404, "there is no such clip")
        return media_response(request, flow.folder / CLIPS / name, tags[name], "video/mp4")

    @_readable(app, "/probe/{name}")
    def probe(name: str, request: Request) -> Response:
        if name not in probes:
            raise RefusedError(404, "there is no such clip")
        return media_response(request, flow.folder / PROBE / name, probes[name], "video/mp4")

    @_readable(app, "/sound/{name}")
    def sound(name: str, request: Request, rater: Annotated[str, Query(max_length=100)]) -> Response:
        known = flow.who(rater)
        numbers = {f"{number}.wav": number for number in range(HEADPHONE_SOUNDS)}
        if name not in numbers:
            raise RefusedError(404, "there is no such sound")
        side = flow.sides(known)[numbers[name]]
        tag = _tag(f"{known.token} {name} {side}".encode())
        return media_response(request, sounds[side], tag, "audio/wav", CHECKED)


def _page(request: Request, name: str, media_type: str) -> Response:
    path = PAGE / name
    return media_response(request, path, _tag(path.read_bytes()), media_type, CHECKED)


def _tag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def one_sided(side: str, seconds: float = 0.6, rate: int = 44_100) -> bytes:
    """A soft bell on one side alone, as a WAV file: 16 bit, stereo."""
    time = np.arange(round(seconds * rate)) / rate
    bell = np.exp(-5 * time) * (np.sin(2 * np.pi * 660 * time) + 0.5 * np.sin(2 * np.pi * 1320 * time))
    bell *= 0.3 * np.minimum(time / 0.01, 1)
    silent = np.zeros_like(bell)
    stereo = np.stack([bell, silent] if side == "left" else [silent, bell], axis=1)
    file = io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setnchannels(2)
        output.setsampwidth(2)
        output.setframerate(rate)
        output.writeframes((stereo * 32767).astype("<i2").tobytes())
    return file.getvalue()


def serve(
    folder: Path,
    host: str,
    port: int,
    on_start: Callable[[str, int], None],
    limits: Limits = DEFAULT_LIMITS,
    signed_only: bool = False,
    proxy: str | None = None,
) -> None:
    """Answer until stopped. One process is enough for hundreds of raters.

    Args:
        proxy: address of a proxy whose X-Forwarded-For is believed; this machine's own is always believed.

    Raises:
        PhonofilmError: no study there, or the port is taken.
    """
    import socket

    import uvicorn

    app = create_app(folder, limits=limits, signed_only=signed_only)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        http="h11",
        ws="none",
        forwarded_allow_ips=["127.0.0.1", "::1", *([proxy] if proxy else [])],
    )
    with listener:
        try:
            listener.bind((host, port))
        except OSError as error:
            raise PhonofilmError(f"{host}:{port} cannot be served: {error.strerror}; try another --port") from error
        on_start(host, listener.getsockname()[1])
        uvicorn.Server(config).run(sockets=[listener])
