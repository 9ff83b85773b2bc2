"""Lines that are typed while a film is made: each is a new prompt, or a word of command."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from phonofilm.streaming.control import Control

WORDS = (":pause", ":go", ":stop")
"""Lines that are no prompts."""
LOOK = 0.1
MOST = 65_536
"""Bytes of one line."""


@contextmanager
def listening(handle: int | None, control: Control, tell: Callable[[str], None]) -> Iterator[None]:
    """Obey the lines of a stream until the block ends.

    Args:
        handle: of the stream; None, or one that cannot be read, is nobody who types.
    """
    ended = threading.Event()

    def work() -> None:
        for line in lines(handle, ended) if handle is not None else ():
            obey(line, control, tell)

    thread = threading.Thread(target=work, name="lines", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def obey(line: str, control: Control, tell: Callable[[str], None]) -> None:
    """Do what a line says; an empty one says nothing."""
    word = line.strip()
    if word == ":stop":
        control.stop()
    elif word in (":pause", ":go"):
        control.pause(word == ":pause")
        tell("paused; :go goes on" if control.paused else "goes on")
    elif word.startswith(":"):
        tell(f"{word.split()[0][:40]} is unknown; there are {' '.join(WORDS)}, and any other line is a prompt")
    elif word and control.say(word) is None:
        tell(f"from the next chunk on: {word}")


def lines(handle: int, ended: threading.Event) -> Iterator[str]:
    """Lines of a stream as they come; the end of the stream ends them, and so does the event."""
    rest = b""
    while not ended.is_set():
        try:
            ready, _, _ = select.select([handle], [], [], LOOK)
            content = os.read(handle, 4096) if ready else None
        except (OSError, ValueError):  # closed, or no stream that one can wait for
            return
        if content == b"":
            if rest:
                yield rest.decode("utf-8", "replace")
            return
        *whole, rest = (rest + (content or b"")).split(b"\n")
        rest = rest[-MOST:]
        yield from (line.decode("utf-8", "replace") for line in whole)
