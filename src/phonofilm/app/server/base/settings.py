"""How a server is set up; its worker gets the same, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from phonofilm.errors import PhonofilmError

VARIABLE = "PHONOFILM_SERVER_SETTINGS"
"""Holds the settings of a worker, so that no list of processes shows them."""
DAY = 86_400.0
MEGABYTE = 2**20


@dataclass(frozen=True)
class Settings:
    """What a server and its workers share.

    Attributes:
        folder: the embedded store and files, and what workers write meanwhile.
        database: URL of the store; "" is SQLite in the folder.
        files: URL of what is given and made, as fsspec has them; "" is the folder.
        models: what clients call a model, and what it is here: a name or a folder. The first is the usual one.
        loras, adapters: what clients call a LoRA and a control module, and its file here.
        device: where models compute.
        lease_seconds: for how long a worker may be silent. attempts: how often a job is begun.
        keep_days: how long films are kept; 0 is for ever.
        queue, per_key: jobs that may wait, in all and of one key.
        upload, body: bytes of a request with files, and of one without. receive_seconds: in which it must arrive.
        pixels, seconds: of what is uploaded, at most. decode_seconds: processor time to look at it.
        reserve: bytes that stay free on the disk; with less no job is accepted.
        hosts: names of hosts that pictures are fetched from and webhooks sent to.
        names: names by which this server may be called, besides its address.
        drain_seconds: for how long a worker that is to stop finishes its job.
        reports: pages that are shown in the studio, by title: of an evaluation, or of a study.
        live: live films at a time; 0 for none. live_seconds: how long one is, at most.
        policy: names of the entry points of group "phonofilm.policy" to ask; all that are installed if None.
    """

    folder: Path
    database: str = ""
    files: str = ""
    models: Mapping[str, str] = field(default_factory=lambda: {"nano": "nano"})
    loras: Mapping[str, str] = field(default_factory=dict)
    adapters: Mapping[str, str] = field(default_factory=dict)
    device: str = "auto"
    lease_seconds: float = 15.0
    attempts: int = 5
    keep_days: float = 30.0
    queue: int = 1000
    per_key: int = 200
    upload: int = 256 * MEGABYTE
    body: int = MEGABYTE
    receive_seconds: float = 60.0
    pixels: int = 3840 * 2160
    seconds: float = 600.0
    decode_seconds: float = 60.0
    reserve: int = 512 * MEGABYTE
    hosts: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    drain_seconds: float = 30.0
    reports: Mapping[str, str] = field(default_factory=dict)
    live: int = 1
    live_seconds: float = 3600.0
    policy: tuple[str, ...] | None = None

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.folder / 'phonofilm.db'}"

    @property
    def files_url(self) -> str:
        return self.files or str(self.folder.absolute())

    @property
    def scratch(self) -> Path:
        """What workers write before it is done."""
        return self.folder / "scratch"

    @property
    def keep_seconds(self) -> float | None:
        return self.keep_days * DAY if self.keep_days else None

    def to_json(self) -> str:
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        plain = {name: dict(value) for name, value in values.items() if isinstance(value, Mapping)}
        return json.dumps(values | plain | {"folder": str(self.folder.absolute())})

    @staticmethod
    def from_json(text: str) -> Settings:
        """The settings that `to_json` wrote.

        Raises:
            PhonofilmError: other JSON.
        """
        try:
            values = json.loads(text)
            values["folder"] = Path(values["folder"])
            for name in ("hosts", "names", "policy"):
                values[name] = None if values[name] is None else tuple(values[name])
            return Settings(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise PhonofilmError("these are no settings of a server") from error
