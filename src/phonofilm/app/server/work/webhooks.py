"""Webhooks that are owed are sent, signed as standardwebhooks.com has it: at least once, with a stable id."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from pathlib import Path

from phonofilm.app.server.base.failpoints import failpoint
from phonofilm.app.server.base.logs import log, log_error
from phonofilm.app.server.store.deliveries import Deliveries
from phonofilm.app.server.store.records import Delivery
from phonofilm.app.server.work.outgoing import Outgoing
from phonofilm.errors import PhonofilmError
from phonofilm.files import write_bytes

PREFIX = "whsec_"
PAUSE = 0.5


def server_secret(folder: Path, name: str) -> bytes:
    """32 random bytes, made at first use and kept in a file that only its owner reads."""
    path = folder / f"{name}.secret"
    if not path.exists():
        write_bytes(path, base64.b64encode(secrets.token_bytes(32)))
        path.chmod(0o600)
    return base64.b64decode(path.read_bytes())


def shown(secret: bytes) -> str:
    """The secret as clients are given it."""
    return PREFIX + base64.b64encode(secret).decode()


def signature(secret: bytes, id: str, moment: int, body: bytes) -> str:
    """The value of the header webhook-signature."""
    digest = hmac.new(secret, f"{id}.{moment}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def deliver(delivery: Delivery, outgoing: Outgoing, secret: bytes, moment: int) -> bool:
    """Send one; returns whether it was taken, which a status of 2xx says."""
    body = delivery.payload.encode()
    headers = {"Content-Type": "application/json", "webhook-id": delivery.id, "webhook-timestamp": str(moment)}
    headers["webhook-signature"] = signature(secret, delivery.id, moment, body)
    try:
        return 200 <= outgoing.post(delivery.url, headers, body) < 300
    except PhonofilmError as error:
        log("webhook not sent", webhook=delivery.id, job=delivery.job, why=str(error))
        return False


class Messenger:
    """A thread that sends what is owed."""

    def __init__(self, deliveries: Deliveries, outgoing: Outgoing, secret: bytes) -> None:
        self.deliveries, self.outgoing, self.secret = deliveries, outgoing, secret
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(20)

    def _run(self) -> None:
        while not self._stop.wait(PAUSE):
            try:
                while not self._stop.is_set() and self.send_one():
                    pass
            except Exception:
                log_error("webhooks cannot be sent")

    def send_one(self) -> bool:
        """Send the next one; returns whether there was one."""
        delivery = self.deliveries.next() if self.deliveries.waiting() else None
        if delivery is None:
            return False
        if deliver(delivery, self.outgoing, self.secret, int(time.time())):
            failpoint("webhook")
            self.deliveries.taken(delivery)
            log("webhook taken", webhook=delivery.id, job=delivery.job, tries=delivery.tries)
        elif not self.deliveries.refused(delivery):
            log("webhook given up", webhook=delivery.id, job=delivery.job, tries=delivery.tries)
        return True
