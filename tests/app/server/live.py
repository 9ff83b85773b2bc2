"""`phonofilm serve` as people run it, in processes of its own, with the fake model."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


class Live:
    """A server that runs."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder.with_suffix(".log")
        command = [sys.executable, "-m", "phonofilm.app.cli.main", "serve", "--data", str(folder), "--port", str(port)]
        command += ["--model", "fake", "--device", "cpu", "--reserve-mb", "0", "--drain", "20", *options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"})
        until = time.monotonic() + 600
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > until:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"the server is not ready: {self.log.read_text()}")
            time.sleep(0.1)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=20) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> int:
        """Stop it politely; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(100)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
