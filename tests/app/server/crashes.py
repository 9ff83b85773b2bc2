"""Servers and workers that are killed, and clients that know nothing of it: what was accepted must be there, once.

    python tests/app/server/crashes.py --clients 20 --jobs 100

does it once, with a death at every failpoint, and prints how many died where and how long it took.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import json
import multiprocessing
import multiprocessing.forkserver
import os
import random
import signal
import socket
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from sqlalchemy import func, select
from studio import png

from phonofilm.app.server.base import failpoints
from phonofilm.app.server.base.files import Files
from phonofilm.app.server.base.logs import start_logs
from phonofilm.app.server.base.settings import Settings
from phonofilm.app.server.http.app import create_app
from phonofilm.app.server.store.database import Database
from phonofilm.app.server.store.deliveries import Deliveries
from phonofilm.app.server.store.queue import Queue
from phonofilm.app.server.store.schema import jobs, usage
from phonofilm.app.server.work.outgoing import Call, Outgoing, Reply
from phonofilm.app.server.work.sweep import Sweeper
from phonofilm.app.server.work.webhooks import Messenger
from phonofilm.app.server.work.worker import Worker

WORKER_POINTS = ("claim", "write", "upload", "rename", "commit", "committed")
SERVER_POINTS = ("accept", "rename", "webhook")
# All are forked from a process without threads: what is imported is not imported again at each restart, and no child
# inherits a lock that a thread held just then. Forked from here, one child in thirty never began (SQLite's mutexes).
FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(
    ["phonofilm.app.server.http.app", "phonofilm.app.server.work.worker", "uvicorn", "fastapi.testclient", "pytest"]
)
PAUSE = 0.3
"""Seconds before a request that was not answered is sent again."""
WITH_PICTURE = 40
"""One job in so many is sent with a picture, which the server has to put in its place."""


def _set(point: str) -> None:
    failpoints._passed.clear()
    os.environ[failpoints.VARIABLE] = point


def work(settings: Settings, point: str) -> None:
    """A worker, in a process of its own."""
    _set(point)
    start_logs()
    Worker(settings).run()


def serve(settings: Settings, listener: socket.socket, hooks: Path, point: str) -> None:
    """A server, in a process of its own, whose webhooks go into a file."""
    _set(point)

    def send(call: Call) -> Reply:
        with hooks.open("ab") as file:
            file.write(call.body + b"\n")
        return Reply(200, {}, b"")

    app, parts = create_app(settings, outgoing=Outgoing(("x.example",), lambda *_: ["93.184.216.34"], send))
    Messenger(Deliveries(parts.database), parts.service.outgoing, b"s" * 32).start()
    config = uvicorn.Config(app, log_config=None, access_log=False, ws="none", lifespan="off")
    uvicorn.Server(config).run([listener])


@dataclass
class Site:
    """One server and its workers, restarted when they die.

    Attributes:
        looks: seconds between two questions of a client after its film. enough: deaths at each failpoint, at most.
        deaths: by process and place, as "worker commit". frozen: workers that were stopped past their lease.
        done: films that clients have seen completed.
    """

    settings: Settings
    workers: int = 2
    looks: float = PAUSE
    enough: int = 10**6
    deaths: Counter[str] = field(default_factory=Counter)
    frozen: int = 0
    done: int = 0

    def __post_init__(self) -> None:
        self.settings.folder.mkdir(parents=True, exist_ok=True)
        self.database = Database(self.settings.database_url)
        self.database.migrate()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(512)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.hooks = self.settings.folder / "hooks.jsonl"
        self.hooks.touch()
        self.ended = threading.Event()
        self.lock = threading.RLock()
        self.spared = ""
        self.points = {
            "worker": [f"{name}:{2 + n % 2}" for n, name in enumerate(WORKER_POINTS)],
            "server": [f"{name}:{1 if name == 'rename' else 2}" for name in SERVER_POINTS],
        }
        self.processes: dict[str, Any] = {}
        self.at: dict[str, str] = {}

    def start(self) -> None:
        """Begin, and keep everything running."""
        for name in ("server", *(f"worker{n}" for n in range(self.workers))):
            self._begin(name)
        self.keeper = threading.Thread(target=self._keep, daemon=True)
        self.keeper.start()

    def _begin(self, name: str) -> None:
        kind = name[:6]
        points = self.points[kind]
        points[:] = [p for p in points if self.deaths[f"{kind} {p.partition(':')[0]}"] < self.enough]
        point = points[0] if points else ""
        points[:] = [*points[1:], *points[:1]]
        target, more = (serve, (self.listener, self.hooks)) if name == "server" else (work, ())
        self.at[name] = f"{kind} {point.partition(':')[0]}"
        self.processes[name] = FORK.Process(target=target, args=(self.settings, *more, point), daemon=True)
        self.processes[name].start()

    def _keep(self) -> None:
        while not self.ended.wait(0.05):
            with self.lock:
                for name, process in list(self.processes.items()):
                    if not process.is_alive():
                        self.deaths[self.at[name]] += 1
                        self._begin(name)

    def kill(self, moments: random.Random) -> bool:
        """Kill one of them, whatever it does; returns whether it lived."""
        with self.lock:
            name = moments.choice([name for name in self.processes if name != self.spared])
            if not self.processes[name].is_alive():
                return False
            self.at[name] = f"{name[:6]} at random"
            os.kill(self.processes[name].pid, signal.SIGKILL)
            return True

    def freeze(self, seconds: float = 300) -> None:
        """Stop a worker in the middle of a job until another one has taken that job; then let it go on.

        One that was stopped in the middle of a write keeps all others from writing: it goes on, and another is stopped.
        """
        until, longest = time.monotonic() + seconds, 12 * self.settings.lease_seconds
        while time.monotonic() < until and not self.ended.wait(0.05):
            with self.lock:
                name, job = self._busy()
                if not name:
                    continue
                self.spared, pid = name, self.processes[name].pid
                os.kill(pid, signal.SIGSTOP)
            taken, begun = False, time.monotonic()
            while not (taken or self.ended.is_set()) and time.monotonic() < min(until, begun + longest):
                time.sleep(0.1)
                with self.database.read() as connection:
                    row = connection.execute(select(jobs.c.status, jobs.c.attempt).where(jobs.c.id == job[0])).one()
                if row.status == "completed" and row.attempt == job[1]:
                    break  # it had ended just before
                taken = row.attempt > job[1]
            self.frozen += taken
            with suppress(ProcessLookupError):  # on a slow machine another hand may have ended it
                os.kill(pid, signal.SIGCONT)
            self.spared = ""
            if taken:
                return

    def _busy(self) -> tuple[str, tuple[str, int]]:
        """A worker that does a job, and which job and attempt; "" where there is none."""
        pids = {str(process.pid): name for name, process in self.processes.items() if process.is_alive()}
        with self.database.read() as connection:
            rows = connection.execute(
                select(jobs.c.id, jobs.c.attempt, jobs.c.worker).where(jobs.c.status == "in_progress")
            ).all()
        for row in rows:
            if (name := pids.get(row.worker.split("-")[-2], "")) and name != self.spared:
                return name, (row.id, row.attempt)
        return "", ("", 0)

    def stop(self) -> None:
        self.ended.set()
        self.keeper.join()
        for process in self.processes.values():
            process.kill()
            process.join()
        self.listener.close()
        self.database.close()

    def call(self, method: str, path: str, body: Any = None, key: str = "") -> Any:
        """One request, sent again until it is answered."""
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        data = None if body is None else json.dumps(body).encode()
        while True:
            request = urllib.request.Request(self.url + path, data, headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return json.loads(answer.read())
            except urllib.error.HTTPError as error:
                error.close()
                if error.code not in (429, 500, 503):
                    raise
            except (OSError, ValueError, http.client.HTTPException):
                pass
            time.sleep(PAUSE)

    def make(self, number: int) -> str:
        """A client: one job, followed to its end; returns its id."""
        body = {"prompt": f"ball {number}", "seconds": 0.2, "size": "16x16", "seed": number}
        body["webhook_url"] = "https://x.example/hook"
        if number % WITH_PICTURE == 1:
            body["input_reference"] = {"image_url": f"data:image/png;base64,{base64.b64encode(png(16, 16)).decode()}"}
        film = self.call("POST", "/v1/videos", body, key=f"job {number}")
        while film["status"] not in ("completed", "failed"):
            time.sleep(self.looks)
            film = self.call("GET", f"/v1/videos/{film['id']}")
        assert film["status"] == "completed", film["error"]
        self.done += 1
        return str(film["id"])

    def clients(self, count: int, at_once: int) -> list[str]:
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(self.make, range(count)))

    def wait_for_hooks(self, count: int, seconds: float = 120) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and len({h["data"]["id"] for h in self.told()}) < count:
            time.sleep(0.1)

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.hooks.read_bytes().splitlines() if line.endswith(b"}")]


def check(site: Site, accepted: list[str]) -> None:
    """None lost, none doubled, none half-written; run when everything has stopped."""
    database = Database(site.settings.database_url)
    queue, files = Queue(database), Files(site.settings.files_url)
    assert len(set(accepted)) == len(accepted)
    with database.read() as connection:
        assert set(connection.scalars(select(jobs.c.id))) == set(accepted), "as many jobs as were accepted"
        assert sorted(connection.scalars(select(usage.c.job))) == sorted(accepted), "each is counted once"
        assert connection.scalar(select(func.count()).where(jobs.c.status != "completed")) == 0
    late = time.time() + 10_000
    Sweeper(queue, files, site.settings.scratch, clock=lambda: late).sweep()
    results = site.settings.folder / "results"
    assert {path.name for path in results.iterdir()} == set(accepted)
    for id in accepted:
        job = queue.get(id)
        assert job is not None
        entries = {entry["name"]: entry["sha256"] for entry in job.result["files"].values()}
        assert [path.name for path in (results / id).iterdir()] == [str(job.result["attempt"])]
        found = {path.name: path for path in (results / id / str(job.result["attempt"])).iterdir()}
        assert set(found) == set(entries)
        for name, path in found.items():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == entries[name], "whole"
    told = site.told()
    assert {hook["data"]["id"] for hook in told} == set(accepted), "each end was told"
    assert len({hook["id"] for hook in told}) == len(accepted), "always with the same id"
    assert not list(site.settings.scratch.glob("*")) or all(
        not any(p.iterdir()) for p in site.settings.scratch.glob("*")
    )
    database.close()


def storm(site: Site, count: int, at_once: int, kills: int, freezes: int) -> int:
    """All at once: clients, deaths at failpoints, deaths at random spread over the whole, and workers that are stopped.

    Returns:
        how many processes were killed at random.
    """
    killed, moments = 0, random.Random(0)

    def spread(number: int, of: int) -> bool:
        """Wait until so many parts of the jobs are done; whether there is anything left to disturb."""
        while site.done < count * (number + 1) // (of + 2):
            if site.ended.wait(0.05):
                return False
        return True

    def kill() -> None:
        nonlocal killed
        for number in range(kills):
            while spread(number, kills) and not site.kill(moments):
                time.sleep(0.05)
            killed += 1

    def freeze() -> None:
        for number in range(freezes):
            if spread(number, freezes):
                site.freeze()

    site.start()
    threads = [threading.Thread(target=kill, daemon=True), threading.Thread(target=freeze, daemon=True)]
    for thread in threads:
        thread.start()
    try:
        accepted = site.clients(count, at_once)
        site.wait_for_hooks(count, 1200)
    finally:
        site.stop()
    for thread in threads:
        thread.join()
    check(site, accepted)
    return killed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, usual in (("clients", 20), ("jobs", 100), ("kills", 4), ("freezes", 1), ("enough", 1), ("workers", 2)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--lease", type=float, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        more = {"attempts": 1000, "queue": 3000, "per_key": 3000, "lease_seconds": asked.lease, "reserve": 0}
        settings = Settings(Path(folder) / "data", models={"fake": "fake"}, device="cpu", **more)
        site = Site(settings, asked.workers, looks=1, enough=asked.enough)
        began = time.monotonic()
        killed = storm(site, asked.jobs, asked.clients, asked.kills, asked.freezes)
        spent = f"{time.monotonic() - began:.0f} s, {processor_seconds():.0f} s of processor time"
    missing = [f"{kind} {point}" for kind, points in (("worker", WORKER_POINTS), ("server", SERVER_POINTS))
               for point in points if site.deaths[f"{kind} {point}"] < asked.enough]  # fmt: skip
    print(f"{asked.jobs} jobs of {asked.clients} clients: none lost, none doubled, all files whole; {spent}")
    print(f"deaths {dict(site.deaths)}, at random {killed}, stopped past a lease {site.frozen}, still alive {missing}")


def processor_seconds() -> float:
    """What this process, and all that were begun, have used (Linux)."""
    fork = multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    used = Path(f"/proc/{fork}/stat").read_text().rpartition(")")[2].split()
    return time.process_time() + sum(map(int, used[11:15])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
