"""The canvas of a job: the whole film at a model's own size and rates, with what is given and what is to make.

Every task differs from every other only in what of the canvas is given. That is why there is one path
through a model for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from phonofilm.backends.canvas.finite import check_finite
from phonofilm.backends.canvas.fit import crossfaded, to_length
from phonofilm.backends.canvas.tracks import FADE_SECONDS
from phonofilm.backends.canvas.windows import windows
from phonofilm.types import nearest

MAKE, HINT, KEEP = 0, 1, 2
"""States of a moment: to be made; given to the model but made again; given and kept as it is."""


@dataclass(eq=False)
class Canvas:
    """Picture uint8 [T, H, W, 3] and sound float32 [S, 2, N], and for each frame [T] and sample [S, N] its state.

    The sound has S stems, whose numbers in the model are `stems`; a mix is one. An absent stream is None. Windows are
    written into the canvas one after the other, and what is written is given to the next.
    """

    fps: Fraction
    sample_rate: int
    frames: np.ndarray | None
    waveform: np.ndarray | None
    frame_states: np.ndarray
    sample_states: np.ndarray
    stems: tuple[int, ...] = (0,)

    def sample(self, frame: int) -> int:
        """The sample at which a frame begins."""
        return min(nearest(frame * self.sample_rate / self.fps), self.sample_states.shape[-1])

    def spans(self, window: int) -> list[range]:
        """The windows (ranges of frames) that make all there is to make."""
        length = len(self.frame_states)
        wanted = np.zeros(length, bool)
        if self.frames is not None:
            wanted |= self.frame_states == MAKE
        if self.waveform is not None:
            unmade = np.concatenate([[0], np.cumsum((self.sample_states == MAKE).any(0))])
            wanted |= np.diff(unmade[[self.sample(frame) for frame in range(length + 1)]]) > 0
        found = np.flatnonzero(wanted)
        return windows(length, window, int(found[0]), int(found[-1]) + 1) if len(found) else []

    def write(self, span: range, frames: np.ndarray | None, waveform: np.ndarray | None) -> None:
        """Put down what was made of a window, where it was not to be kept; all of it is kept from now on.

        Raises:
            PhonofilmError: a sound that is not finite.
        """
        if self.frames is not None and frames is not None:
            place = slice(span.start, span.stop)
            fresh = self.frame_states[place] != KEEP
            self.frames[place][fresh] = frames[fresh]
            self.frame_states[place] = KEEP
        if self.waveform is not None and waveform is not None:
            check_finite(waveform, "sound")
            place = slice(self.sample(span.start), self.sample(span.stop))
            ramp = nearest(FADE_SECONDS * self.sample_rate)
            for kept, states, made in zip(
                self.waveform[..., place], self.sample_states[:, place], waveform, strict=True
            ):
                kept[:] = crossfaded(kept, to_length(made, len(states)), states == KEEP, ramp)
                states[:] = KEEP
