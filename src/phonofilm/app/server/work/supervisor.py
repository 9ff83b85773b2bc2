"""The workers that a server starts on its own machine: begun again when they die, drained when the server stops."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

from phonofilm.app.server.base.logs import log, log_error
from phonofilm.app.server.base.settings import VARIABLE, Settings
from phonofilm.app.server.store.claims import release
from phonofilm.app.server.store.database import Database

WORKER = "phonofilm.app.server.work.worker"
LONGEST_PAUSE = 30.0


class Supervisor:
    """Keeps worker processes running.

    Args:
        count: how many. A worker whose server died without telling it notices, and leaves.
    """

    def __init__(self, settings: Settings, database: Database, count: int = 1) -> None:
        self.settings, self.database = settings, database
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep, args=(number,), name=f"worker {number}", daemon=True)
            for number in range(count)
        ]
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def _keep(self, number: int) -> None:
        pause, begun = 0.2, 0
        while not self._stop.is_set():
            name = f"local-{os.getpid()}-{number}-{begun}-{int(time.time())}"
            environment = os.environ | {VARIABLE: self.settings.to_json()}
            command = [sys.executable, "-m", WORKER, name, str(os.getpid())]
            started = time.monotonic()
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
            self.processes[number] = process
            code = process.wait()
            begun += 1
            if self._stop.is_set():
                return
            self._release(name)
            pause = 0.2 if time.monotonic() - started > 10 else min(2 * pause, LONGEST_PAUSE)
            log("worker died and is begun again", worker=name, code=code, pause=pause)
            self._stop.wait(pause)

    def _release(self, name: str) -> None:
        """Free the job of a dead worker at once; where the store is away, its lease ends by itself."""
        try:
            release(self.database, name)
        except Exception:
            log_error("the store could not be told", worker=name)

    def stop(self) -> None:
        """Let the workers finish what they have in hand, for as long as the settings allow."""
        self._stop.set()
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        until = time.monotonic() + self.settings.drain_seconds + 15
        for process in self.processes.values():
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
