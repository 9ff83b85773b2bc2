"""Captions: picture, sound and speech described apart, and one prompt of all three with quoted speech.

A captioner describes picture and sound. The one that is built in says only what the other steps have measured; a model
behind an OpenAI-compatible endpoint, or one from the hub, says what it sees. What is said is always quoted from the
transcript, never from a captioner.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from PIL import Image

from phonofilm.data.curate.common.material import Material
from phonofilm.data.curate.common.step import Step, Value
from phonofilm.errors import PhonofilmError

SETTING = "captioner"
EMBEDDED = "embedded"
LOOKS = 4
ASKED = (
    "These pictures are frames of one shot of a film, in order. Describe in one or two plain sentences what is seen: "
    "who and what, what happens, and how the camera moves. Do not guess what is heard."
)
TIMEOUT = 120.0

DARK, BRIGHT = 0.2, 0.65
STILL, LIVELY = 0.004, 0.03
PANS = 0.06
"""Shares of the picture's side a second from which on the camera is said to move."""

CLOSE, MEDIUM = 0.4, 0.18
"""Share of the picture's height that a face takes in a close-up and in a medium shot."""

SURE = 0.6
"""YAMNet's score from which on a sound is named."""

NAMES: Mapping[str, str] = {
    "music": "music", "singing": "singing", "laughter": "laughter", "crying": "crying", "applause": "applause",
    "footsteps": "footsteps", "dog": "a dog", "cat": "a cat", "bird": "birds", "horse": "a horse", "roar": "a roar",
    "rain": "rain", "thunder": "thunder", "wind": "wind", "water": "water", "fire": "fire", "vehicle": "a vehicle",
    "train": "a train", "aircraft": "an aircraft", "siren": "a siren", "horn": "a horn", "bell": "a bell",
    "knock": "a knock", "glass": "glass", "mallet": "a mallet instrument", "explosion": "an explosion",
    "gunshot": "a gunshot", "engine": "an engine", "tool": "a tool", "speech": "a voice",
}  # fmt: skip


@dataclass(frozen=True)
class Description:
    """What is seen and what is heard, each in sentences; empty where nothing is known."""

    picture: str
    sound: str


class Captioner(Protocol):
    """Describes a shot, of which other steps have measured some things."""

    def __call__(self, material: Material, known: Mapping[str, Value]) -> Description: ...


class EmbeddedCaptioner:
    """Says what was measured, and nothing else."""

    def __call__(self, material: Material, known: Mapping[str, Value]) -> Description:
        return Description(seen(known.get("content", {}), known.get("faces", {})), heard(known.get("events", {})))


def seen(content: Value, faces: Value) -> str:
    """A sentence about light, colour, faces, motion and camera."""
    if not content:
        return ""
    light = "A dark" if content["light"] < DARK else "A bright" if content["light"] > BRIGHT else "A"
    height = faces.get("height") if faces.get("share", 0.0) >= 0.5 else None
    kind = (
        "shot"
        if height is None
        else "close-up"
        if height > CLOSE
        else "medium shot"
        if height > MEDIUM
        else "wide shot"
    )
    parts = [f"{light} {kind}" + (" of a face" if height is not None else "")]
    if content["colours"]:
        parts.append(f"with much {_listed(content['colours'][:2])}")
    moves = content["moves"]
    motion = ["nothing moves" if moves < STILL else "much moves" if moves > LIVELY else ""]
    camera = camera_of(content)
    said = [part for part in (*motion, camera) if part]
    return " ".join(parts) + (f"; {_listed(said)}." if said else ".")


def camera_of(content: Value) -> str:
    """What the camera does, where it does something."""
    pan, tilt = content["pan"], content["tilt"]
    if max(abs(pan), abs(tilt)) < PANS:
        return ""
    if abs(pan) >= abs(tilt):
        return f"the camera moves to the {'right' if pan > 0 else 'left'}"
    return f"the camera moves {'down' if tilt > 0 else 'up'}"


def heard(events: Value) -> str:
    """A sentence about the sounds that are surely heard, in order of time, each once; speech is quoted elsewhere."""
    names: list[str] = []
    for event in events.get("events", ()):
        name = NAMES.get(event["name"])
        if name and event["score"] >= SURE and event["name"] != "speech" and name not in names:
            names.append(name)
    return f"The sound of {_listed(names)}." if names else ""


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


