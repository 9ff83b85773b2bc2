"""A viewer and a film in the making: pieces and messages one way, prompts and wishes the other, over any line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from phonofilm import strict_json
from phonofilm.app.live.viewers import Message, Viewer, Viewers
from phonofilm.streaming.control import Control

LARGEST = 16_384
"""Bytes of a message from a viewer."""
May = Callable[[str], str | None]
"""Whether a prompt may be made: None, or one sentence against it."""


class Line(Protocol):
    """What a viewer is reached by."""

    async def send(self, message: Message) -> bool:
        """Send a piece of the film, or a JSON object; returns whether anybody is there."""

    async def receive(self) -> str | None:
        """The next message, or None when nobody is there any more."""


async def talk(line: Line, control: Control, viewers: Viewers, may: May = lambda prompt: None) -> None:
    """Let somebody watch until the film ends or they go."""
    viewer = viewers.join(asyncio.get_running_loop())
    tasks = [asyncio.create_task(_send(line, viewer)), asyncio.create_task(_obey(line, viewer, control, viewers, may))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        viewers.leave(viewer)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _send(line: Line, viewer: Viewer) -> None:
    while True:
        message = await viewer.get()
        if not await line.send(message):
            return
        if isinstance(message, bytes):
            viewer.passed()
        elif message.get("type") == "end":
            return


async def _obey(line: Line, viewer: Viewer, control: Control, viewers: Viewers, may: May) -> None:
    while (text := await line.receive()) is not None:
        if (refusal := obey(text, viewer, control, viewers, may)) is not None:
            viewer.put({"type": "note", "text": refusal})


def obey(text: str, viewer: Viewer, control: Control, viewers: Viewers, may: May = lambda prompt: None) -> str | None:
    """Do what a message says; returns why not, in one line, where it is not possible."""
    try:
        message = strict_json.loads(text.encode())
    except ValueError:
        return "a message is one JSON object"
    kind = message.get("type") if isinstance(message, dict) else None
    if kind == "prompt" and isinstance(message.get("text"), str):
        if (against := may(message["text"])) is not None:
            return f"{against}; the film goes on as before"
        if (refusal := control.say(message["text"])) is not None:
            return refusal
    elif kind == "pause" and isinstance(message.get("paused"), bool):
        control.pause(message["paused"])
    elif kind == "stop":
        control.stop()
        return None
    elif kind == "took" and isinstance(message.get("count"), int) and not isinstance(message["count"], bool):
        viewer.took(message["count"])
        return None
    else:
        return 'unknown message; there are prompt (text), pause (paused), stop and took (count), each with its "type"'
    viewers.tell({"type": "state", "prompt": control.prompt, "paused": control.paused})
    return None
