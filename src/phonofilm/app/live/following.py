"""Sound for frames that still come, or a picture for sound: from a pipe or a growing file to a growing film."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from phonofilm import __version__
from phonofilm.errors import PhonofilmError, Unwritable
from phonofilm.media import provenance
from phonofilm.media.live.reading import GrowingFile, Raw, frames_of, sound_of
from phonofilm.media.metadata import digest_of
from phonofilm.media.resample import resize_frames
from phonofilm.provenance.layers import Layers, Marking
from phonofilm.streaming.control import Control
from phonofilm.streaming.film import GrowingFilm
from phonofilm.streaming.following import Following, follow
from phonofilm.streaming.outputs import FileOutput, Output, PipeOutput, check_stream_output
from phonofilm.streaming.prompts import LONGEST, check_prompt
from phonofilm.streaming.registry import open_follower
from phonofilm.streaming.source import LiveChunk
from phonofilm.types import Made

PIPE = "-"
UNSAID = "what is seen"
"""The prompt where none is given: the model goes by its input alone."""


@dataclass(frozen=True)
class FollowSpec:
    """What is followed, and what becomes of it.

    Attributes:
        takes: what is given. given: a growing file, or "-" for standard input. raw: frames without a container.
        file: where the film grows; None for standard output.
    """

    takes: Literal["frames", "sound"]
    given: Path
    file: Path | None
    prompt: str = ""
    seed: int = 0
    model: str = "nano"
    device: str = "auto"
    size: tuple[int, int] | None = None
    raw: Raw | None = None
    layers: Layers = field(default_factory=Layers)


def follow_input(
    spec: FollowSpec, warn: Callable[[str], None], began: float | None = None, control: Control | None = None
) -> dict[str, Any]:
    """Make what is missing as the rest comes, until the input ends or `control` stops it; returns the facts.

    Raises:
        PhonofilmError: input that cannot be read, a model that does not follow, or a file that cannot be written;
            what there is of the film is whole.
    """
    if len(spec.prompt) > LONGEST:
        check_prompt(spec.prompt)
    if spec.file is not None:
        check_stream_output(spec.file)
    control = control or Control(spec.prompt.strip() or UNSAID, tell=warn)
    follower = open_follower(spec.model, spec.takes, spec.device, spec.size)
    marking = Marking.of(spec.layers, warn)
    fmt, takes_frames = follower.format, spec.takes == "frames"
    metadata = provenance(
        prompt=spec.prompt,
        seed=spec.seed,
        **follower.model,
        composite=True,
        task="foley" if takes_frames else "animate",
        request=digest_of(spec.takes, spec.prompt, spec.seed, spec.size, follower.model),
        generator=f"phonofilm {__version__}",
    )
    output: Output = PipeOutput(sys.stdout.buffer) if spec.file is None else FileOutput(spec.file)
    kept = ("frames",) if takes_frames else fmt.stems
    film: GrowingFilm | None = None

    def deliver(frames: np.ndarray, chunk: LiveChunk) -> None:
        nonlocal film
        if film is None:
            film = GrowingFilm(fmt, output, metadata, marking.keys, kept, (frames.shape[2], frames.shape[1]))
        film.add(frames, chunk.stems, "")

    def resize(frames: np.ndarray) -> np.ndarray:
        return resize_frames(frames, (fmt.width, fmt.height))

    following, failed = Following(), None
    state = follower.begin(spec.prompt, spec.seed, {})
    with _source(spec.given) as source:
        given = (
            frames_of(source, fmt.fps, spec.raw) if takes_frames else sound_of(source, fmt.sample_rate, fmt.channels)
        )
        try:
            follow(follower, state, control, given, deliver, following, resize, began or time.perf_counter())
        except Unwritable:
            output.close()
            raise
        except PhonofilmError as error:
            failed = error
    if film is not None:
        _close(film, spec, marking, metadata, warn, hide=failed is not None)
    if failed is not None:
        raise failed
    if film is None:
        raise PhonofilmError("nothing came in, so nothing was made")
    known = {"seconds": round(float(film.seconds), 6), "frames": film.frames, "fps": str(fmt.fps)}
    return {**known, "sample_rate": fmt.sample_rate, **follower.model, "statistics": following.to_json()}


def _close(
    film: GrowingFilm,
    spec: FollowSpec,
    marking: Marking,
    metadata: dict[str, str],
    warn: Callable[[str], None],
    hide: bool,
) -> None:
    """Finish the film and sign it; where something else went wrong before, that is what is told."""
    with suppress(*([PhonofilmError] if hide else [])):
        try:
            film.finish()
        finally:
            film.output.close()
        if spec.file is not None:
            frames, samples = (0, film.frames), (0, film.marks.heard.done)
            made = Made(samples=samples, part=True) if spec.takes == "frames" else Made(frames=frames, part=True)
            given = () if str(spec.given) == PIPE else (spec.given,)
            marking.seal(metadata, made, given)(spec.file, spec.file)
            marking.remember(spec.file, metadata, made, warn)


def _source(given: Path) -> BinaryIO:
    """The input; standard input without a lock that a waiting thread would hold when the program ends."""
    if str(given) != PIPE:
        return GrowingFile(given)  # type: ignore[return-value]
    try:
        return os.fdopen(os.dup(sys.stdin.fileno()), "rb", 0)
    except (AttributeError, OSError, ValueError) as error:
        raise PhonofilmError("there is no standard input to read from; name a file that grows") from error
