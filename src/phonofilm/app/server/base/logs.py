"""Logs as one JSON object a line, on standard error, with the id of the job that a line is about."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

LOGGER = logging.getLogger("phonofilm.server")


class JsonFormatter(logging.Formatter):
    """Time, level and event, and whatever was said with `extra={"facts": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {"time": f"{moment}.{int(record.msecs):03d}Z", "level": record.levelname.lower()}
        line |= {"event": record.getMessage(), **getattr(record, "facts", {})}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def start_logs() -> None:
    """Send this process's lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False


def log(event: str, **facts: Any) -> None:
    """Say that something happened."""
    LOGGER.info(event, extra={"facts": facts})


def log_error(event: str, **facts: Any) -> None:
    """Say that something went wrong, with the trace of the exception that is being handled."""
    LOGGER.error(event, extra={"facts": facts}, exc_info=sys.exc_info()[0] is not None)
