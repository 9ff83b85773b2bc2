"""Films and sounds over HTTP, in the parts that players ask for: Safari plays nothing from a server without them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from phonofilm.app.web.refusals import RefusedError

CHUNK = 64 * 1024
CACHED, CHECKED = "private, max-age=86400", "private, no-cache"
"""Cache-Control of what stays the same under its address, and of what must be asked for again."""
_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*", re.ASCII)


@dataclass(frozen=True)
class Span:
    """Bytes `start` to `end`, the last one not included."""

    start: int
    end: int


def span_of(range_header: str | None, size: int) -> Span | None:
    """The one span that a Range header asks for, or None for the whole file (RFC 9110, section 14).

    A header that is malformed, has other units, or asks for several spans is ignored, as the standard allows.

    Raises:
        RefusedError: 416, where the span lies outside the file.
    """
    asked = _RANGE.fullmatch(range_header.strip()) if range_header else None
    if asked is None or not (asked[1] or asked[2]):
        return None
    if asked[1]:
        start, end = int(asked[1]), min(int(asked[2]) + 1, size) if asked[2] else size
        if asked[2] and int(asked[2]) < start:
            return None
    else:
        start, end = max(size - int(asked[2]), 0), size
    if start >= end:
        raise RefusedError(416, "the file has no such part", {"Content-Range": f"bytes */{size}"})
    return Span(start, end)


def media_response(request: Request, path: Path, tag: str, media_type: str, cache: str = CACHED) -> Response:
    """A file, or the part of it that was asked for; answers HEAD and If-None-Match as well.

    Args:
        tag: names the content; the same tag is never used for other content.

    Raises:
        RefusedError: 404 where the file is not there, 416 where the part is not.
    """
    try:
        size = path.stat().st_size
    except OSError:
        raise RefusedError(404, "there is no such file") from None
    return content_response(request, size, partial(_read, path), tag, media_type, cache)


def content_response(
    request: Request,
    size: int,
    read: Callable[[int, int], Iterator[bytes]],
    tag: str,
    media_type: str,
    cache: str = CACHED,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    """As `media_response`, of content that `read` gives from one byte up to another.

    Args:
        more: further headers.

    Raises:
        RefusedError: 416.
    """
    etag = f'"{tag}"'
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": cache, **more}
    if _matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    # a range is defined for GET alone; If-Range asks for the whole file where it has changed
    usable = request.method == "GET" and request.headers.get("if-range") in (None, etag)
    span = span_of(request.headers.get("range"), size) if usable else None
    if span is not None:
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size}"
    start, end = (span.start, span.end) if span else (0, size)
    headers["Content-Length"] = str(end - start)
    status = 206 if span else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    return StreamingResponse(read(start, end), status, headers, media_type)


def _matches(if_none_match: str | None, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return etag in tags or tags == ["*"]


def _read(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (chunk := file.read(min(CHUNK, end - start))):
            start += len(chunk)
            yield chunk
