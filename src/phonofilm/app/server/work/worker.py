"""The loop of a worker: claim a job, do it, put its files in their place, commit its end. `python -m` this module.

It may be killed at any moment: what it had begun is begun again by another one, and what it left is swept.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy.exc import OperationalError

from phonofilm.app.jobs.pool import BackendPool, Loading
from phonofilm.app.server.base.failpoints import failpoint
from phonofilm.app.server.base.files import INPUTS, RESULTS, Files
from phonofilm.app.server.base.logs import log, log_error, start_logs
from phonofilm.app.server.base.settings import VARIABLE, Settings
from phonofilm.app.server.store.claims import Claims
from phonofilm.app.server.store.database import Database, StoreAwayError
from phonofilm.app.server.store.ending import CANCELLED, Error
from phonofilm.app.server.store.records import Job
from phonofilm.app.server.work.making import Made, Maker
from phonofilm.app.server.work.policy import Refused, load_policies
from phonofilm.app.server.work.watch import Watch
from phonofilm.backends.base import JobContext
from phonofilm.errors import Cancelled, PhonofilmError

IDLE = 0.1
"""Seconds between two looks at an empty queue."""
AWAY = 1.0
"""Seconds before a store that was away is asked again."""
LIFE = 3.0
"""Seconds between two signs of life."""
STORE_ERRORS = (StoreAwayError, OperationalError)


def worker_name() -> str:
    """A name that no other worker has or had."""
    return f"{socket.gethostname()[:30]}-{os.getpid()}-{secrets.token_hex(4)}"


class Worker:
    """One worker, with its models.

    Args:
        parent: the process that started it; a worker whose parent is gone leaves too.
    """

    def __init__(self, settings: Settings, name: str = "", parent: int | None = None) -> None:
        self.settings, self.parent = settings, parent
        self.name = name or worker_name()
        self.files = Files(settings.files_url)
        self.claims = Claims(
            Database(settings.database_url),
            self.name,
            settings.lease_seconds,
            settings.attempts,
            settings.keep_seconds,
        )
        pool = BackendPool()
        policies = load_policies(settings.policy)
        self.maker = Maker(settings.models, settings.device, pool, policies, settings.loras, settings.adapters)
        self._asked_at: float | None = None
        self._gone = threading.Event()

    def stop(self) -> None:
        """Finish the job in hand, if that takes no longer than it may, and leave. A second time: leave it."""
        late = self._asked_at is not None
        self._asked_at = -1e9 if late else time.monotonic()

    def _stopping(self) -> bool:
        return self._asked_at is not None and time.monotonic() - self._asked_at > self.settings.drain_seconds

    def run(self) -> None:
        """Do jobs until told to stop."""
        life = threading.Thread(target=self._live, name="life", daemon=True)
        life.start()
        log("worker ready", worker=self.name)
        while self._asked_at is None:
            try:
                if not self.step():
                    time.sleep(IDLE)
            except STORE_ERRORS:  # a job that was in hand has a lease, which ends
                log_error("the store is away", worker=self.name)
                time.sleep(AWAY)
        self._gone.set()
        life.join()
        with suppress(*STORE_ERRORS):
            self.claims.leave()
        log("worker left", worker=self.name)

    def step(self) -> bool:
        """Do the next job; returns whether there was one.

        Raises:
            StoreAwayError, OperationalError: the store does not answer.
        """
        job = self.claims.claim() if self.claims.waiting() else None
        if job is not None:
            self.do(job)
        return job is not None

    def load(self) -> None:
        """Read the usual model, so that the first film does not wait for it."""
        model = next(iter(self.settings.models.values()))
        try:
            with self.maker.pool.use(Loading(model, self.settings.device), JobContext()):
                pass
        except PhonofilmError as error:  # each job will say so
            log("the usual model cannot be loaded", model=model, why=str(error))

    def _live(self) -> None:
        while True:
            try:
                self.claims.live()
            except Exception:
                log_error("the store could not be told", worker=self.name)
            if self._gone.wait(LIFE):
                return
            if self.parent is not None and os.getppid() != self.parent:
                log("worker leaves: who started it is gone", worker=self.name)
                os.kill(os.getpid(), signal.SIGKILL)

    def do(self, job: Job) -> None:
        """One job, to whatever end."""
        folder = self.settings.scratch / self.name / f"{job.id}-{job.attempt}"
        log("job begun", job=job.id, attempt=job.attempt, worker=self.name, task=job.task)
        began = time.monotonic()
        try:
            folder.mkdir(parents=True)
            end = self._try(job, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        log("job ended", job=job.id, attempt=job.attempt, end=end, seconds=round(time.monotonic() - began, 3))

    def _try(self, job: Job, folder: Path) -> str:
        with Watch(self.claims, job, self._stopping) as watch:
            context = JobContext(watch.progress, watch.cancel)
            try:
                made = self.maker.make(job, self._inputs(job, folder), folder, context)
                failpoint("write")
                result = self._publish(job, made, context)
            except Cancelled:
                if self._stopping() and self._tell(lambda: self.claims.give_back(job)):
                    return "given back"
                self._tell(lambda: self.claims.fail(job, CANCELLED))
                return "cancelled"
            except STORE_ERRORS:
                raise
            except Exception as error:
                said = _said(error, job, (self.settings.scratch, Path(self.settings.files_url)))
                self._tell(lambda: self.claims.fail(job, said))
                return said[0]
            # the lease is kept for as long as it takes to tell the store
            if self._tell(lambda: self.claims.complete(job, result, made.seconds, context.notices)):
                return "completed"
        # cancelled, erased, or taken over by another worker while the last file was written
        self.files.remove(RESULTS, job.id, str(job.attempt))
        self._tell(lambda: self.claims.fail(job, CANCELLED))
        return "lost"

    def _tell(self, tell: Callable[[], bool]) -> bool:
        """Tell the store, and again as long as it is away and nothing was changed; returns what it answers."""
        while True:
            try:
                return tell()
            except StoreAwayError:
                if self._stopping():
                    raise
                log_error("the store is away", worker=self.name)
                time.sleep(AWAY)

    def _inputs(self, job: Job, folder: Path) -> dict[str, Path]:
        return {
            role: self.files.local(folder, INPUTS, job.id, name) for role, name in job.spec.get("inputs", {}).items()
        }

    def _publish(self, job: Job, made: Made, context: JobContext) -> dict[str, Any]:
        """Put all files in their place; nobody sees them before the commit."""
        listed: dict[str, Any] = {}
        for variant, path in made.files.items():
            context("previews", 3, 3)
            digest = _sha256(path)
            size = self.files.put(path, RESULTS, job.id, str(job.attempt), path.name)
            failpoint("upload")
            listed[variant] = {"name": path.name, "bytes": size, "sha256": digest}
        return {"attempt": job.attempt, "files": listed, "facts": dict(made.facts)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _said(error: Exception, job: Job, places: tuple[Path, ...]) -> Error:
    """What the client is told: nothing of this machine's folders."""
    if isinstance(error, Refused):
        return "content_policy_violation", str(error)
    if isinstance(error, PhonofilmError):
        said = str(error)
        for place in places:
            said = said.replace(f"{place.absolute()}/", "").replace(f"{place}/", "")
        for part in (f"{INPUTS}/{job.id}/", f"{job.id}-{job.attempt}/"):
            said = said.replace(part, "")
        return "not_possible", said
    log_error("job failed by a fault of the server", job=job.id, attempt=job.attempt)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out_of_memory", "there is not enough memory; ask for a shorter or smaller clip"
    return "server_error", "the server failed at this job by a fault of its own; its log says more"


def main(arguments: list[str], environment: Mapping[str, str] = os.environ) -> int:
    """Run a worker whose settings stand in the environment, so that no list of processes shows them."""
    start_logs()
    try:
        settings = Settings.from_json(environment.get(VARIABLE, ""))
        worker = Worker(settings, arguments[0] if arguments else "", int(arguments[1]) if arguments[1:] else None)
    except PhonofilmError as error:
        log_error("worker cannot begin", why=str(error))
        return 1

    def leave(number: int, frame: FrameType | None) -> None:
        worker.stop()

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's; it tells us
    worker.load()
    worker.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
