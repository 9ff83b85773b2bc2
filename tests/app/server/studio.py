"""A server for tests: the application, and a worker in the same process with the fake model."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

from phonofilm.app.server.base.settings import Settings
from phonofilm.app.server.http.app import Parts, create_app
from phonofilm.app.server.http.guard import Rules
from phonofilm.app.server.store.keys import Keys
from phonofilm.app.server.work.outgoing import Call, Outgoing, Reply
from phonofilm.app.server.work.worker import Worker

FILM = {"prompt": "a red ball", "seconds": "0.5", "size": "32x32"}


@dataclass
class Network:
    """Hosts that do not exist, and what they say; notes every call."""

    addresses: dict[str, list[str]] = field(default_factory=dict)
    answers: dict[str, Reply] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def resolve(self, host: str, port: int) -> list[str]:
        if host not in self.addresses:
            raise OSError(host)
        return self.addresses[host]

    def send(self, call: Call) -> Reply:
        self.calls.append(call)
        return self.answers.get(f"{call.host}{call.target}", Reply(404, {}, b""))


class Studio:
    """One server and its worker."""

    def __init__(self, folder: Path, open_to_all: bool = True, rules: Rules | None = None, **settings: Any) -> None:
        values = {
            "models": {"fake": "fake"},
            "device": "cpu",
            "reserve": 0,
            "hosts": ("pictures.example", ".hooks.example"),
        }
        self.settings = Settings(folder, **values | settings)
        self.network = Network()
        self.free = 10**12
        outgoing = Outgoing(self.settings.hosts, self.network.resolve, self.network.send)
        self.app, self.parts = create_app(self.settings, rules, open_to_all, outgoing, lambda: self.free)
        self.client = self.called()

    def called(self, key: str | None = None, base: str = "http://127.0.0.1", **headers: str) -> TestClient:
        """A client, with a key or without."""
        said = {"Authorization": f"Bearer {key}", **headers} if key else headers
        return TestClient(self.app, base_url=base, headers=said, raise_server_exceptions=True)

    def key(self, name: str = "anna", *scopes: str) -> str:
        return Keys(self.parts.database).make(name, scopes or ("read", "write"))[0]

    @property
    def worker(self) -> Worker:
        if not hasattr(self, "_worker"):
            self._worker = Worker(self.settings, "w1")
        return self._worker

    def work(self) -> None:
        """Do all jobs that wait."""
        while (job := self.worker.claims.claim()) is not None:
            self.worker.do(job)

    def made(self, **fields: Any) -> dict[str, Any]:
        """A film that is ready."""
        answer = self.client.post("/v1/videos", json=FILM | fields)
        assert answer.status_code == 200, answer.text
        self.work()
        film: dict[str, Any] = self.client.get(f"/v1/videos/{answer.json()['id']}").json()
        return film

    def working(self) -> Working:
        return Working(self)


class Working:
    """A context in which a thread does jobs as they come."""

    def __init__(self, studio: Studio) -> None:
        self.worker = studio.worker
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self.ended.wait(0.02):
            if (job := self.worker.claims.claim()) is not None:
                self.worker.do(job)

    def __enter__(self) -> Working:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.thread.join()


def png(width: int = 32, height: int = 32) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(file, "PNG")
    return file.getvalue()


__all__ = ["FILM", "Parts", "Studio", "png"]
