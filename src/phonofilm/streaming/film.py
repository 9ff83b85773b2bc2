"""A film that grows: each chunk gets its marks, is encoded and written, and now and then the state is saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from phonofilm.media.live.fragments import FragmentWriter
from phonofilm.streaming.loop import MadeChunk
from phonofilm.streaming.marks import LiveMarks
from phonofilm.streaming.outputs import Output
from phonofilm.streaming.saved import Saved, save_state
from phonofilm.streaming.source import LiveFormat, LiveSource


class GrowingFilm:
    """Takes chunk after chunk; between two of them what was written is a whole film.

    Args:
        keys: of the marks; none are put in without. given: stems, or "frames", that no model made.
        size: of the picture as it is written, where it is not the format's.
        after: go on with a film, in its file if it is the `same_file`, else in one that begins there.
    """

    def __init__(
        self,
        format: LiveFormat,
        output: Output,
        metadata: Mapping[str, str],
        keys: Sequence[bytes] = (),
        given: Sequence[str] = (),
        size: tuple[int, int] | None = None,
        after: Saved | None = None,
        same_file: bool = True,
    ) -> None:
        heard, written = (None, None) if after is None else (after.heard, after.written if same_file else None)
        self.format, self.output = format, output
        self.marks = LiveMarks(format, keys, given, heard)
        sides = size or (format.width, format.height)
        self.writer = FragmentWriter(sides, format.fps, format.sample_rate, format.channels, metadata, written)
        self.prompts: list[str] = [] if after is None else [after.prompt]
        self.frames = 0 if after is None else after.frames

    @property
    def seconds(self) -> Fraction:
        """How long it is now."""
        return self.frames / self.format.fps

    def add(self, frames: np.ndarray, stems: Mapping[str, np.ndarray], prompt: str) -> bytes:
        """Write a chunk; returns its piece of the file.

        Raises:
            PhonofilmError: it cannot be written; what was before is whole.
        """
        if prompt and prompt not in self.prompts:
            self.prompts.append(prompt)
        marked = self.marks.frames(frames, self.frames)
        self.frames += len(frames)
        piece = self.writer.add(marked, self.marks.sound(stems))
        self.output.write(piece)
        return piece

    def finish(self) -> None:
        """Write what marks and encoders held back.

        Raises:
            PhonofilmError: it cannot be written.
        """
        if not self.writer.pieces:
            return
        fmt = self.format
        rest = {name: np.zeros((fmt.channels, 0), np.float32) for name in self.marks.heard.stems or ("",)}
        ending = self.writer.add(np.zeros((0, 2, 2, 3), np.uint8), self.marks.sound(rest, last=True))
        self.output.write(ending + self.writer.finish())


class Keeper:
    """Delivers the chunks of a source to a film, and saves the state every few chunks and at the end.

    Args:
        state_file: None saves nothing. every: chunks from one saving to the next.
        told: called with each chunk when it is written.
    """

    def __init__(
        self,
        source: LiveSource[Any],
        film: GrowingFilm,
        seed: int,
        state_file: Path | None = None,
        every: int = 10,
        told: Callable[[MadeChunk], None] = lambda made: None,
    ) -> None:
        self._source, self._film, self._seed = source, film, seed
        self._file, self._every, self._told = state_file, every, told
        self._saved: Saved | None = None
        self._count = 0

    def __call__(self, made: MadeChunk) -> None:
        """See `loop.Deliver`."""
        self._film.add(made.chunk.frames, made.chunk.stems, made.chunk.prompt)
        if self._file is not None and not made.cut and self._film.writer.pieces:
            # of a chunk that was cut short the state before it counts: it is made again, whole, when the film goes on
            film = self._film
            prompt, written, heard = made.chunk.prompt, film.writer.resumption, film.marks.heard
            self._saved = Saved(made.after, prompt, self._seed, film.frames, written, heard)
        self._count += 1
        if self._count % self._every == 0:
            self.save()
        self._told(made)

    def save(self) -> None:
        """Save the state as it stands after the last chunk.

        Raises:
            PhonofilmError: the file cannot be written.
        """
        if self._file is not None and self._saved is not None:
            save_state(self._file, self._source, self._saved)
            self._saved = None
