"""Libraries that load networks say nothing to the thread that loads; what they tell other threads stays."""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SILENT: ContextVar[bool] = ContextVar("silent", default=False)


class _Mute(logging.Filter):
    """Drops what is logged while the thread is silent."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _SILENT.get()


class _Bars:
    """Progress bars of a library, which it can only show or not for all threads: off while any thread is silent."""

    def __init__(self) -> None:
        self.lock, self.silent, self.restore = threading.Lock(), 0, False

    def off(self, theirs: object) -> None:
        with self.lock:
            if not self.silent:
                self.restore = theirs.is_progress_bar_enabled()  # type: ignore[attr-defined]
                theirs.disable_progress_bar()  # type: ignore[attr-defined]
            self.silent += 1

    def on(self, theirs: object) -> None:
        with self.lock:
            self.silent -= 1
            if not self.silent and self.restore:
                theirs.enable_progress_bar()  # type: ignore[attr-defined]


_MUTE = _Mute()
_BARS = {"transformers": _Bars(), "diffusers": _Bars()}


@contextmanager
def quiet(*libraries: str) -> Iterator[None]:
    """No messages of these libraries ("transformers", "diffusers") to this thread, and none of their progress bars."""
    theirs = {name: importlib.import_module(f"{name}.utils.logging") for name in libraries}
    for name, module in theirs.items():
        module.get_verbosity()  # it sets its handlers up when it is first asked
        for handler in logging.getLogger(name).handlers:
            if _MUTE not in handler.filters:
                handler.addFilter(_MUTE)
        _BARS[name].off(module)
    before = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(before)
        for name, module in theirs.items():
            _BARS[name].on(module)
