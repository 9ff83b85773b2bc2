"""Real film as clips: one file, cut at even steps, every picture seen whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from phonofilm.checkpoint import file_sha256
from phonofilm.data.clips import ClipBatch
from phonofilm.data.manifest import ClipRecord
from phonofilm.errors import PhonofilmError
from phonofilm.media import mix, read_clip


@dataclass(frozen=True, eq=False)
class FilmSource:
    """Row i begins `start` + i · `step` seconds into a film; wide pictures are squashed into the square, not cropped.

    Attributes:
        pictures: uint8 [T, size, size, 3] of the whole film. sound: float32 [2, N] of the whole film.
        film: SHA-256 of the file.
    """

    pictures: np.ndarray
    sound: np.ndarray
    film: str
    seconds: float
    fps: int
    start: float
    step: float
    count: int
    sample_rate: int = 16_000

    @staticmethod
    def of(
        path: Path,
        seconds: float = 4.0,
        size: int = 64,
        fps: int = 12,
        start: float = 0.0,
        stop: float | None = None,
        step: float | None = None,
    ) -> FilmSource:
        """Decode a film, small.

        Raises:
            PhonofilmError: a file that cannot be read, has no picture or no sound, or no clip between start and stop.
        """
        clip = read_clip(path, squash=size, fps=fps, sample_rate=FilmSource.sample_rate)
        if clip.frames is None or clip.waveform is None:
            raise PhonofilmError(f"{path.name} has no {'picture' if clip.frames is None else 'sound'}; give a film")
        step = seconds if step is None else step
        end = min(float(clip.picture_seconds), float(clip.sound_seconds), *([] if stop is None else [stop]))
        if min(start, step - 1e-9, seconds - 1e-9) < 0 or start + seconds > end:
            raise PhonofilmError(f"{path.name} has no clip of {seconds:g} s between {start:g} and {end:g} s")
        count = int((end - start - seconds) / step + 1e-6) + 1
        digest = file_sha256(path)
        return FilmSource(clip.frames, mix(clip.waveform, 2, clip.layout), digest, seconds, fps, start, step, count)

    def __len__(self) -> int:
        return self.count

    def frames(self, rows: Sequence[int]) -> Tensor:
        return torch.from_numpy(np.stack([self._cut(self.pictures, row, self.fps) for row in rows]))

    def waveforms(self, rows: Sequence[int]) -> Tensor:
        return torch.from_numpy(np.stack([self._cut(self.sound.T, row, self.sample_rate).T for row in rows]))

    def read(self, rows: Sequence[int]) -> ClipBatch:
        records = tuple(ClipRecord(row, "", 0, self.family(row), row, "") for row in rows)
        return ClipBatch(self.frames(rows), self.waveforms(rows), records)

    def family(self, row: int) -> str:
        return "film"

    def digest(self) -> str:
        shape = "x".join(map(str, self.pictures.shape[1:3]))
        return f"film {self.film}, {self.seconds:g} s of {shape} at {self.fps} fps from {self.start:g} by {self.step:g}"

    def _cut(self, track: np.ndarray, row: int, rate: int) -> np.ndarray:
        first = round((self.start + row * self.step) * rate)
        return track[first : first + round(self.seconds * rate)]
