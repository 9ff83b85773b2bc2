"""What a step may look at: one shot of one file, read when it is first asked for and only once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from phonofilm.data.curate.common.records import Shot
from phonofilm.media.resample import mix, resample_audio
from phonofilm.media.shots.window import Window, read_window
from phonofilm.signals.camera_motion import Images
from phonofilm.signals.motion import luminance

SIDE = 128
"""Pixels of the short side that steps see, if the film has as many."""

MOVING = 10
"""Pairs of frames that steps see in their own size, where the picture changes most."""


LOOKS, APART = (4, 8), 2.0
"""How few and how many larger pictures steps see of a shot, and seconds between them in between."""


class Material:
    """Picture and sound of a shot.

    Attributes:
        path: of the source. shot: which part of it. settings: of steps, by name.
    """

    def __init__(self, path: Path, shot: Shot, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        self.path, self.shot, self.settings = path, shot, settings
        self._mono: dict[int, np.ndarray] = {}

    @cached_property
    def window(self) -> Window:
        """The shot, decoded.

        Raises:
            PhonofilmError: damage in the file.
        """
        looks = min(max(LOOKS[0], round(self.shot.seconds / APART)), LOOKS[1])
        return read_window(self.path, self.shot.start, self.shot.stop, SIDE, MOVING, looks)

    @property
    def fps(self) -> float:
        return self.window.fps

    @cached_property
    def frames(self) -> np.ndarray:
        """uint8 [T, h, w, 3] at a constant rate."""
        return self.window.steady()

    @cached_property
    def images(self) -> Images:
        """float32 [T, h, w] of luminance 0 … 1, as large as `frames`."""
        return luminance(self.frames, min(self.frames.shape[1:3]))

    @property
    def looks(self) -> np.ndarray:
        """uint8 [L, H, W, 3]: a few larger pictures, spread evenly over the shot."""
        return self.window.looks

    @property
    def waveform(self) -> np.ndarray | None:
        """float32 [C, N] at `sample_rate`, one or two channels."""
        return self.window.waveform

    @property
    def sample_rate(self) -> int:
        return self.window.sample_rate

    @property
    def heard(self) -> bool:
        """Whether there is any sound at all."""
        return self.waveform is not None and bool(np.abs(self.waveform).max(initial=0.0) > 1e-5)

    def mono(self, sample_rate: int) -> np.ndarray:
        """float32 [N], mixed to one channel and resampled; silence where there is no sound track."""
        if self.waveform is None:
            return np.zeros(max(1, round(self.shot.seconds * sample_rate)), np.float32)
        if sample_rate not in self._mono:
            mono = mix(self.waveform, 1, ())
            self._mono[sample_rate] = resample_audio(mono, self.sample_rate, sample_rate)[0]
        return self._mono[sample_rate]
