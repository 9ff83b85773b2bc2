"""One live film in a process of its own, for a server that loads no model; `python -m` this module.

The first line of standard input says what to make, and each further one is a message of a viewer (see `live.server`).
What a viewer is sent goes to standard output: a letter (J for JSON, B for a piece of the film), four bytes of length,
and that many bytes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from phonofilm import strict_json
from phonofilm.app.live.lines import lines
from phonofilm.app.live.making import Making, StreamSpec, hello_of
from phonofilm.app.live.talk import talk
from phonofilm.app.live.viewers import Message, Viewers
from phonofilm.app.server.work.policy import Content, Policy, Refused, ask, load_policies
from phonofilm.errors import PhonofilmError
from phonofilm.streaming.registry import open_source


@dataclass(frozen=True)
class Asked:
    """What the first line says.

    Attributes:
        model: a name or a folder. longest: seconds of the film, at most.
        policies: as of `load_policies`.
    """

    prompt: str
    model: str
    device: str
    longest: float
    seed: int = 0
    size: list[int] | None = None
    sampling: dict[str, Any] = field(default_factory=dict)
    policies: list[str] | None = None


class Pipe:
    """Standard input and output as a line to a viewer."""

    def __init__(self, given: int, out: int) -> None:
        self._out = out
        self._came: asyncio.Queue[str | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._ended = threading.Event()
        threading.Thread(target=self._read, args=(given,), name="lines", daemon=True).start()

    def _read(self, given: int) -> None:
        for text in lines(given, self._ended):
            self._loop.call_soon_threadsafe(self._came.put_nowait, text)
        self._loop.call_soon_threadsafe(self._came.put_nowait, None)

    async def receive(self) -> str | None:
        """See `Line.receive`."""
        return await self._came.get()

    async def send(self, message: Message) -> bool:
        """See `Line.send`."""
        kind, content = (b"B", message) if isinstance(message, bytes) else (b"J", strict_json.dumps(message).encode())
        try:
            await asyncio.to_thread(self._write, kind + len(content).to_bytes(4, "big") + content)
        except OSError:
            return False
        return True

    def _write(self, content: bytes) -> None:
        left = memoryview(content)
        while left:
            left = left[os.write(self._out, left) :]


def against(policies: tuple[Policy, ...], prompt: str) -> str | None:
    """What the policies of a server say against a prompt."""
    try:
        ask(policies, Content("before", "stream", prompt))
    except Refused as error:
        return str(error)
    return None


async def film(given: int, out: int) -> None:
    """Make one film for whoever is at the other end, until they go."""
    pipe = Pipe(given, out)
    first = await pipe.receive()
    try:
        making, policies = await asyncio.to_thread(_begun, Asked(**strict_json.loads((first or "").encode())))
    except (PhonofilmError, ValueError, TypeError) as error:
        said = str(error) if isinstance(error, PhonofilmError) else "this is no film to be made"
        await pipe.send({"type": "end", "why": said})
        return
    viewers = Viewers(making.control, lambda: hello_of(making), alone=False)
    wrong: list[PhonofilmError] = []

    def make() -> None:
        try:
            making.go([viewers], viewers.told)
        except PhonofilmError as error:
            wrong.append(error)
            viewers.close()

    thread = threading.Thread(target=make, name="film", daemon=True)
    thread.start()
    await talk(pipe, making.control, viewers, lambda prompt: against(policies, prompt))
    making.control.stop()
    await asyncio.to_thread(thread.join)
    for fault in wrong:
        await pipe.send({"type": "note", "text": str(fault)})


def _begun(asked: Asked) -> tuple[Making, tuple[Policy, ...]]:
    policies = load_policies(asked.policies)
    ask(policies, Content("before", "stream", asked.prompt))
    size = None if asked.size is None else (asked.size[0], asked.size[1])
    source = open_source(asked.model, asked.device, size)
    until = Fraction(str(asked.longest))
    spec = StreamSpec(asked.prompt, asked.seed, until, paced=True, sampling=asked.sampling)
    return Making(spec, source, lambda line: print(line, file=sys.stderr, flush=True)), policies


if __name__ == "__main__":
    real = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints is no film
    asyncio.run(film(0, real))
