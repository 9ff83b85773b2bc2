"""The interface of a model that makes film without end, chunk by chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from phonofilm.types import nearest

State = TypeVar("State")
"""All that a source needs to go on: an opaque value that never changes, so that one can go on from it twice."""


@dataclass(frozen=True)
class LiveFormat:
    """What every chunk of a source looks like; picture and sound of a chunk are the same seconds.

    Attributes:
        width, height: pixels. fps: frames a second. sample_rate: samples a second. channels: of each stem.
        stems: names of the parts of the sound, in their order; one of them is the mix where sound has no parts.
        frames_per_chunk, samples_per_chunk: of every chunk but the first one. That may hold one frame more and the
            sound of it, as a causal codec gives, or some frames fewer, as a vocoder takes that looks ahead.
    """

    width: int
    height: int
    fps: Fraction
    sample_rate: int
    channels: int
    stems: tuple[str, ...]
    frames_per_chunk: int
    samples_per_chunk: int

    @property
    def chunk_seconds(self) -> Fraction:
        """How long a chunk lasts, the first one apart."""
        return self.frames_per_chunk / self.fps

    def samples_at(self, frames: int) -> int:
        """Samples of sound that a film of so many frames has."""
        return nearest(frames / self.fps * self.sample_rate)

    def to_json(self) -> dict[str, Any]:
        """Plain values, by which two formats are compared."""
        return {**vars(self), "fps": str(self.fps), "stems": list(self.stems)}


@dataclass(frozen=True, eq=False)
class LiveChunk:
    """A piece of film.

    Attributes:
        index: 0, 1, 2, … start: seconds from the beginning of the film.
        frames: uint8 [F, H, W, 3]. stems: float32 [C, T] by their names.
        prompt: what it was made from.
    """

    index: int
    start: Fraction
    frames: np.ndarray
    stems: Mapping[str, np.ndarray]
    prompt: str

    @property
    def mix(self) -> np.ndarray:
        """float32 [C, T]: the sum of all stems."""
        return np.asarray(np.sum([*self.stems.values()], axis=0, dtype=np.float32))


class LiveSource(Protocol[State]):
    """A model that makes picture and sound, chunk after chunk."""

    @property
    def format(self) -> LiveFormat: ...

    @property
    def model(self) -> Mapping[str, str]:
        """Which model it is: "model" and "weights" (a hash); a state goes on only where both are the same."""

    def begin(self, prompt: str, seed: int, options: Mapping[str, Any]) -> State:
        """The state before the first chunk.

        Raises:
            PhonofilmError: a prompt or options that are not possible.
        """

    def next(self, state: State, prompt: str) -> tuple[State, LiveChunk]:
        """The next chunk, made from a prompt, and the state after it; `state` itself stays as it is.

        Raises:
            PhonofilmError: a prompt that is not possible. Nothing was made, and another prompt may be tried.
        """

    def state_tensors(self, state: State) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """A state as arrays and facts that JSON holds."""

    def state_from(self, tensors: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> State:
        """The state again: what follows it is the same to the bit.

        Raises:
            PhonofilmError: no state of this source.
        """


class LiveFollower(Protocol[State]):
    """A model that makes one part of a film while the other part is given: sound for frames, or a picture for sound.

    It is a `LiveSource` but for `next`. What is given stands in the chunk as it came.
    """

    @property
    def format(self) -> LiveFormat: ...

    @property
    def model(self) -> Mapping[str, str]: ...

    @property
    def takes(self) -> Literal["frames", "sound"]:
        """What is given: frames uint8 [F, H, W, 3], or sound float32 [C, T]; `length` says how many for a chunk."""

    def begin(self, prompt: str, seed: int, options: Mapping[str, Any]) -> State: ...

    def next(self, state: State, prompt: str, given: np.ndarray) -> tuple[State, LiveChunk]: ...

    def length(self, index: int) -> int:
        """Frames, or samples, that chunk `index` takes."""
