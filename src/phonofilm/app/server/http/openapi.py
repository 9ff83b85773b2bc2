"""What the API's description says of bodies that are JSON or a form: FastAPI knows only one of the two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from phonofilm.app.server.http import bodies
from phonofilm.app.server.http.errors import ErrorAnswer

REFERENCE = "#/components/schemas/{model}"
BODIES: tuple[type[BaseModel], ...] = (
    bodies.Making,
    bodies.Remixing,
    bodies.Editing,
    bodies.Retaking,
    bodies.Extending,
    bodies.Foley,
    bodies.Animating,
    bodies.Soundtrack,
    bodies.Telling,
    bodies.Speaking,
)
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": said}
    for status, said in {
        400: "A field is wrong; the answer says which.",
        401: "An API key is needed, or this one is not right.",
        403: "This key, or this page, may not.",
        404: "There is nothing of this name.",
        408: "The request took too long to arrive.",
        409: "The Idempotency-Key stands for another request, or the film is not ready.",
        413: "The request is too large.",
        415: "Neither JSON nor a form.",
        416: "The file has no such part.",
        422: "The job failed; the answer says why.",
        429: "The queue is full, or there were too many requests.",
        501: "This is not possible yet; the answer says what is missing.",
        503: "The server is stopping, or its store is away.",
        507: "The server's disk is full.",
    }.items()
}


def takes(body: type[BaseModel], files: Sequence[str] = ()) -> dict[str, Any]:
    """The description of a body that is JSON, or a form with these files."""
    schema = {"$ref": REFERENCE.format(model=body.__name__)}
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if files:
        content["multipart/form-data"] = {"schema": _form(body, files)}
    return {"requestBody": {"required": True, "content": content}}


def _form(body: type[BaseModel], files: Sequence[str]) -> dict[str, Any]:
    """The same fields as a form has them: `video[id]` is a field of an object, and files are fields of their own."""
    described = body.model_json_schema(ref_template="{model}")
    fields: dict[str, Any] = {}
    for name, field in described["properties"].items():
        if "$ref" in field.get("items", {}):  # a list of objects, which a form has as text
            field = {"type": "string", "contentMediaType": "application/json", "description": field["description"]}
        inner = [part["$ref"] for part in field.get("anyOf", ()) if "$ref" in part]
        if not inner:
            fields[name] = field
        for model in inner:
            of = described["$defs"][model]["properties"]
            fields |= {f"{name}[{key}]": value for key, value in of.items()}
    fields |= {name: {"type": "string", "format": "binary", "description": "The file."} for name in files}
    required = [name for name in described.get("required", ()) if name in fields]
    return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}


def describe(app: FastAPI) -> None:
    """Let the application describe itself, with the schemas of all bodies."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(title=app.title, version=app.version, routes=app.routes, summary=app.summary)
            _, extra = models_json_schema([(body, "validation") for body in BODIES], ref_template=REFERENCE)
            schemas = found.setdefault("components", {}).setdefault("schemas", {})
            schemas |= extra.get("$defs", {})
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            for path in found["paths"].values():
                for operation in path.values():
                    if "422" in operation["responses"] and "HTTPValidation" in str(operation["responses"]["422"]):
                        operation["responses"].pop("422")
            found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            found["security"] = [{"key": []}]
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
