"""One decoded clip, as every feature wants it: read once, resampled once, its motion found once."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phonofilm.errors import PhonofilmError
from phonofilm.media import mix, read_clip, resample_audio
from phonofilm.signals.camera_motion import Images
from phonofilm.signals.motion import Motion, Movement, luminance, motion_of, movement
from phonofilm.signals.onsets import DELAY, onset_impulses
from phonofilm.signals.onsets import RATE as ONSET_RATE
from phonofilm.signals.sync.cues import PictureCues, SoundCues, picture_cues, sound_cues
from phonofilm.signals.time_series import Signal
from phonofilm.types import Clip

SECONDS, SIDE, RATE = 30, 256, 16_000
"""Pictures are seen at 256 pixels of the short side or less; of longer films the first 30 s are measured."""

DECODING = f"{SECONDS}s-{SIDE}px"


class UnfitError(ValueError):
    """A clip that a feature cannot be taken of; the text says why."""


class Film:
    """A clip to be measured.

    Attributes:
        frames: uint8 [T, H, W, 3]. fps: frames a second.
        sound: float32 [C, N], C of 1 or 2 (more are folded down by ITU-R BS.775). sample_rate: in Hz.
    """

    def __init__(self, clip: Clip) -> None:
        self.clip = clip

    @staticmethod
    def read(path: str | Path) -> Film:
        """Decode a file.

        Raises:
            PhonofilmError: a file that cannot be read.
        """
        return Film(read_clip(path, size=SIDE, seconds=SECONDS))

    @property
    def frames(self) -> np.ndarray:
        if self.clip.frames is None:
            raise UnfitError("there is no picture")
        return self.clip.frames

    @property
    def fps(self) -> float:
        return float(self.clip.fps or 0)

    @cached_property
    def sound(self) -> np.ndarray:
        if self.clip.waveform is None or not self.clip.waveform.shape[1]:
            raise UnfitError("there is no sound")
        waveform, layout = self.clip.waveform, self.clip.layout
        return mix(waveform, 2, layout) if len(waveform) > 2 or layout else waveform

    @property
    def sample_rate(self) -> int:
        return self.clip.sample_rate or 0

    @cached_property
    def channels_16k(self) -> np.ndarray:
        """float32 [C, N] at 16 kHz."""
        return resample_audio(self.sound, self.sample_rate, RATE)

    @cached_property
    def mono(self) -> np.ndarray:
        """float32 [N] at 16 kHz, the mean of both ears."""
        return np.ascontiguousarray(self.channels_16k.mean(axis=0, dtype=np.float32))

    def mono_at(self, rate: int) -> np.ndarray:
        """float32 [N] at any rate, the mean of both channels."""
        sound = resample_audio(self.sound, self.sample_rate, rate)
        return np.ascontiguousarray(sound.mean(axis=0, dtype=np.float32))

    @cached_property
    def images(self) -> Images:
        """Luminance float32 [T, h, w], 0 … 1, small."""
        try:
            return luminance(self.frames)
        except ValueError as error:
            raise UnfitError(str(error)) from error

    @cached_property
    def movement(self) -> Movement:
        try:
            return movement(self.images)
        except ValueError as error:
            raise UnfitError(str(error)) from error

    @cached_property
    def motion(self) -> Motion:
        return motion_of(self.movement, self.images, self.fps)

    @cached_property
    def heard(self) -> SoundCues:
        """What happens when in the sound."""
        return sound_cues(self.sound, self.sample_rate)

    @cached_property
    def seen(self) -> PictureCues:
        """What happens when in the picture."""
        moved = self.movement
        return picture_cues(moved.momentum, moved.light, self.images, moved.cuts, self.fps)

    @property
    def strength(self) -> Signal:
        """`onset_strength` of the sound."""
        return Signal(self.heard.strength, ONSET_RATE, -DELAY)

    @cached_property
    def impulses(self) -> Signal:
        return onset_impulses(self.strength)

    def at(self, fps: float) -> np.ndarray:
        """Frames uint8 [t, H, W, 3] on a slower clock."""
        return self.frames[self.ticks(fps)]

    def ticks(self, fps: float) -> NDArray[np.int64]:
        """Index [t] of the frame that each tick of a slower clock takes: the nearest."""
        count = max(1, round(len(self.frames) / self.fps * fps))
        return np.minimum(np.rint(np.arange(count) * self.fps / fps).astype(np.int64), len(self.frames) - 1)


def whole(path: Path) -> Clip:
    """The clip as it is shown in a report."""
    try:
        return read_clip(path, size=SIDE, seconds=SECONDS)
    except (ValueError, OSError) as error:
        raise PhonofilmError(f"{path.name} cannot be shown: {error}") from error