class EndpointCaptioner:
    """A model behind an OpenAI-compatible endpoint (`URL#MODEL`), which is shown pictures; the key, if one is needed,
    is read from the environment variable OPENAI_API_KEY and kept nowhere."""

    def __init__(self, address: str) -> None:
        self.url, _, self.model = address.partition("#")

    def __call__(self, material: Material, known: Mapping[str, Value]) -> Description:
        pictures = [{"type": "image_url", "image_url": {"url": _inline(frame)}} for frame in stills(material)]
        content = [{"type": "text", "text": ASKED}, *pictures]
        body = {"model": self.model or "default", "messages": [{"role": "user", "content": content}], "temperature": 0}
        request = urllib.request.Request(
            self.url.rstrip("/") + "/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        if key := os.environ.get("OPENAI_API_KEY"):
            request.add_header("Authorization", f"Bearer {key}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                said = json.load(answer)["choices"][0]["message"]["content"]
        except (urllib.error.URLError, OSError, ValueError, LookupError, TypeError) as error:
            raise PhonofilmError(f"the captioner at {self.url} gave no caption: {error}") from error
        return Description(" ".join(str(said).split()), heard(known.get("events", {})))


class HubCaptioner:
    """A vision-language model of the hub, or of a folder, by transformers' "image-text-to-text"."""

    def __init__(self, name: str) -> None:
        try:
            self._pipe: Any = importlib.import_module("transformers").pipeline("image-text-to-text", model=name)
        except (OSError, ValueError, ImportError) as error:
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise PhonofilmError(f"captioner {name} cannot be loaded: {said}") from error

    def __call__(self, material: Material, known: Mapping[str, Value]) -> Description:
        pictures = [{"type": "image", "image": Image.fromarray(frame)} for frame in stills(material)]
        messages = [{"role": "user", "content": [*pictures, {"type": "text", "text": ASKED}]}]
        said = self._pipe(text=messages, max_new_tokens=120, do_sample=False, return_full_text=False)
        return Description(" ".join(str(said[0]["generated_text"]).split()), heard(known.get("events", {})))


def stills(material: Material) -> np.ndarray:
    """uint8 [4, h, w, 3], spread over a shot."""
    return material.frames[np.linspace(0, len(material.frames) - 1, LOOKS).round().astype(int)]


def _inline(frame: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def check_captioner(name: str) -> str:
    """The name, once it is known to be one of a captioner; nothing is loaded.

    Raises:
        PhonofilmError: it is none.
    """
    if name != EMBEDDED and not name.startswith(("hub:", "http://", "https://")):
        raise PhonofilmError(f"no captioner {name!r}; use embedded, hub:MODEL or https://HOST/v1#MODEL")
    return name


@cache
def captioner_of(name: str) -> Captioner:
    """A captioner by its name: "embedded", "hub:MODEL", or the address of an endpoint, as https://host/v1#MODEL.

    Raises:
        PhonofilmError: it is none of these.
    """
    if check_captioner(name) == EMBEDDED:
        return EmbeddedCaptioner()
    return HubCaptioner(name.removeprefix("hub:")) if name.startswith("hub:") else EndpointCaptioner(name)


def merged(picture: str, sound: str, text: str) -> dict[str, str]:
    """The caption as prose with quoted speech, which our models and LTX-2 read, and as Ovi reads it."""
    said = f'A voice says, "{text}"' if text else ""
    tagged = (picture, f"<S>{text}<E>" if text else "", f"Audio: {sound}" if sound else "")
    return {
        "picture": picture, "sound": sound, "speech": text,
        "prompt": " ".join(part for part in (picture, sound, said) if part),
        "ovi": " ".join(part for part in tagged if part),
    }  # fmt: skip


def _caption(material: Material, known: Mapping[str, Value]) -> Value:
    described = captioner_of(material.settings.get(SETTING, EMBEDDED))(material, known)
    return merged(described.picture, described.sound, known.get("speech", {}).get("text", ""))


CAPTION = Step(
    "caption", 2, _caption, needs=("content",), takes=("faces", "events", "speech"), settings=(SETTING,), costly=True
)
