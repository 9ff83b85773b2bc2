"""One film in the making, from its first chunk to its signature; no terminal is needed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from phonofilm import __version__
from phonofilm.errors import PhonofilmError, Unwritable
from phonofilm.files import check_file
from phonofilm.media import provenance
from phonofilm.media.live.fragments import FragmentWriter
from phonofilm.media.metadata import digest_of
from phonofilm.provenance.layers import Layers, Marking
from phonofilm.streaming.control import Control
from phonofilm.streaming.film import GrowingFilm, Keeper
from phonofilm.streaming.loop import MadeChunk, run
from phonofilm.streaming.outputs import FileOutput, Output, Tee
from phonofilm.streaming.prompts import Cue
from phonofilm.streaming.saved import Saved, check_state, load_state
from phonofilm.streaming.source import LiveSource
from phonofilm.streaming.statistics import Statistics
from phonofilm.types import Made

Told = Callable[[MadeChunk], None]
MAX_SECONDS = 30 * 24 * 3600
"""As long as a film may be whose length is said."""


@dataclass(frozen=True)
class StreamSpec:
    """A film to be made.

    Attributes:
        prompt: at first; with `resume` None is the last one of the film.
        until: seconds, or None for one that ends when it is stopped. script: prompts and their times.
        file: where it grows; None where it is only watched. paced: it is made as fast as it is played.
        state: a file for its state, saved every so many chunks. resume: go on from that state.
        sampling: what the source is told when it begins, see `LiveSource.begin`.

    Raises:
        PhonofilmError: a state that could not be written, or is none to go on from.
    """

    prompt: str | None
    seed: int = 0
    until: Fraction | None = None
    script: tuple[Cue, ...] = ()
    file: Path | None = None
    paced: bool = False
    state: Path | None = None
    every: int = 10
    resume: bool = False
    layers: Layers = field(default_factory=Layers)
    sampling: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.state is not None:
            check_file(self.state)
            if self.resume:
                check_state(self.state)


@dataclass
class Making:
    """What is known of it while it runs.

    Attributes:
        control: for whoever changes it. told: called with each chunk, once it is written.
    """

    spec: StreamSpec
    source: LiveSource[Any]
    warn: Callable[[str], None]
    began: float = field(default_factory=time.perf_counter)
    statistics: Statistics = field(default_factory=Statistics)

    def __post_init__(self) -> None:
        spec = self.spec
        self.marking = Marking.of(spec.layers, self.warn)
        self.saved: Saved | None = None
        if spec.resume and spec.state is not None:
            self.saved = load_state(spec.state, self.source)
        prompt = spec.prompt if spec.prompt is not None or self.saved is None else self.saved.prompt
        self.control = Control(prompt or "", spec.script, self.warn)
        self.seed = spec.seed if self.saved is None else self.saved.seed
        first = (self.control.prompt, self.seed, spec.sampling)
        self.begun = self.source.begin(*first) if self.saved is None else self.saved.state
        said: dict[str, Any] = {"prompt": self.control.prompt, "seed": self.seed, **self.source.model}
        told = (said, spec.script, spec.sampling, spec.until)
        said["request"] = digest_of(*told)
        self.metadata = provenance(**said, task="stream", generator=f"phonofilm {__version__}")

    def go(
        self, outputs: Sequence[Output] = (), told: Callable[[MadeChunk], None] = lambda made: None
    ) -> dict[str, Any]:
        """Make the film and close it; returns facts about it.

        Args:
            outputs: where its bytes go besides the file.

        Raises:
            PhonofilmError: it could not be made, or written, to its end; what there is of it is whole, and in a file
                signed where there is room for that.
        """
        spec, saved = self.spec, self.saved
        goes_on = saved is not None and spec.file is not None and spec.file.is_file()
        files = [] if spec.file is None else [FileOutput(spec.file, saved.written.pieces if saved and goes_on else 0)]
        film = GrowingFilm(
            self.source.format,
            Tee([*files, *outputs]),
            self.metadata,
            self.marking.keys,
            after=saved,
            same_file=goes_on,
        )
        keeper = Keeper(self.source, film, self.seed, spec.state, spec.every, told)
        try:
            run(
                self.source,
                self.begun,
                self.control,
                keeper,
                frames=film.frames,
                until=spec.until,
                paced=spec.paced,
                statistics=self.statistics,
                began=self.began,
            )
        except Unwritable:
            film.output.close()
            raise
        except PhonofilmError:
            with suppress(PhonofilmError):
                self._end(film, keeper)
            raise
        self._end(film, keeper)
        return self._facts(film)

    def _end(self, film: GrowingFilm, keeper: Keeper) -> None:
        keeper.save()
        try:
            film.finish()
        finally:
            film.output.close()
        if self.spec.file is None or not film.writer.pieces:
            return
        made = Made((0, film.writer.frames), (0, film.marks.heard.done), self.source.format.stems)
        said = self.metadata | {"prompt": " / ".join(film.prompts)}
        self.marking.seal(said, made)(self.spec.file, self.spec.file)
        self.marking.remember(self.spec.file, said, made, self.warn)

    def _facts(self, film: GrowingFilm) -> dict[str, Any]:
        fmt = self.source.format
        known: dict[str, Any] = {"seconds": round(float(film.frames / fmt.fps), 6), "frames": film.frames}
        known |= {"width": fmt.width, "height": fmt.height, "fps": str(fmt.fps), "sample_rate": fmt.sample_rate}
        known |= {"prompts": film.prompts, "seed": self.seed, **self.source.model}
        return known | {"statistics": self.statistics.to_json()}


def hello_of(making: Making) -> dict[str, Any]:
    """What a viewer is told first."""
    fmt, control = making.source.format, making.control
    mime = FragmentWriter((fmt.width, fmt.height), fmt.fps, fmt.sample_rate, fmt.channels).mime
    facts = {"mime": mime, "width": fmt.width, "height": fmt.height, "fps": float(fmt.fps)}
    return facts | {"prompt": control.prompt, "paused": control.paused, "model": making.metadata["model"]}
