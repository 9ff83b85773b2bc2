"""Refusals as OpenAI's clients read them: {"error": {"message", "type", "param", "code"}}."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from phonofilm import strict_json
from phonofilm.app.server.base.logs import log_error
from phonofilm.app.server.store.database import StoreAwayError
from phonofilm.app.web.bodies import Send
from phonofilm.app.web.refusals import RefusedError

TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class ErrorBody(BaseModel):
    """What went wrong."""

    message: str = Field(description="One sentence for people.")
    type: str = Field(description="The kind of error.")
    param: str | None = Field(description="The field that is wrong.")
    code: str | None = Field(description="A word for programs.")


class ErrorAnswer(BaseModel):
    """The answer to every request that is refused."""

    error: ErrorBody


class StrictResponse(JSONResponse):
    """JSON without NaN and lone surrogates, whatever the values are."""

    def render(self, content: Any) -> bytes:
        return strict_json.dumps(content).encode()


def away() -> RefusedError:
    """503: the store is busy, or not there."""
    return RefusedError(503, "the store does not answer now; try again", {"Retry-After": "2"})


def envelope(refusal: RefusedError) -> dict[str, Any]:
    """A refusal as JSON."""
    usual = "server_error" if refusal.status >= 500 else "invalid_request_error"
    kind = TYPES.get(refusal.status, usual)
    return {"error": {"message": str(refusal), "type": kind, "param": refusal.param, "code": refusal.code}}


def answer(refusal: RefusedError) -> StrictResponse:
    """A refusal as a response."""
    return StrictResponse(envelope(refusal), refusal.status, dict(refusal.headers))


async def refuse(refusal: RefusedError, send: Send) -> None:
    """Answer before there is an application to do it."""
    body = strict_json.dumps(envelope(refusal)).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **refusal.headers}
    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": lines})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def first_fault(errors: Sequence[Any]) -> RefusedError:
    """The first thing that is wrong with the values of a request, in one sentence."""
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path", "header"))[:100]
    if first["type"] == "extra_forbidden":
        return RefusedError(400, f"there is no field {where!r} here", code="unknown_field", param=where)
    said = str(first["msg"]).removeprefix("Value error, ")
    return RefusedError(400, f"{where}: {said}" if where else said, code="invalid_value", param=where or None)


def register(app: FastAPI) -> None:
    """Answer all errors in this form."""

    @app.exception_handler(RefusedError)
    def refused(request: Request, error: RefusedError) -> StrictResponse:
        return answer(error)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> StrictResponse:
        return answer(first_fault(error.errors()))

    @app.exception_handler(HTTPException)
    def missing(request: Request, error: HTTPException) -> StrictResponse:
        said = {404: "there is nothing at this address", 405: "this address is not asked for in this way"}
        message = said.get(error.status_code, "the request cannot be met")
        return answer(RefusedError(error.status_code, message, dict(error.headers or {})))

    @app.exception_handler(StoreAwayError)
    @app.exception_handler(OperationalError)
    def stuck(request: Request, error: Exception) -> StrictResponse:
        log_error("the store does not answer")
        return answer(away())
