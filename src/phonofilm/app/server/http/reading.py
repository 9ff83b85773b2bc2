"""The body of a request, JSON or a form with files, as plain values and files on the disk."""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from phonofilm import strict_json
from phonofilm.app.web.refusals import RefusedError

FILES = ("input_reference", "video", "audio", "music_file", "speech_file", "effects_file", "follow", "hits_file")
"""Fields that may be files."""
_INNER = re.compile(r"(?P<outer>[a-z_]{1,40})\[(?P<inner>[a-z_]{0,40})\]", re.ASCII)
MOST_FIELDS, MOST_FILES = 100, len(FILES)


@dataclass
class Sent:
    """What came.

    Attributes:
        values: plain ones. files: by field, each in a folder that is removed afterwards.
        digests: SHA-256 of the files.
    """

    values: dict[str, Any]
    files: dict[str, Path] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)


@contextmanager
def incoming(folder: Path) -> Iterator[Path]:
    """A folder for the files of one request."""
    place = folder / "incoming" / secrets.token_hex(12)
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


async def read(request: Request, place: Path) -> Sent:
    """Read a body.

    Raises:
        RefusedError: 400, 408, 413 or 415.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        return await _form(request, place)
    if kind not in ("application/json", ""):
        raise RefusedError(415, "send JSON, or a form with files (multipart/form-data)", code="media_type")
    body = await request.body()
    try:
        values = strict_json.loads(body) if body else {}
    except ValueError as error:
        raise RefusedError(400, f"the request cannot be read: {error}", code="json") from None
    if not isinstance(values, dict):
        raise RefusedError(400, 'a request is an object, as {"prompt": "…"}', code="json")
    return Sent(values)


async def _form(request: Request, place: Path) -> Sent:
    sent = Sent({})
    try:
        async with request.form(max_files=MOST_FILES, max_fields=MOST_FIELDS, max_part_size=2**20) as form:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    await run_in_threadpool(_keep, sent, name, value, place)
                else:
                    _put(sent.values, name, value)
    except (MultiPartException, UnicodeDecodeError, ValueError) as error:
        raise RefusedError(400, "the form cannot be read; send multipart/form-data as RFC 7578 has it") from error
    except Exception as error:
        if type(error).__name__ == "HTTPException":
            raise RefusedError(400, "the form cannot be read, or has too many fields or files") from error
        raise
    return sent


def _keep(sent: Sent, name: str, upload: UploadFile, place: Path) -> None:
    if name not in FILES:
        raise RefusedError(400, "there is no such file field here", code="unknown_field", param=name[:100])
    if name in sent.files:
        raise RefusedError(400, "one file a field", code="invalid_value", param=name)
    path, digest = place / name, hashlib.sha256()
    with path.open("wb") as file:
        while chunk := upload.file.read(2**20):
            digest.update(chunk)
            file.write(chunk)
    sent.files[name], sent.digests[name] = path, digest.hexdigest()


def _put(values: dict[str, Any], name: str, text: str) -> None:
    """A field of a form; `video[id]` is a field of an object and `say[]` one of a list."""
    text.encode()  # no half characters
    match = _INNER.fullmatch(name)
    if match is None:
        known = values.get(name)
        values[name] = text if known is None else [*(known if isinstance(known, list) else [known]), text]
    elif match["inner"]:
        inner = values.setdefault(match["outer"], {})
        if isinstance(inner, dict):
            inner[match["inner"]] = text
    else:
        listed = values.setdefault(match["outer"], [])
        if isinstance(listed, list):
            listed.append(text)
