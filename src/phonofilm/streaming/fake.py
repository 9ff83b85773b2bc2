"""Sources without a network: flashes and beeps at the same instants, without end. Delivery is tested on them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from phonofilm.choices import STEMS
from phonofilm.errors import PhonofilmError
from phonofilm.streaming.source import LiveChunk, LiveFormat
from phonofilm.types import nearest

FORMAT = LiveFormat(64, 64, Fraction(24), 24_000, 2, STEMS, 12, 12_000)
FLASH, BEEP = Fraction(1, 8), Fraction(1, 10)
"""Seconds of a flash and of its beep, half a second into every second."""
PITCHES = {"speech": 150.0, "music": 220.0}
HUM = 0.02


@dataclass(frozen=True, eq=False)
class FakeState:
    """How far it is.

    Attributes:
        walk: float32 [3], a colour that wanders with every chunk and every prompt: it depends on the whole past.
    """

    seed: int
    index: int
    frames: int
    walk: np.ndarray


class FakeSource:
    """Deterministic: seed and prompts decide the colour between flashes, which flashes follow, and their pitch.

    Args:
        cost: seconds that a chunk takes at least, as those of a network would.
        first_extra: frames that the first chunk holds beyond the others.
    """

    def __init__(self, format: LiveFormat = FORMAT, cost: float = 0.0, first_extra: int = 1) -> None:
        self.format, self.cost, self.first_extra = format, cost, first_extra

    @property
    def model(self) -> Mapping[str, str]:
        return {"model": "fake", "weights": "none"}

    def begin(self, prompt: str, seed: int, options: Mapping[str, Any]) -> FakeState:
        """See `LiveSource.begin`; there are no options."""
        return FakeState(seed, 0, 0, np.random.default_rng(seed).random(3, np.float32))

    def next(self, state: FakeState, prompt: str) -> tuple[FakeState, LiveChunk]:
        """See `LiveSource.next`."""
        count = self.frames_of(state.index)
        after = self._after(state, prompt, count)
        frames = self._picture(after, state.frames, count)
        return after, LiveChunk(
            state.index, state.frames / self.format.fps, frames, self._sound(after, state.frames, count), prompt
        )

    def frames_of(self, index: int) -> int:
        """Frames of a chunk."""
        return self.format.frames_per_chunk + (self.first_extra if index == 0 else 0)

    def state_tensors(self, state: FakeState) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See `LiveSource.state_tensors`."""
        return {"walk": state.walk}, {"seed": state.seed, "index": state.index, "frames": state.frames}

    def state_from(self, tensors: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> FakeState:
        """See `LiveSource.state_from`."""
        try:
            return FakeState(facts["seed"], facts["index"], facts["frames"], tensors["walk"])
        except KeyError as error:
            raise PhonofilmError(f"the saved state lacks {error}; begin a new film") from error

    def _after(self, state: FakeState, prompt: str, count: int) -> FakeState:
        if self.cost:
            time.sleep(self.cost)
        step = np.frombuffer(hashlib.sha256(prompt.encode()).digest()[:12], np.uint32).astype(np.float32) / 2**32
        walk = ((state.walk * np.float32(0.9) + np.float32(0.1) * step) % 1).astype(np.float32)
        return replace(state, index=state.index + 1, frames=state.frames + count, walk=walk)

    def _picture(self, state: FakeState, first: int, count: int) -> np.ndarray:
        fmt = self.format
        frames = np.empty((count, fmt.height, fmt.width, 3), np.uint8)
        frames[:] = 10 + (80 * state.walk).astype(np.uint8)
        for number in range(count):
            if is_flash(Fraction(first + number) / fmt.fps):
                frames[number] = 255
        return frames

    def _sound(self, state: FakeState, first: int, count: int) -> dict[str, np.ndarray]:
        fmt = self.format
        span = np.arange(fmt.samples_at(first), fmt.samples_at(first + count))
        times = span / fmt.sample_rate
        found = {}
        for name in fmt.stems:
            if name in PITCHES:
                sound = HUM * np.sin(2 * np.pi * PITCHES[name] * times)
            else:
                start = nearest(Fraction(fmt.sample_rate, 2))
                since = span % fmt.sample_rate - start
                heard = (since >= 0) & (since < nearest(BEEP * fmt.sample_rate))
                pitch = 400 + 800 * float(state.walk[0])
                sound = np.where(heard, 0.5 * np.sin(2 * np.pi * pitch * since / fmt.sample_rate), 0)
            found[name] = np.repeat(sound[None].astype(np.float32), fmt.channels, axis=0)
        return found


def is_flash(moment: Fraction) -> bool:
    """Whether a moment lies in a flash."""
    return Fraction(1, 2) <= moment % 1 < Fraction(1, 2) + FLASH


class FakeFollower(FakeSource):
    """Beeps where the given frames flash, or flashes where the given sound beeps."""

    def __init__(
        self, takes: Literal["frames", "sound"] = "frames", format: LiveFormat = FORMAT, cost: float = 0.0
    ) -> None:
        super().__init__(format, cost)
        self.takes: Literal["frames", "sound"] = takes

    def length(self, index: int) -> int:
        """See `LiveFollower.length`."""
        frames = self.frames_of(index)
        if self.takes == "frames":
            return frames
        before = sum(self.frames_of(number) for number in range(min(index, 1))) + max(index - 1, 0) * self.frames_of(1)
        return self.format.samples_at(before + frames) - self.format.samples_at(before)

    def next(  # type: ignore[override]
        self, state: FakeState, prompt: str, given: np.ndarray
    ) -> tuple[FakeState, LiveChunk]:
        """See `LiveFollower.next`."""
        fmt, count = self.format, self.frames_of(state.index)
        after = self._after(state, prompt, count)
        bounds = [fmt.samples_at(state.frames + n) - fmt.samples_at(state.frames) for n in range(count + 1)]
        if self.takes == "frames":
            frames, light = given, given.reshape(count, -1).mean(1) > 200
            tone = np.sin(2 * np.pi * 600 * np.arange(bounds[-1]) / fmt.sample_rate)
            heard = np.repeat(light, np.diff(bounds))
            sound = np.repeat((0.5 * heard * tone)[None].astype(np.float32), fmt.channels, axis=0)
        else:
            sound = given
            loud = [np.abs(given[:, a:b]).max(initial=0) > 0.1 for a, b in pairwise(bounds)]
            frames = np.zeros((count, fmt.height, fmt.width, 3), np.uint8)
            frames[np.array(loud)] = 255
        return after, LiveChunk(state.index, state.frames / fmt.fps, frames, {"effects": sound}, prompt)
