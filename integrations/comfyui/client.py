"""The server's API with nothing but the standard library."""

from __future__ import annotations

import json
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

POLL_SECONDS = 0.3


class ServerError(RuntimeError):
    """What the server said, in one sentence."""


@dataclass(frozen=True)
class Server:
    """A server of films.

    Attributes:
        url: as http://127.0.0.1:8720. key: an API key, where one is needed.
    """

    url: str = "http://127.0.0.1:8720"
    key: str = ""

    def make(
        self,
        path: str,
        fields: Mapping[str, Any],
        files: Mapping[str, bytes],
        progress: Callable[[int], None],
        interrupted: Callable[[], None],
    ) -> dict[str, Any]:
        """Do a job and wait for its end; returns the film.

        Args:
            files: by field. progress: told percent.
            interrupted: raises if the user wants to stop; the job is cancelled then.

        Raises:
            ServerError: the job is not possible.
        """
        film = json.loads(self._ask("POST", path, *_form(fields, files)))
        try:
            while film["status"] in ("queued", "in_progress"):
                interrupted()
                progress(film["progress"])
                time.sleep(POLL_SECONDS)
                film = json.loads(self._ask("GET", f"/v1/videos/{film['id']}"))
        except BaseException:
            self._ask("POST", f"/v1/videos/{film['id']}/cancel")
            raise
        if film["status"] == "failed":
            raise ServerError(film["error"]["message"])
        progress(100)
        return dict(film)

    def content(self, film: Mapping[str, Any], variant: str) -> bytes:
        """A file of a film."""
        return self._ask("GET", f"/v1/videos/{film['id']}/content?variant={urllib.parse.quote(variant)}")

    def _ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        headers = ({"Authorization": f"Bearer {self.key}"} if self.key else {}) | (
            {"Content-Type": kind} if kind else {}
        )
        request = urllib.request.Request(self.url.rstrip("/") + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode("utf-8", "replace")
            try:
                said = json.loads(text)["error"]["message"]
            except (ValueError, KeyError, TypeError):
                said = f"the server answers {error.code}"
            raise ServerError(said) from error
        except OSError as error:
            raise ServerError(f"{self.url} does not answer; is phonofilm serve running?") from error


def _form(fields: Mapping[str, Any], files: Mapping[str, bytes]) -> tuple[bytes, str]:
    """multipart/form-data (RFC 7578)."""
    mark = secrets.token_hex(16)
    parts = []
    for name, value in _flat(fields):
        if value is not None and value != "":
            text = str(value).lower() if isinstance(value, bool) else str(value)
            parts.append(f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode())
    for name, content in files.items():
        head = f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
        parts.append(f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + content + b"\r\n")
    return b"".join(parts) + f"--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"


def _flat(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """As a form has them: a list as fields of one name, and what is in an object as `name[key]`."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}[{key}]", inner) for key, inner in value.items())
        elif isinstance(value, list):
            yield from ((name, inner) for inner in value)
        else:
            yield name, value
