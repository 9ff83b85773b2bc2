"""The state of a film in a file, from which it goes on to the bit after any interruption."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm.checkpoint import load_tensors, read_metadata, save_tensors
from phonofilm.config import parse_json
from phonofilm.errors import PhonofilmError
from phonofilm.media.live.fragments import Resumption
from phonofilm.streaming.marks import Heard
from phonofilm.streaming.source import LiveSource

KIND = "live state"


@dataclass(frozen=True, eq=False)
class Saved:
    """All that is needed to go on.

    Attributes:
        state: of the source. prompt: the last one. seed: with which the film began. frames: that it has.
        written: how far the file was encoded. heard: how far the sound was marked.
    """

    state: Any
    prompt: str
    seed: int
    frames: int
    written: Resumption
    heard: Heard


def save_state(path: str | Path, source: LiveSource[Any], saved: Saved) -> None:
    """Write a state atomically.

    Raises:
        PhonofilmError: the file cannot be written; an older one is as it was.
    """
    import torch

    tensors, facts = source.state_tensors(saved.state)
    arrays = {f"source.{name}": array for name, array in tensors.items()}
    arrays |= {f"heard.{name}": sound for name, sound in saved.heard.stems.items()}
    arrays["written.recent"] = saved.written.recent
    counts = {name: getattr(saved.written, name) for name in ("frames", "samples", "sound_frames", "pieces")}
    told: dict[str, Any] = {
        "model": dict(source.model),
        "format": source.format.to_json(),
        "source": facts,
        "written": counts,
    }
    told |= {"prompt": saved.prompt, "seed": saved.seed, "frames": saved.frames, "marked": saved.heard.done}
    told["context"] = saved.heard.past
    held = {name: torch.from_numpy(np.array(array, order="C")) for name, array in arrays.items()}
    save_tensors(path, held, {"kind": KIND, "facts": json.dumps(told)})


def check_state(path: str | Path) -> None:
    """Refuse a file that is no state, whichever model it is of; quick, and before a model is loaded.

    Raises:
        PhonofilmError: no such file, or one of another kind.
    """
    if not Path(path).exists():
        raise PhonofilmError(f"the state {path} is not there; begin a film with --state, or check the path")
    try:
        kind = read_metadata(path).get("kind")
    except PhonofilmError as error:
        raise PhonofilmError(
            f"{path} is no state of a live film, or a damaged one; name the file that --state wrote"
        ) from error
    if kind != KIND:
        raise PhonofilmError(f"{path} is no state of a live film; name the file that --state wrote")


def load_state(path: str | Path, source: LiveSource[Any]) -> Saved:
    """Read a state for a source.

    Raises:
        PhonofilmError: no such file, or a state of another model or another format, in one line.
    """
    check_state(path)
    tensors, metadata = load_tensors(path)
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    try:
        told = parse_json(metadata["facts"])
        _check(path, told, source)
        state = source.state_from(_of(arrays, "source."), told["source"])
        heard = Heard(told["marked"], told["context"], _of(arrays, "heard."))
        written = Resumption(**told["written"], recent=arrays["written.recent"])
        return Saved(state, told["prompt"], told["seed"], told["frames"], written, heard)
    except (KeyError, TypeError, ValueError) as error:
        raise PhonofilmError(f"the state {path} is incomplete ({error}); begin a new film") from error


def _check(path: str | Path, told: Mapping[str, Any], source: LiveSource[Any]) -> None:
    model, own = told["model"], dict(source.model)
    if model != own:
        said = " ".join(f"{name} {model.get(name, 'unknown')[:16]}" for name in own)
        raise PhonofilmError(f"{path} is the state of another model ({said}); go on with that one, or begin a new film")
    format = source.format.to_json()
    if different := [name for name in format if told["format"].get(name) != format[name]]:
        name = different[0]
        raise PhonofilmError(
            f"{path} is the state of a film whose {name} is {told['format'].get(name)}, and not {format[name]}; "
            "ask for the same, or begin a new film"
        )


def _of(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
