"""How each field of a job is read from JSON: from plain values, or from the text that the command line takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from phonofilm.backends.requests import Fault, frame_rate
from phonofilm.errors import PhonofilmError
from phonofilm.types import parts


class Invalid(PhonofilmError):
    """A value that a field cannot have."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(path, message)


def text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise Invalid(path, f"{_said(value)} is not text")
    return value


def flag(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise Invalid(path, f"{_said(value)} is neither true nor false")
    return value


def integer(value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid(path, f"{_said(value)} is not a whole number")
    return value


def number(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Invalid(path, f"{_said(value)} is not a number")
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def rate(value: Any, path: str) -> Fraction:
    """12, 23.976 or "30000/1001"."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Fraction)):
        raise Invalid(path, f"{_said(value)} is not a frame rate; write 12, 23.976 or 30000/1001")
    try:
        return frame_rate(value)
    except PhonofilmError as error:
        raise Invalid(path, str(error)) from error


def size(value: Any, path: str) -> tuple[int, int]:
    """[320, 180], "320x180", or one side of a square as 64 or "64"."""
    sides = value.lower().replace("×", "x").split("x") if isinstance(value, str) else value
    sides = sides if isinstance(sides, (list, tuple)) else [sides]
    try:
        numbers = [int(side) if isinstance(side, str) else integer(side, path) for side in sides]
    except (ValueError, Invalid):
        numbers = []
    if len(numbers) not in (1, 2):
        raise Invalid(path, f"a size of {_said(value)} is not possible; write WxH as in 320x180, or one side as in 64")
    return numbers[0], numbers[-1]


def scales(value: Any, path: str) -> tuple[float, float]:
    """(video, audio) from [3, 7], "3,7", or one number for both."""
    parts = value.split(",") if isinstance(value, str) else value
    parts = parts if isinstance(parts, (list, tuple)) else [parts]
    try:
        numbers = [float(part) if isinstance(part, str) else number(part, path) for part in parts]
    except (ValueError, Invalid):
        numbers = []
    if len(numbers) not in (1, 2):
        said = f"a guidance of {_said(value)} is not possible; write one number, or video,audio as in 3,7"
        raise Invalid(path, said)
    return numbers[0], numbers[-1]


def span(value: Any, path: str) -> tuple[float, float]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise Invalid(path, f"{_said(value)} is not a pair of times; write [from, to] in seconds")
    return number(value[0], f"{path}[0]"), number(value[1], f"{path}[1]")


def texts(value: Any, path: str) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)):
        raise Invalid(path, f"{_said(value)} is not a list of texts")
    return tuple(text(item, f"{path}[{place}]") for place, item in enumerate(values))


def names(value: Any, path: str) -> tuple[str, ...]:
    """Parts of a film in their own order, from ["effects", "music"] or "effects,music"."""
    listed = ",".join(texts(value, path)).split(",")
    found: tuple[str, ...] = parts([name.strip() for name in listed if name.strip()])
    return found


def levels(value: Any, path: str) -> dict[str, float]:
    """A level in dB for each name, from {"speech": -3}, "speech=-3,music=2" or a list of such texts."""
    found = {}
    listed = value if isinstance(value, Mapping) else ",".join(texts(value, path)).split(",")
    for name, level in _pairs(listed, path, "speech=-3").items():
        try:
            found[name] = float(level) if isinstance(level, str) else number(level, f"{path}[{name}]")
        except ValueError as error:
            raise Invalid(f"{path}[{name}]", f"{_said(level)} is not a level in dB; write {name}=-3") from error
    return found


def files(value: Any, path: str) -> dict[str, str]:
    """A file for each name, from {"speech": "words.wav"}, "speech=words.wav" or a list of such texts."""
    pairs = _pairs(value, path, "speech=words.wav")
    return {name: text(file, f"{path}[{name}]") for name, file in pairs.items()}


def moments(value: Any, path: str) -> str:
    """ "0.5,1.25@0.8" or a file, or a list of numbers and such texts."""
    listed = value if isinstance(value, (list, tuple)) else [value]
    return ",".join(text(item, path) if isinstance(item, str) else f"{number(item, path):.17g}" for item in listed)


def switch(value: Any, path: str) -> bool:
    """true, false, "on" or "off"."""
    known = {"on": True, "off": False}
    if isinstance(value, str) and value in known:
        return known[value]
    if not isinstance(value, bool):
        raise Invalid(path, f"{_said(value)} is neither on nor off")
    return value


def _pairs(value: Any, path: str, example: str) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {text(name, path): item for name, item in value.items()}
    found: dict[str, Any] = {}
    for item in texts(value, path):
        name, equals, rest = (part.strip() for part in item.partition("="))
        if not (name and equals and rest):
            raise Invalid(path, f"{_said(item)} is not possible; write {example}")
        if name in found:
            raise Invalid(path, f"{name} is there twice; say it once")
        found[name] = rest
    return found


def plain(value: Any) -> Any:
    """A field's value as JSON has it."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Fraction) else value


def _said(value: Any) -> str:
    """A value as an error shows it."""
    if isinstance(value, str):
        return repr(value[:100])
    try:
        return json.dumps(value, default=str)[:100]
    except (ValueError, RecursionError):
        return type(value).__name__


READERS: dict[str, Callable[[Any, str], Any]] = {
    "prompt": text,
    "task": text,
    "seconds": number,
    "size": size,
    "fps": rate,
    "seed": integer,
    "video_seed": integer,
    "audio_seed": integer,
    "steps": integer,
    "guidance": scales,
    "modality_guidance": scales,
    "stg": scales,
    "negative": text,
    "image": text,
    "source": text,
    "span": span,
    "only": names,
    "no": names,
    "effects": text,
    "music": text,
    "given_stems": files,
    "gain": levels,
    "mix_as": text,
    "draft": flag,
    "hits": moments,
    "follow": text,
    "sync": switch,
    "control_scale": number,
    "stems": text,
    "stem_tracks": flag,
    "say": texts,
    "voices": texts,
    "subtitles": flag,
    "sign": flag,
    "watermark": flag,
    "log": flag,
    "label": flag,
    "notice": flag,
    "publish_prompt": flag,
    "c2pa_cert": text,
    "c2pa_key": text,
    "sampler": text,
    "model": text,
    "device": text,
    "offload": text,
    "network": text,
    "adapters": texts,
    "loras": texts,
    "components": text,
    "upsample": flag,
    "quantize": text,
}
"""How each field of a `RequestSpec` is read."""
