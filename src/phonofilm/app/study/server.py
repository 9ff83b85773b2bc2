"""The study over HTTP: one page, a few JSON calls, and the blinded clips."""

from __future__ import annotations

import io
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, Field

from phonofilm.app.study.build import CLIPS, PROBE, PROBE_OFFSETS
from phonofilm.app.study.flow import Flow, RefusedError

PAGE = Path(__file__).parent / "page"
ASSETS = {"study.css": "text/css", "study.js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'self'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
Token = Annotated[str | None, Header(alias="X-Rater")]


class Joining(BaseModel):
    """`outside` is the name a recruiting service knows the rater by; the same name comes back to the same seat."""

    outside: str | None = Field(None, max_length=200)


class Happened(BaseModel):
    kind: str = Field(max_length=20)
    trial: int | None = None
    clip: int | None = None
    at: float | None = None
    text: str | None = Field(None, max_length=4000)


class Answers(BaseModel):
    answers: dict[str, int | None]


class Heard(BaseModel):
    heard: list[str] = Field(max_length=20)


class Latency(BaseModel):
    """`offset` in ms, or None when the rater could not tell."""

    offset: float | None = Field(None, ge=-1000, le=1000)
    audio: dict[str, float | None] = Field(default_factory=dict, max_length=10)


def create_app(folder: Path, clock: Callable[[], float] = time.time) -> FastAPI:
    """The application of one study folder.

    Raises:
        PhonofilmError: the folder holds no usable study.
    """
    flow = Flow.of(folder, clock)
    app = FastAPI(title=flow.study.title, docs_url=None, redoc_url=None, openapi_url=None)
    _guard(app)
    _pages(app, flow)
    _calls(app, flow)
    _media(app, flow)
    return app


def _guard(app: FastAPI) -> None:
    @app.exception_handler(RefusedError)
    def refused(request: Request, error: RefusedError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=error.status)

    @app.middleware("http")
    async def headers(request: Request, call_next: Callable[..., Any]) -> Response:
        response: Response = await call_next(request)
        response.headers.update(HEADERS)
        if not request.url.path.startswith(("/media", "/probe")):
            response.headers["Cache-Control"] = "no-store"
        return response


def _pages(app: FastAPI, flow: Flow) -> None:
    @app.get("/")
    def index() -> FileResponse:
        return FileResponse(PAGE / "index.html", media_type="text/html")

    @app.get("/assets/{name}")
    def asset(name: str) -> FileResponse:
        if name not in ASSETS:
            raise HTTPException(404)
        return FileResponse(PAGE / name, media_type=ASSETS[name])

    @app.get("/api/study")
    def about() -> dict[str, Any]:
        return {
            "title": flow.study.title,
            "trials": len(flow.study.trials(0)),
            "minutes": round(flow.study.minutes),
            "probe": list(PROBE_OFFSETS),
        }


def _calls(app: FastAPI, flow: Flow) -> None:
    @app.post("/api/join")
    def join(joining: Joining, request: Request) -> dict[str, Any]:
        rater = flow.join(joining.outside or None, request.headers.get("User-Agent"))
        return {"token": rater.token}

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
        passed = flow.check_headphones(rater, heard.heard)
        return {"passed": passed, **flow.state(rater)}

    @app.post("/api/latency")
    def latency(found: Latency, token: Token = None) -> dict[str, Any]:
        rater = flow.who(token)
        flow.set_latency(rater, found.offset, found.audio)
        return flow.state(rater)


def _media(app: FastAPI, flow: Flow) -> None:
    known = {stimulus.file for stimulus in flow.study.stimuli}

    @app.get("/media/{name}")
    def clip(name: str) -> FileResponse:
        if name not in known:
            raise HTTPException(404)
        return FileResponse(flow.folder / CLIPS / name, media_type="video/mp4")

    @app.get("/probe/{offset}.mp4")
    def probe(offset: int) -> FileResponse:
        if offset not in PROBE_OFFSETS:
            raise HTTPException(404)
        return FileResponse(flow.folder / PROBE / f"{offset}.mp4", media_type="video/mp4")

    @app.get("/sound/{number}.wav")
    def sound(number: int, rater: str) -> Response:
        sides = flow.sides(flow.who(rater))
        if not 0 <= number < len(sides):
            raise HTTPException(404)
        return Response(one_sided(sides[number]), media_type="audio/wav")


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


def serve(folder: Path, host: str, port: int, on_start: Callable[[str, int], None]) -> None:
    """Answer until stopped. One process is enough for hundreds of raters.

    Raises:
        PhonofilmError: no study there, or the port is taken.
    """
    import socket

    import uvicorn

    from phonofilm.errors import PhonofilmError

    app = create_app(folder)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with listener:
        try:
            listener.bind((host, port))
        except OSError as error:
            raise PhonofilmError(f"{host}:{port} cannot be served: {error.strerror}; try another --port") from error
        on_start(host, listener.getsockname()[1])
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])
