"""From a request that was read to a job that is accepted: files looked at, values checked, all on disk."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from phonofilm.app.jobs.spec import InvalidRequest, RequestSpec
from phonofilm.app.server.base.files import INPUTS, RESULTS, Files
from phonofilm.app.server.base.settings import Settings
from phonofilm.app.server.http.access import Identity
from phonofilm.app.server.http.bodies import Common, ImageReference
from phonofilm.app.server.http.errors import first_fault
from phonofilm.app.server.http.reading import Sent
from phonofilm.app.server.store.queue import KeyReused, Queue, QueueFull
from phonofilm.app.server.store.records import Job, NewJob
from phonofilm.app.server.work.look import Looked, look
from phonofilm.app.server.work.outgoing import Outgoing
from phonofilm.app.web.refusals import RefusedError
from phonofilm.errors import PhonofilmError

M = TypeVar("M", bound=BaseModel)
PICTURE_BYTES = 20 * 2**20
NAMES = {"negative": "negative_prompt", "steps": "num_inference_steps", "guidance": "guidance_scale", "no": "without"}
NAMES |= {"image": "input_reference", "source": "video", "span": "start"}


@dataclass
class Given:
    """Files that a job works on, by role, and what they hold."""

    files: dict[str, Looked] = field(default_factory=dict)
    copies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    seconds: float | None = None
    parent: str | None = None

    @property
    def names(self) -> dict[str, str]:
        """Roles, and the names of their files."""
        named = {role: f"{role}{looked.suffix}" for role, looked in self.files.items()}
        return named | {role: f"{role}{Path(place[-1]).suffix}" for role, place in self.copies.items()}


@dataclass
class Service:
    """What endpoints share.

    Attributes:
        free: bytes that are free where jobs are kept.
        draining: whether no more jobs are accepted.
    """

    settings: Settings
    queue: Queue
    files: Files
    outgoing: Outgoing
    free: Callable[[], int]
    draining: bool = False

    def check_open(self) -> None:
        """Refuse jobs that could not be kept.

        Raises:
            RefusedError: 503 while the server stops, 507 where the disk is nearly full.
        """
        if self.draining:
            raise RefusedError(503, "the server is stopping; try again soon", {"Retry-After": "10"}, "stopping")
        if self.free() < self.settings.reserve:
            raise RefusedError(507, "the server's disk is full; no new jobs until there is room", code="disk_full")

    def values(self, body: type[M], sent: Sent) -> M:
        """The checked values of a request.

        Raises:
            RefusedError: 400 with the first field that is wrong.
        """
        inner = {name: value for name, value in sent.values.items() if name not in sent.files}
        try:
            return body.model_validate(inner)
        except ValidationError as error:
            raise first_fault(error.errors()) from None

    def model(self, name: str | None) -> str:
        """The name of a model that this server runs.

        Raises:
            RefusedError: 404.
        """
        if name is None:
            return next(iter(self.settings.models))
        if name not in self.settings.models:
            known = ", ".join(self.settings.models)
            raise RefusedError(404, f"there is no such model here; there is {known}", {}, "model_not_found", "model")
        return name

    def webhook(self, values: Common) -> str | None:
        """Where to tell the end.

        Raises:
            RefusedError: 400: this server may not ask there.
        """
        if values.webhook_url is not None:
            try:
                self.outgoing.check(values.webhook_url)
            except PhonofilmError as error:
                raise RefusedError(400, str(error), code="webhook", param="webhook_url") from None
        return values.webhook_url

    def image(self, sent: Sent, reference: ImageReference | None, place: Path, given: Given) -> None:
        """The first picture: a file, a data URL, or one that is fetched.

        Raises:
            RefusedError: 400.
        """
        path = sent.files.get("input_reference")
        if path is None and reference is not None:
            if reference.image_url is None:
                raise RefusedError(400, "send the picture itself, or its image_url", {}, "invalid_value", FIELD)
            path = place / "fetched"
            path.write_bytes(self._fetched(reference.image_url))
        if path is not None:
            given.files["image"] = self._look(path, "image", FIELD)

    def _fetched(self, url: str) -> bytes:
        try:
            if url.startswith("data:"):
                header, _, content = url.partition(",")
                if not header.endswith(";base64"):
                    raise PhonofilmError("a data URL must read data:image/png;base64,…")
                return base64.b64decode(content, validate=True)
            return self.outgoing.get(url, PICTURE_BYTES)
        except (PhonofilmError, binascii.Error) as error:
            said = str(error) if isinstance(error, PhonofilmError) else "the data URL is not base64"
            raise RefusedError(400, said, code="image_url", param=FIELD) from None

    def _look(self, path: Path, kind: str, param: str) -> Looked:
        limits = (self.settings.pixels, self.settings.seconds, self.settings.decode_seconds)
        try:
            return look(path, kind, *limits)
        except PhonofilmError as error:
            raise RefusedError(400, str(error), code="invalid_file", param=param) from None

    def source(self, sent: Sent, id: str | None, who: Identity, given: Given, audio: bool = False) -> None:
        """The film that a job works on: a file, or one that was made here.

        Raises:
            RefusedError: 400, or 404 where there is no such film of this owner.
        """
        name = next((name for name in ("video", "audio") if name in sent.files), None)
        if name is not None:
            looked = self._look(sent.files[name], "film", name)
            if not audio and not looked.picture:
                raise RefusedError(400, "this file has no picture", code="invalid_file", param=name)
            given.files["source"], given.seconds = looked, looked.seconds
        elif id is not None:
            job = self.queue.get(id, who.sees)
            entry = None if job is None else job.result.get("files", {}).get("video")
            if entry is None and audio and job is not None:
                entry = job.result.get("files", {}).get("audio")
            if job is None:
                raise RefusedError(404, "there is no such film", code="not_found", param="video")
            if entry is None:
                raise RefusedError(400, "that job has made no film to work on", code="invalid_value", param="video")
            given.copies["source"] = (RESULTS, job.id, str(job.result["attempt"]), entry["name"])
            given.seconds, given.parent = job.seconds, job.id
        else:
            raise RefusedError(400, "send a film: as a file, or the id of one as video[id]", {}, "missing", "video")

    def music(self, sent: Sent, given: Given) -> None:
        """Music that is laid under a film."""
        if "music_file" in sent.files:
            looked = self._look(sent.files["music_file"], "film", "music_file")
            if not looked.sound:
                raise RefusedError(400, "this file has no sound", code="invalid_file", param="music_file")
            given.files["music"] = looked

    def check(self, request: Mapping[str, Any], given: Given) -> RequestSpec:
        """Refuse a request that no model could meet.

        Raises:
            RefusedError: 400 with the first field that is wrong.
        """
        stand_ins = {role: name for role, name in given.names.items() if role in ("source", "image")}
        try:
            return RequestSpec.from_json({**request, **stand_ins})
        except InvalidRequest as error:
            fault = error.faults[0]
            path, dot, rest = fault.path.partition("[")
            param = NAMES.get(path, path) + dot + rest
            raise RefusedError(400, fault.message, code="invalid_value", param=param) from None

    def accept(self, new: NewJob, given: Given, key: str | None, digest: str) -> Job:
        """Put the files of a job and then the job on disk; only then it is accepted.

        Raises:
            RefusedError: 409, 429 or 507.
        """
        try:
            for role, looked in given.files.items():
                self.files.put(looked.path, INPUTS, new.id, given.names[role])
            for role, place in given.copies.items():
                self.files.copy(place, (INPUTS, new.id, given.names[role]))
            job = self.queue.accept(new, key, digest)
        except BaseException as error:
            self.files.remove(INPUTS, new.id)
            raise _refusal(error) from error
        if job.id != new.id:  # the key was used before
            self.files.remove(INPUTS, new.id)
        return job

    def known(self, who: Identity, key: str | None, digest: str) -> Job | None:
        """The job of an Idempotency-Key.

        Raises:
            RefusedError: 409.
        """
        if key is None:
            return None
        try:
            return self.queue.known(who.owner, key, digest)
        except KeyReused as error:
            raise _refusal(error) from error


FIELD = "input_reference"


def new_id(prefix: str = "video") -> str:
    """A name of a job that nobody can guess."""
    return f"{prefix}_{secrets.token_hex(16)}"


def body_hash(path: str, sent: Sent) -> str:
    """What a request asks, as a hash: two with the same ask the same."""
    said = json.dumps([path, sent.values, sent.digests], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def free_bytes(folder: Path) -> int:
    """Free bytes of the disk that a folder is on."""
    return shutil.disk_usage(folder).free


def _refusal(error: BaseException) -> BaseException:
    if isinstance(error, QueueFull):
        return RefusedError(429, str(error), {"Retry-After": "5"}, "queue_full")
    if isinstance(error, KeyReused):
        return RefusedError(409, str(error), {}, "idempotency")
    if isinstance(error, OSError) and error.errno == 28:
        return RefusedError(507, "the server's disk is full; no new jobs until there is room", {}, "disk_full")
    return error
