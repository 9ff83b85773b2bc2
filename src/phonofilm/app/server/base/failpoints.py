"""Places at which a process can be told to die, so that tests can see what is left; in use they do nothing."""

from __future__ import annotations

import os
import signal

VARIABLE = "PHONOFILM_FAILPOINT"
"""NAME:N kills the process when it passes the place for the Nth time."""
_passed: dict[str, int] = {}


def failpoint(name: str) -> None:
    """Die here, as by a power cut of this process, if a test said so."""
    wanted, _, count = os.environ.get(VARIABLE, "").partition(":")
    if wanted != name:
        return
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] >= int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
