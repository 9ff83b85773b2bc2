"""The marks of a film that is still being made: in each chunk as it comes, and the same as if the film were whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from phonofilm.provenance.watermark.given import mark_piece
from phonofilm.provenance.watermark.picture import mark_frames
from phonofilm.streaming.source import LiveFormat
from phonofilm.types import Clip, nearest

PAST = 0.5
"""Seconds before a piece that its mark is worked out with."""
HELD = 0.05
"""Seconds of sound that are held back: a mark's windows reach so far."""


@dataclass(frozen=True, eq=False)
class Heard:
    """Where the marks of the sound stand.

    Attributes:
        done: samples that have their mark. stems: the last of them, and those that came since.
        past: how many of what `stems` has are done.
    """

    done: int
    past: int
    stems: Mapping[str, np.ndarray]


class LiveMarks:
    """Marks what a model made, chunk by chunk.

    Args:
        keys: none leave everything as it is. given: stems, and perhaps "frames", that no model made.
    """

    def __init__(
        self, format: LiveFormat, keys: Sequence[bytes], given: Sequence[str] = (), heard: Heard | None = None
    ) -> None:
        self.format, self.keys, self.given = format, keys, given
        self.heard = heard or Heard(0, 0, {})

    def frames(self, frames: np.ndarray, first: int) -> np.ndarray:
        """Frames uint8 [F, H, W, 3] from number `first` of the film on."""
        if not self.keys or "frames" in self.given:
            return frames
        return mark_frames(frames, self.format.fps, self.keys, first)

    def sound(self, stems: Mapping[str, np.ndarray], last: bool = False) -> np.ndarray:
        """The mix float32 [C, N] of all samples whose mark is known now; the others come with the next chunk.

        Args:
            last: nothing follows.
        """
        rate, before = self.format.sample_rate, self.heard
        whole = {
            name: np.concatenate([before.stems.get(name, sound[:, :0]), sound], 1) for name, sound in stems.items()
        }
        length = next(iter(whole.values())).shape[1]
        past = before.past
        held = 0 if last or not self.keys else min(nearest(Fraction(HELD) * rate), length - past)
        parts = [slice(0, past), slice(past, length - held), slice(length - held, length)]
        clips = [self._clip({name: sound[:, part] for name, sound in whole.items()}) for part in parts]
        now = clips[1]
        if self.keys and now is not None:
            now = mark_piece(clips[0], now, clips[2], self.keys, before.done, self.given)
        done = before.done + length - held - past
        past = min(length - held, nearest(Fraction(PAST) * rate)) if self.keys else 0
        kept = slice(length - held - past, length)
        self.heard = Heard(done, past, {name: sound[:, kept].copy() for name, sound in whole.items()})
        return np.zeros((self.format.channels, 0), np.float32) if now is None else now.sound.waveform

    def _clip(self, stems: dict[str, np.ndarray]) -> Clip | None:
        if not next(iter(stems.values())).shape[1]:
            return None
        mix = np.asarray(np.sum([*stems.values()], axis=0, dtype=np.float32))
        return Clip(waveform=mix, sample_rate=self.format.sample_rate, stems=stems)
