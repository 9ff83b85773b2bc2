"""From a request that was read to a job that is accepted: files looked at, values checked, all on disk."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from phonofilm.app.jobs.spec import InvalidRequest, RequestSpec
from phonofilm.app.server.base.files import INPUTS, Files
from phonofilm.app.server.base.roles import fields_of, split_strength
from phonofilm.app.server.base.settings import Settings
from phonofilm.app.server.http.access import Identity
from phonofilm.app.server.http.bodies import Common
from phonofilm.app.server.http.errors import first_fault
from phonofilm.app.server.http.inputs import Given, Inputs
from phonofilm.app.server.http.reading import Sent
from phonofilm.app.server.store.queue import KeyReused, Queue, QueueFull
from phonofilm.app.server.store.records import Job, NewJob
from phonofilm.app.server.work.outgoing import Outgoing
from phonofilm.app.web.refusals import RefusedError
from phonofilm.errors import PhonofilmError

M = TypeVar("M", bound=BaseModel)
STRENGTH = re.compile(r":-?[0-9]{1,2}(\.[0-9]{1,6})?", re.ASCII)
"""Of a LoRA, as it follows its name."""
NAMES = {"negative": "negative_prompt", "steps": "num_inference_steps", "guidance": "guidance_scale", "no": "without"}
NAMES |= {"image": "input_reference", "source": "video", "span": "start", "stg": "stg_scale"}
NAMES |= {"modality_guidance": "modality_guidance_scale"}


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

    @property
    def inputs(self) -> Inputs:
        """What takes the files of jobs."""
        return Inputs(self.settings, self.queue, self.outgoing)

    def attached(self, names: Sequence[str], known: Mapping[str, str], param: str) -> None:
        """Refuse LoRAs, perhaps with a strength as in "night:0.8", or adapters that this server does not have.

        Raises:
            RefusedError: 400.
        """
        for said in names:
            name, strength = split_strength(said, known) if param == "loras" else (said, "")
            if name not in known:
                there = f"there is {', '.join(known)}" if known else "this server was given none"
                raise RefusedError(400, f"there is no {said[:100]!r} here; {there}", code="invalid_value", param=param)
            if strength and not STRENGTH.fullmatch(strength):
                wrong = f"{said[:100]!r} is not possible; write NAME, or NAME:STRENGTH as in {name}:0.8"
                raise RefusedError(400, wrong, code="invalid_value", param=param)

    def check(self, request: Mapping[str, Any], given: Given) -> RequestSpec:
        """Refuse a request that no model could meet.

        Raises:
            RefusedError: 400 with the first field that is wrong.
        """
        self.attached(request.get("loras", ()), self.settings.loras, "loras")
        self.attached(request.get("adapters", ()), self.settings.adapters, "adapters")
        try:
            return RequestSpec.from_json({**request, **fields_of(given.names)})
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
